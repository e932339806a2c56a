"""Checkpoints: a run that was killed goes on to the same bits."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from deep_artists.artists.recipe import NAMES
from deep_artists.artists.train import train
from deep_artists.nn.checkpoint import Checkpoints
from deep_artists.reference import golden

RUN = {"recipe": "page", "n_epochs": 8, "batch_size": 50, "n_hidden": 20, "validation_frequency": 3}

SCRIPT = """
import sys
import numpy as np
from deep_artists.artists.train import train
from deep_artists.reference.golden import make_dataset
sets = [(x[:250], y[:250]) for x, y in make_dataset(2010, 10)]
result = train(sets, {run}, checkpoint=sys.argv[1], echo=lambda line: print(line, flush=True))
np.savez(sys.argv[2], costs=result.costs, log=np.array(result.log), **result.model.last,
         **{{"best_" + name: a for name, a in result.model.best.items()}})
"""


def sets():
    return [(x[:250], y[:250]) for x, y in golden.make_dataset(2010, 10)]


@pytest.fixture(scope="module")
def whole():
    """A run never interrupted."""
    return train(sets(), **RUN)


def assert_same(result, whole):
    assert result.log == whole.log and result.validation == whole.validation
    assert result.costs.tobytes() == whole.costs.tobytes()
    for which in ("last", "best"):
        for name in NAMES:
            a, b = getattr(result.model, which)[name], getattr(whole.model, which)[name]
            assert a.tobytes() == b.tobytes(), name
    assert (result.patience, result.best_iteration, result.test_error) == (
        whole.patience,
        whole.best_iteration,
        whole.test_error,
    )


def interrupt(monkeypatch, folder, at):
    """Run until an error ends the process's part, after `at` validations."""
    saves = []
    save = Checkpoints.save

    def failing(self, steps, result):
        save(self, steps, result)
        saves.append(1)
        if len(saves) == at:
            raise RuntimeError("power failure")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", failing)
        with pytest.raises(RuntimeError, match="power failure"):
            train(sets(), checkpoint=folder, **RUN)


def test_checkpoints_do_not_change_a_run(tmp_path, whole):
    assert_same(train(sets(), checkpoint=tmp_path, **RUN), whole)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("at", [1, 4, 13])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, whole, monkeypatch, at):
    interrupt(monkeypatch, tmp_path, at)
    lines = []
    result = train(sets(), checkpoint=tmp_path, echo=lines.append, **RUN)
    assert_same(result, whole)
    assert lines == whole.log


def test_a_finished_run_is_only_read(tmp_path, whole):
    for _ in range(2):
        result = train(sets(), checkpoint=tmp_path, **RUN)
    assert_same(result, whole)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-100]),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(p.read_bytes().replace(b"costs", b"cXsts")),
        lambda p: p.write_bytes(bytes(b ^ (i % 997 == 5) for i, b in enumerate(p.read_bytes()))),
    ],
)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, whole, monkeypatch, damage):
    interrupt(monkeypatch, tmp_path, 5)
    newest = sorted(tmp_path.iterdir())[-1]
    damage(newest)
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged"):
        result = train(sets(), checkpoint=tmp_path, **RUN)
    assert_same(result, whole)


def rewrite(path, **changes):
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


def with_about(path, **changes):
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
    rewrite(path, about=np.array(json.dumps({**about, **changes})))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: rewrite(p, best_hidden_W=None),
        lambda p: rewrite(p, surprise=np.zeros(3)),
        lambda p: rewrite(p, costs=np.zeros((3, 3))),
        lambda p: rewrite(p, costs=np.array(["a"])),
        lambda p: rewrite(p, about=np.array("[" * 10**5)),
        lambda p: with_about(p, patience="long"),
        lambda p: with_about(p, validation=[1, 2]),
        lambda p: with_about(p, log=[3]),
        lambda p: with_about(p, seconds=None),
    ],
)
def test_a_checkpoint_of_other_types_is_passed_over(tmp_path, monkeypatch, damage):
    interrupt(monkeypatch, tmp_path, 2)
    newest = sorted(tmp_path.iterdir())[-1]
    damage(newest)
    checkpoints = Checkpoints.__new__(Checkpoints)
    checkpoints.folder = tmp_path
    with np.load(sorted(tmp_path.iterdir())[0]) as file:
        checkpoints.run = json.loads(str(file["about"]))["run"]
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged"):
        counters, costs, _, _ = checkpoints.read(NAMES)
    assert len(costs) == 3 and not newest.exists()


def test_parameters_of_another_shape_are_refused(tmp_path, monkeypatch):
    interrupt(monkeypatch, tmp_path, 1)
    [path] = tmp_path.iterdir()
    rewrite(path, last_conv_b=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="conv_b of the checkpoint is float32 .3,.*remove"):
        train(sets(), checkpoint=tmp_path, **RUN)


def test_a_run_goes_on_where_its_state_cannot_be_kept(tmp_path, whole, monkeypatch):
    def fill(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("deep_artists.nn.checkpoint.new_file", fill)
    with pytest.warns(RuntimeWarning, match="cannot be kept.*No space left"):
        assert_same(train(sets(), checkpoint=tmp_path, **RUN), whole)


def test_the_litter_of_a_killed_run_is_removed(tmp_path):
    (tmp_path / ".checkpoint-000000003.npz.0123.tmp").touch()
    Checkpoints(tmp_path, {}, [], [])
    assert not list(tmp_path.iterdir())


def test_where_all_are_damaged_new_ones_are_kept(tmp_path, whole, monkeypatch):
    interrupt(monkeypatch, tmp_path, 5)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="is damaged"):
        interrupt(monkeypatch, tmp_path, 1)  # earlier than those that are damaged
    assert [path.stat().st_size > 0 for path in tmp_path.glob("*.npz")] == [True]
    assert_same(train(sets(), checkpoint=tmp_path, **RUN), whole)


@pytest.mark.parametrize(
    "change",
    [{"learning_rate": 0.01}, {"seed": 1}, {"floatX": "float64"}, {"recipe": "third", "n_out": 10}],
)
def test_the_state_of_another_run_is_refused(tmp_path, monkeypatch, change):
    interrupt(monkeypatch, tmp_path, 1)
    with pytest.raises(ValueError, match="another run"):
        train(sets(), checkpoint=tmp_path, **{**RUN, **change})
    other = [(x + np.float32(1e-3), y) for x, y in sets()]
    with pytest.raises(ValueError, match="another run"):
        train(other, checkpoint=tmp_path, **RUN)


def test_more_epochs_continue_a_run(tmp_path, whole):
    train(sets(), checkpoint=tmp_path, **{**RUN, "n_epochs": 3})
    assert_same(train(sets(), checkpoint=tmp_path, **RUN), whole)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path, whole):
    run = ", ".join(f"{name}={value!r}" for name, value in RUN.items())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(run=run),
        str(tmp_path / "c"),
        str(tmp_path / "r"),
    ]
    kills = 0
    while not (tmp_path / "r.npz").exists():
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        if kills < 4:
            # Kill at the moment a line of validation news comes, a little later every time.
            for line in process.stdout:
                if "validation error" in line and f"epoch {2 * kills + 1}," in line:
                    time.sleep(0.002 * kills)
                    break
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.stdout.read()
        process.wait()
        assert kills == 4 or process.returncode == -signal.SIGKILL
    with np.load(tmp_path / "r.npz") as found:
        assert list(found["log"]) == whole.log
        assert found["costs"].tobytes() == whole.costs.tobytes()
        for name in NAMES:
            assert found[name].tobytes() == whole.model.last[name].tobytes()
            assert found[f"best_{name}"].tobytes() == whole.model.best[name].tobytes()
