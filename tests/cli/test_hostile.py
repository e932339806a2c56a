"""The commands under bad conditions: a full disk, hostile files, hostile names."""

import json
import os
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from deep_artists.artists.model import Model
from deep_artists.artists.recipe import expected_shapes, load_recipe
from deep_artists.cli import main
from deep_artists.data.corpus import write_corpus


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("audio"), n_artists=2, n_tracks=4, duration_s=2.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    recipe = load_recipe("page", n_out=2, n_hidden=10)
    rng = np.random.RandomState(0)
    arrays = {
        name: rng.uniform(-0.1, 0.1, size=shape).astype(np.float32)
        for name, shape in expected_shapes(recipe).items()
    }
    path = tmp_path_factory.mktemp("model") / "model.npz"
    return Model(arrays, arrays, recipe, ["ann", "bob"]).save(path)


def run_limited(arguments, n_bytes):
    """Run a command whose files cannot grow beyond n_bytes: what a full disk looks like."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    code = (
        "import resource, signal, sys\n"
        "import pytensor\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({n_bytes}, resource.RLIM_INFINITY))\n"
        "from deep_artists.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True
    )


def test_a_full_disk_is_an_error_and_loses_nothing(audio, model, tmp_path):
    assert resource.RLIMIT_FSIZE
    out = tmp_path / "patches"
    assert main(["extract", str(audio), "--out", str(out), "--jobs", "1"]) == 0
    assert main(["dataset", str(out), "--out", str(tmp_path / "set")]) == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    run = run_limited(["dataset", str(out), "--out", str(tmp_path / "set"), "--seed", "3"], 20_000)
    assert run.returncode == 2 and "cannot be written" in run.stderr, run.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "set").iterdir()} == kept

    features = tmp_path / "features.npz"
    features.write_bytes(b"before")
    run = run_limited(["features", str(model), str(audio), "--out", str(features)], 500)
    assert run.returncode == 2 and "deep-artists: error" in run.stderr, run.stderr
    assert features.read_bytes() == b"before"

    run = run_limited(["extract", str(audio), "--out", str(tmp_path / "p2"), "--jobs", "1"], 20_000)
    assert run.returncode == 2 and "left out" in run.stderr, run.stderr
    assert not list((tmp_path / "p2").rglob("*.npy"))


def wav(channels=1, rate=22050, data_bytes=2000, claimed=None):
    """A PCM wav of zeros whose header says what it likes."""
    claimed = data_bytes if claimed is None else claimed
    block = 2 * channels & 0xFFFF
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + claimed & 0xFFFFFFFF,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels & 0xFFFF,
        rate,
        rate * block & 0xFFFFFFFF,
        block,
        16,
        b"data",
        claimed & 0xFFFFFFFF,
    )
    return header + bytes(data_bytes)


@pytest.mark.parametrize(
    "data",
    [
        wav(rate=0),
        wav(channels=0),
        wav(channels=65535),
        wav(rate=2**31),
        wav(claimed=2**32 - 1),
        b"",
        b"RIFF",
        b"fLaC" + bytes(100),
        b"OggS" + bytes(100),
        b"ID3" + bytes(100),
        os.urandom(5000),
    ],
)
def test_absurd_files_are_left_out(data, model, tmp_path, capsys):
    path = tmp_path / "absurd.wav"
    path.write_bytes(data)
    assert main(["predict", str(model), str(path), "--strict"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and f"left out {path}: " in captured.err


def test_names_are_only_names(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = np.random.RandomState(0).uniform(-0.1, 0.1, size=22050)
    names = ["with space.wav", "Ünï çødé 音楽.wav", "-dash.wav", "a'b\"c.wav", "$(touch pwned).wav"]
    for name in names:
        soundfile.write(tmp_path / name, y, 22050)
    os.symlink(tmp_path, tmp_path / "loop")
    assert main(["predict", str(model), str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(os.path.basename(p["path"]) for p in found) == sorted(names)
    assert main(["predict", str(model), "--", "-dash.wav"]) == 0
    assert "-dash.wav: " in capsys.readouterr().out and not (tmp_path / "pwned").exists()


def test_a_model_of_a_later_format_says_so(model, tmp_path, capsys):
    with np.load(model) as file:
        arrays = dict(file)
    about = json.loads(str(arrays["about"]))
    later = tmp_path / "later.npz"
    np.savez(later, **{**arrays, "about": np.array(json.dumps({**about, "format": 99}))})
    assert main(["predict", str(later), str(tmp_path)]) == 2
    assert "format 99" in capsys.readouterr().err


HOSTILE = "a\x1b]0;title\x07\r\x1b[2J\u202e"


def test_names_are_escaped_for_a_terminal(model, audio, tmp_path, capsys):
    folder = tmp_path / "audio"
    for artist in ("ann", HOSTILE):
        (folder / artist).mkdir(parents=True)
        for i in range(4):
            y = np.random.RandomState(i).uniform(-0.1, 0.1, size=22050)
            soundfile.write(os.fsencode(folder / artist / f"{HOSTILE}{i}.wav"), y, 22050)
        (folder / artist / f"{HOSTILE}.mp3").write_text("no sound")
        (folder / artist / f"x.{HOSTILE}").write_text("no sound")
    out = str(tmp_path / HOSTILE)
    commands = [
        ["extract", str(folder), "--out", out, "--jobs", "1"],
        ["dataset", out, "--out", str(tmp_path / f"set {HOSTILE}")],
        ["predict", str(model), str(folder)],
        ["train", str(tmp_path / f"no {HOSTILE}")],
        ["predict", str(tmp_path / f"no {HOSTILE}"), str(folder)],
    ]
    for command in commands:
        main(command)
        captured = capsys.readouterr()
        shown = captured.out + captured.err
        assert r"a\x1b]0;title\x07" in shown
        assert all(line.isprintable() for line in shown.split("\n")), shown


def test_a_name_cannot_pass_for_another_message(tmp_path, capsys):
    assert main(["train", str(tmp_path / "x\ndeep-artists: done")]) == 2
    assert all(
        line.startswith(("deep-artists: error: ", "    "))
        for line in capsys.readouterr().err.splitlines()
    )


def test_a_terminal_without_the_characters_of_a_name(model, tmp_path):
    y = np.random.RandomState(0).uniform(-0.1, 0.1, size=22050)
    soundfile.write(os.fsencode(tmp_path / "Ünï 音楽.wav"), y, 22050)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-m", "deep_artists", "predict", str(model), str(tmp_path)],
        env={**environment, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert run.returncode == 0 and b"\\u97f3\\u697d.wav: " in run.stdout
