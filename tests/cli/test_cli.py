"""The command line: the whole experiment on a small corpus, and what it says to bad input."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from deep_artists.artists.model import Model
from deep_artists.cli import main
from deep_artists.data.corpus import write_corpus
from deep_artists.reference import golden

QUICK = ["--epochs", "2", "--set", "batch_size=8", "--set", "n_hidden=20", "--jobs", "1"]


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Three artists, five tracks of three seconds."""
    return write_corpus(tmp_path_factory.mktemp("audio"), n_artists=3, n_tracks=5, duration_s=3.0)


def test_reproduce_runs_the_experiment(audio, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["reproduce", str(audio), "--out", str(out), *QUICK]) == 0
    printed = capsys.readouterr().out
    log = (out / "log.txt").read_text()
    assert printed.startswith(log) and log.startswith("... loading data\n... building the model\n")
    for words in ("error", "valid, best", "test, last", "chance", "seconds: extract", "model.npz"):
        assert words in printed
    results = json.loads((out / "results.json").read_text())
    assert results["recipe"]["name"] == "page" and len(results["costs"]) == results["iterations"]
    assert 0 <= results["errors"]["test"]["best"]["track_error"] <= 1
    assert results["errors"]["train"]["best"]["patches"] > 0
    assert "next:\n  deep-artists report" in printed and f"card {out}/model.npz" in printed
    assert {"extract", "dataset", "compile", "train", "evaluate"} == set(results["seconds"])
    model = Model.load(out / "model.npz")
    assert model.label_names == ["synthetic-01", "synthetic-02", "synthetic-03"]
    assert sorted(p.name for p in out.iterdir()) == [
        "log.txt",
        "model.npz",
        "patches",
        "results.json",
        "set",
    ]


def test_two_runs_write_the_same_arrays(audio, tmp_path):
    arrays = []
    for name in "ab":
        main(["reproduce", str(audio), "--out", str(tmp_path / name), *QUICK])
        with np.load(tmp_path / name / "model.npz") as file:
            arrays.append({key: file[key].tobytes() for key in file.files if key != "about"})
        about = Model.load(tmp_path / name / "model.npz").about
        del about["card"]["date"]
        arrays[-1]["about"] = about
    assert arrays[0] == arrays[1]


def test_what_an_earlier_run_left_is_not_mixed_in(audio, tmp_path):
    out = tmp_path / "run"
    main(["reproduce", str(audio), "--out", str(out), *QUICK])
    before = (out / "set" / "train_x.npy").read_bytes()
    fewer = tmp_path / "fewer"
    for artist in ("synthetic-01", "synthetic-02"):
        (fewer / artist).mkdir(parents=True)
        for path in (audio / artist).iterdir():
            (fewer / artist / path.name).write_bytes(path.read_bytes())
    main(["reproduce", str(fewer), "--out", str(out), *QUICK])
    assert Model.load(out / "model.npz").label_names == ["synthetic-01", "synthetic-02"]
    assert (out / "set" / "train_x.npy").read_bytes() != before


def test_the_steps_are_the_whole(audio, tmp_path, capsys):
    seed = ["--seed", "5"]
    main(["reproduce", str(audio), "--out", str(tmp_path / "whole"), *QUICK, *seed])
    patches, set_, model = (str(tmp_path / name) for name in ("patches", "set", "model"))
    assert main(["extract", str(audio), "--out", patches, "--jobs", "1"]) == 0
    assert main(["dataset", patches, "--out", set_, *seed]) == 0
    assert main(["train", set_, "--out", model, *QUICK[:-2], *seed]) == 0
    a, b = (Model.load(tmp_path / name / "model.npz") for name in ("whole", "model"))
    assert all(a.last[n].tobytes() == b.last[n].tobytes() for n in a.last)
    assert main(["train", set_, "--out", model, *QUICK[:-2], "--memory", "0.5"]) == 2
    assert "memory_mb = 0.5; with minibatches" in capsys.readouterr().err


def test_one_bad_file_is_left_out_and_counted(audio, tmp_path, capsys):
    folder = tmp_path / "audio"
    os.makedirs(folder / "synthetic-01")
    for path in audio.rglob("*.flac"):
        target = folder / path.relative_to(audio)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "synthetic-01" / "notes.mp3").write_text("no sound")
    command = ["extract", str(folder), "--out", str(tmp_path / "patches"), "--jobs", "1"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "left out synthetic-01/notes.mp3" in captured.err
    assert "1 of 16 files left out" in captured.err and "15 tracks" in captured.out
    assert main([*command, "--strict"]) == 1


def test_many_files_that_are_left_out_are_listed_in_a_file(audio, tmp_path, capsys):
    folder, out = tmp_path / "audio", tmp_path / "patches"
    folder.mkdir()
    for i in range(60):
        (folder / f"{i}.mp3").write_text("no sound")
    (folder / "good.flac").write_bytes(next(audio.rglob("*.flac")).read_bytes())
    assert main(["extract", str(folder), "--out", str(out), "--jobs", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("left out") == 51 and "60 of 61 files left out" in captured.err
    assert f"listed in {out / 'failed.csv'}" in captured.err
    assert len((out / "failed.csv").read_text().splitlines()) == 61


def test_shards_are_a_set_too(audio, tmp_path):
    sets = []
    for name, options in (("files", []), ("shards", ["--shard-tracks", "4"])):
        out, made = str(tmp_path / name), tmp_path / f"{name}_set"
        assert main(["extract", str(audio), "--out", out, "--jobs", "1", *options]) == 0
        assert main(["dataset", out, "--out", str(made)]) == 0
        sets.append({path.name: path.read_bytes() for path in made.iterdir()})
    assert sets[0] == sets[1] and len(sets[0]) == 10


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["reproduce", "nowhere"], "nowhere"),
        (["reproduce", "empty"], "no audio file"),
        (["reproduce", "--labels", "filename"], "give AUDIO_DIR"),
        (["extract", "bad"], "none of the files"),
        (["dataset", "empty"], "patch"),
        (["train", "empty"], "empty"),
        (["train", "empty", "--recipe", "fist"], "unknown recipe 'fist' (did you mean first?)"),
        (["train", "empty", "--set", "nkern=3"], "no 'nkern' (did you mean nkerns?)"),
        (["train", "empty", "--set", "momentum=0.9"], "momentum"),
        (["train", "empty", "--set", "batch_size"], "FIELD=VALUE"),
        (["train", "empty", "--set", "batch_size=x"], "'x'"),
        (["train", "empty", "--epochs", "0"], "n_epochs = 0"),
        (["reproduce", "empty", "--out", "file"], "cannot be written"),
        (["train", "empty", "--seed", "-1"], "seed"),
        (["train", "empty", "--set", "recipe=1"], "recipe"),
        (["extract", "bad", "--jobs", "0"], "jobs = 0"),
        (["predict", "file", "bad", "--jobs", "-2"], "jobs = -2"),
        (["reproduce", "bad", "--jobs", "9" * 30], "needed: 1 to 1024 processes"),
        (["extract", "bad", "--shard-tracks", "0"], "at least 1 is needed"),
        (["predict", "file", "bad"], "file is no model"),
    ],
)
def test_bad_input_is_a_clear_error_and_status_2(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.mp3").write_text("no sound")
    (tmp_path / "file").write_text("kept")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.splitlines()[-1].startswith(
        "deep-artists: error: "
    )
    assert (tmp_path / "file").read_text() == "kept"


def test_too_few_patches_for_a_minibatch_is_an_error(audio, tmp_path, capsys):
    assert main(["reproduce", str(audio), "--out", str(tmp_path), "--epochs", "1"]) == 2
    assert "do not fill one minibatch of 80" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["trian", "set"], "there is no 'trian'; did you mean 'train'?"),
        (["study", "chrom"], "did you mean 'chroma'?"),
        (["features", "m", "a", "--layer", "hiden"], "did you mean 'hidden'?"),
        (["xyz"], "invalid choice: 'xyz'"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_one_that_was_meant(arguments, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err


def test_help_lists_the_fields_of_a_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    help = " ".join(capsys.readouterr().out.split())
    for field in ("learning_rate=0.05", "filter_shape=[33,11]", "shuffle=true", "seed=23455"):
        assert field in help


def test_completion_is_printed_or_says_what_it_needs(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert 'pip install "deep_artists[completion]"' in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "shtab")
    assert main(["completion", "bash"]) == 0
    assert "reproduce" in capsys.readouterr().out


def test_help_is_quick_because_it_imports_nothing():
    code = (
        "import sys; from deep_artists.cli import main\n"
        "try: main(['reproduce', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pytensor', 'librosa', 'sklearn', 'scipy', 'joblib'} & {*sys.modules}\n"
        "sys.exit(bool(heavy))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0 and "--recipe" in run.stdout


def test_ctrl_c_saves_what_was_reached(audio, tmp_path, monkeypatch, capsys):
    from deep_artists.artists import train

    steps = []
    compile_steps = train.compile_steps

    def interrupted(*arguments):
        compiled = compile_steps(*arguments)
        step = compiled.functions[0]

        def train_model(index):
            if len(steps) == 3:
                raise KeyboardInterrupt
            steps.append(index)
            return step(index)

        compiled.functions[0] = train_model
        return compiled

    monkeypatch.setattr(train, "compile_steps", interrupted)
    assert main(["reproduce", str(audio), "--out", str(tmp_path), *QUICK]) == 0
    assert "manually stopped" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.json").read_text())["interrupted"]
    assert Model.load(tmp_path / "model.npz")


def test_what_comes_after_training(audio, tmp_path, capsys):
    run = tmp_path / "run"
    main(["reproduce", str(audio), "--out", str(run), *QUICK, "--checkpoint", str(tmp_path / "c")])
    model, folder = str(run / "model.npz"), str(audio / "synthetic-01")
    capsys.readouterr()
    assert main(["predict", model, folder, "--top", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5
    out = tmp_path / "features.npz"
    assert main(["features", model, folder, "--layer", "pool", "--out", str(out)]) == 0
    with np.load(out) as file:
        assert file["features"].shape == (5, 60) and len(file["track_names"]) == 5
    assert main(["plot", str(run), "--out", str(tmp_path / "plots")]) == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} >= {
        "filters.png",
        "learning_curves.png",
    }
    assert main(["recipes"]) == 0 and main(["recipes", "last"]) == 0
    assert "filter_shape = [33, 11]" in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["versions"]["python"]
    assert main(["card", model]) == 0
    card = capsys.readouterr().out
    assert "- corpus: audio" in card and "| test, best |" in card and "SHA-256 of test" in card
    old, new = golden.path("legacy/model_output.pkl"), tmp_path / "new.npz"
    assert main(["convert", str(old), str(new)]) == 0
    assert Model.load(new).conv_W.shape == (10, 1, 33, 11)
    assert (tmp_path / "c").is_dir()


def test_progress_is_silent_where_stderr_is_no_terminal(audio, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-m", "deep_artists", "extract", str(audio), "--out", str(tmp_path / "p")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (
        run.returncode == 0 and run.stderr == "left out, not sound files: 1 .csv, 1 .json, 1 .md\n"
    )
    assert re.fullmatch(r"wrote .*: 15 tracks, 0 were there already, 0 left out\n", run.stdout)
