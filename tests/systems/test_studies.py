"""The commands study chroma and study fretboard, on few synthetic chords."""

import json
import sys

import numpy as np
import pytest

from deep_artists.cli import main
from deep_artists.data.chords import cqt, fingerings
from deep_artists.systems.chroma_learner import ChromaLearner
from deep_artists.systems.fretboard_learner import FretboardLearner


@pytest.fixture(scope="module")
def chroma_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "chroma"
    assert main(["study", "chroma", "--out", str(out), "--tracks", "3", "--iterations", "200"]) == 0
    return out


def test_study_chroma_writes_its_table_model_and_plots(chroma_run, capsys):
    results = json.loads((chroma_run / "results.json").read_text())
    names = [row["chroma"] for row in results["rows"]]
    assert names == [
        "librosa.feature.chroma_cqt",
        "fixed",
        "learned",
        "a tenth, learned",
        "a tenth, rotated",
        "root, fixed",
        "root, learned",
        "root, two layers",
        "log, fixed",
        "log, learned",
    ]
    loss = {row["chroma"]: row.get("loss") for row in results["rows"]}
    assert loss["learned"] < loss["fixed"] and results["left_out"] == []
    assert {"weights.png", "chroma.png"} <= {p.name for p in chroma_run.iterdir()}
    learner = ChromaLearner.load(chroma_run / "model.npz")
    assert learner.chroma(chroma_run / "corpus" / "track-001.flac").shape[0] == 12


def test_study_chroma_of_a_folder_reports_what_it_leaves_out(chroma_run, tmp_path, capsys):
    for path in sorted((chroma_run / "corpus").iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "track-003.lab").write_text("0 900 C:maj\n")
    arguments = [
        "study",
        "chroma",
        str(tmp_path),
        "--iterations",
        "50",
        "--strict",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "left out track-003.flac" in printed.err and "1 of 3 files left out" in printed.err
    assert "a tenth, rotated" in printed.out


def test_study_chroma_tests_on_tracks_of_the_vocabulary_only(chroma_run, tmp_path, capsys):
    """Whichever tracks are drawn for the test, the two that can be used make one each."""
    for path in sorted((chroma_run / "corpus").iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "track-002.lab").write_text("0 50 C:sus4\n")
    arguments = ["study", "chroma", str(tmp_path), "--iterations", "1", "--out"]
    for seed in "01":
        assert main([*arguments, str(tmp_path / seed), "--seed", seed]) == 0
    assert "outside the vocabulary: C:sus4" in capsys.readouterr().err


def test_study_chroma_without_matplotlib_and_mir_eval_goes_on(
    chroma_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "deep_artists.cli.study_chroma.find_spec",
        lambda name: None if name == "mir_eval" else find_spec(name),
    )
    arguments = [
        "study",
        "chroma",
        str(chroma_run / "corpus"),
        "--iterations",
        "5",
        "--out",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "no plots: plots need matplotlib" in printed.err and "need mir_eval" in printed.err
    assert not (tmp_path / "chroma.png").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--tracks", "1"], "--tracks 1: at least 3"),
        (["--iterations", "0"], "--iterations 0: at least 1"),
        (["no-such-folder"], "is no folder"),
    ],
)
@pytest.mark.parametrize("system", ["chroma", "fretboard"])
def test_bad_arguments_exit_with_2(system, arguments, message, tmp_path, capsys):
    assert main(["study", system, *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_study_fretboard_learns_strings(tmp_path, capsys):
    assert (
        main(
            [
                "study",
                "fretboard",
                "--out",
                str(tmp_path),
                "--tracks",
                "3",
                "--iterations",
                "100",
                "--masked",
            ]
        )
        == 0
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["tiles"] for row in results["rows"]] == ["as they are", "rotated"]
    assert "fingerings" in capsys.readouterr().out
    learner = FretboardLearner.load(tmp_path / "model.npz")
    y = cqt.read_audio(tmp_path / "corpus" / "track-001.flac")[: 2 * cqt.SR_HZ]
    strings, frets = learner.finger(y)
    assert strings.shape == (1 + len(y) // 1024, 9, 6) and len(frets[0]) == 6
    np.testing.assert_allclose(strings.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_fretboard_learns_its_tiles_by_heart(tmp_path):
    rng = np.random.RandomState(0)
    y = np.arange(40) % 5 * 12
    x = (
        rng.uniform(0, 0.1, (40, 1, 16, 48))
        + (np.arange(48) % 5 == (y // 12)[:, None])[:, None, None]
    )
    learner = FretboardLearner(learning_rate=0.2, n_iterations=800, batch_size=20).fit(x, y)
    strings, found = learner.predict(x)
    assert np.mean(found == y) > 0.9
    right = fingerings.make_fingerings()[y].argmax(axis=1)
    assert np.mean(strings.argmax(axis=1) == right) > 0.9
    with pytest.raises(ValueError, match="no tile has a chord"):
        FretboardLearner().fit(x, np.full(40, -1))
    (tmp_path / "bad.npz").write_bytes(b"no model")
    with pytest.raises(ValueError, match="no model of fretboard"):
        FretboardLearner.load(tmp_path / "bad.npz")
