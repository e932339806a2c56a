"""Results of the commands: of the seed asked for, of one run, and never lost."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from deep_artists.artists.model import Model
from deep_artists.cli import main, report
from deep_artists.data.corpus import write_corpus
from deep_artists.data.files import own_folder

QUICK = ["--epochs", "2", "--set", "batch_size=8", "--set", "n_hidden=20"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("audio"), n_artists=3, n_tracks=5, duration_s=3.0)


@pytest.fixture(scope="module")
def set_(audio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert main(["extract", str(audio), "--out", str(folder / "p"), "--jobs", "1"]) == 0
    assert main(["dataset", str(folder / "p"), "--out", str(folder / "set")]) == 0
    return str(folder / "set")


@pytest.mark.parametrize(
    "options, seed", [([], 7), (["--seed", "5"], 5), (["--seed", "5", "--set", "seed=3"], 3)]
)
def test_the_seed_of_a_recipe_file_counts(set_, tmp_path, monkeypatch, options, seed):
    main(["recipes", "page"])
    recipe = tmp_path / "mine.toml"
    from deep_artists.artists.recipe import load_recipe

    fields = {**load_recipe("page").to_dict(), "seed": 7}
    recipe.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in fields.items()))
    used = []
    monkeypatch.setattr(
        report, "train_and_report", lambda *arguments, **_: used.append(arguments[3])
    )
    main(["train", set_, "--out", str(tmp_path / "out"), "--recipe", str(recipe), *options])
    assert [recipe.seed for recipe in used] == [seed]


def test_the_steps_without_a_seed_are_the_whole(audio, set_, tmp_path):
    whole = tmp_path / "whole"
    main(["reproduce", str(audio), "--out", str(whole), "--jobs", "1", *QUICK])
    main(["train", set_, "--out", str(tmp_path / "model"), *QUICK])
    a, b = (Model.load(folder / "model.npz") for folder in (whole, tmp_path / "model"))
    assert all(a.last[n].tobytes() == b.last[n].tobytes() for n in a.last)


@pytest.mark.parametrize("stage", ["train", "evaluate", "make_dataset"])
def test_an_interrupted_run_leaves_no_mixture(audio, tmp_path, monkeypatch, stage):
    command = ["reproduce", str(audio), "--out", str(tmp_path), "--jobs", "1", *QUICK]
    assert main(command) == 0
    names = ["model.npz", "log.txt", "results.json"]
    old = {name: (tmp_path / name).read_bytes() for name in names}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    where = {
        "train": "deep_artists.artists.train.train",
        "evaluate": "deep_artists.artists.model.Model.evaluate",
        "make_dataset": "deep_artists.data.dataset.make_dataset",
    }
    with monkeypatch.context() as patch:
        patch.setattr(where[stage], interrupt)
        assert main([*command, "--seed", "9"]) == 2
    there = {name: (tmp_path / name).read_bytes() for name in names if (tmp_path / name).exists()}
    if stage == "make_dataset":
        assert there == old  # the set is the old one too
    elif stage == "train":
        assert there == {}
    else:
        assert list(there) == ["model.npz", "log.txt"]
        assert there["model.npz"] != old["model.npz"]


@pytest.mark.parametrize("errors", [pytest.param("with stderr", marks=pytest.mark.slow), "alone"])
def test_training_goes_on_when_the_reader_of_its_output_leaves(set_, tmp_path, errors):
    out = tmp_path / "model"
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "deep_artists", "train", set_, "--out", str(out), *QUICK],
        env=ENVIRONMENT,
        stdout=writer,
        stderr=writer if errors == "with stderr" else subprocess.DEVNULL,
    )
    os.close(writer)
    assert process.returncode == 0
    assert {path.name for path in out.iterdir()} == {"model.npz", "log.txt", "results.json"}


def test_a_result_that_could_not_be_printed_is_an_error(set_, tmp_path):
    command = [sys.executable, "-m", "deep_artists", "train", set_, "--out", str(tmp_path), *QUICK]
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            command, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert run.returncode == 2 and "the output could not be printed: " in run.stderr
    assert Model.load(tmp_path / "model.npz") and (tmp_path / "results.json").exists()


def test_a_model_that_cannot_be_written_is_put_elsewhere(set_, tmp_path, monkeypatch, capsys):
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    save = Model.save

    def save_but_not_there(model, path):
        if out in path.parents:
            raise OSError(28, "No space left on device", str(path))
        return save(model, path)

    monkeypatch.setattr(Model, "save", save_but_not_there)
    assert main(["train", set_, "--out", str(out), *QUICK]) == 2
    [path] = home.iterdir()
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"it is in {path}" in error and "No space left" in error
    assert Model.load(path).label_names

    def save_nowhere(model, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Model, "save", save_nowhere)
    assert main(["train", set_, "--out", str(out), *QUICK]) == 2
    assert "nor anywhere else" in capsys.readouterr().err


def test_a_folder_that_is_gone_at_the_end_is_made_again(set_, tmp_path, monkeypatch):
    from deep_artists.artists import train

    out, run = tmp_path / "out", train.train

    def train_and_remove(*arguments, **options):
        result = run(*arguments, **options)
        for path in [*out.iterdir(), out]:
            path.unlink() if path.is_file() else path.rmdir()
        return result

    monkeypatch.setattr(train, "train", train_and_remove)
    assert main(["train", set_, "--out", str(out), *QUICK]) == 0
    assert Model.load(out / "model.npz") and (out / "results.json").exists()


def test_one_run_at_a_time_and_no_litter(set_, tmp_path, capsys):
    command = ["train", set_, "--out", str(tmp_path), *QUICK]
    with own_folder(tmp_path):
        assert main(command) == 2
    assert "another process is writing there" in capsys.readouterr().err
    for name in ("results.json", "model.npz"):
        (tmp_path / f".{name}.0123.tmp").touch()
    assert main(command) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"model.npz", "log.txt", "results.json"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", ""],
        ["extract", "x", "--out", ""],
        ["train", ""],
        ["predict", "", "x"],
        ["predict", "x", ""],
        ["train", "x", "--checkpoint", ""],
        ["train", "x", "--memory", "inf"],
        ["train", "x", "--memory", "nan"],
        ["train", "x", "--memory", "-1"],
        ["extract", "x", "--cluster-timeout", "0"],
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    words = capsys.readouterr().err
    assert "is no path" in words or "a positive number of " in words


@pytest.mark.parametrize(
    "field",
    ["n_hidden=1e300", "nkerns=" + "9" * 40, "patience=1e400", "seed=" + "9" * 5000]
    + ["n_hidden=" + "[" * 10**5, "n_out=9007199254740993", "batch_size=1e18"],
)
def test_huge_numbers_are_an_error(set_, tmp_path, capsys, field):
    assert main(["train", set_, "--out", str(tmp_path / "out"), "--set", field]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("deep-artists: error: ")


def test_files_that_are_no_sound_are_counted(audio, tmp_path, capsys):
    folder = tmp_path / "audio"
    folder.mkdir()
    (folder / "a.flac").write_bytes(next(audio.rglob("*.flac")).read_bytes())
    for name in ("cover.jpg", "back.JPG", "README", "b.wma"):
        (folder / name).write_bytes(b"no sound")
    command = ["extract", str(folder), "--out", str(tmp_path / "p"), "--jobs", "1"]
    assert main([*command, "--strict"]) == 1
    error = capsys.readouterr().err
    assert (
        "left out, not sound files: 2 .jpg, 1 without suffix\n" in error
        and "left out b.wma: " in error
    )
    assert np.load(tmp_path / "p" / "a.flac.mel.npy").shape[1] == 2560
