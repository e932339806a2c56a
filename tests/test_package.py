"""The front door: public names, cheap imports, and commands that print no warning."""

import numpy as np
import pytest

import deep_artists

PUBLIC = {
    "train", "Model", "load", "load_recipe", "list_recipes", "extract_patches", "extract_folder",
    "make_dataset", "open_dataset", "predict_tracks", "extract_features", "write_corpus", "verify",
    "DeepArtistClassifier", "AudioEmbedder", "__version__",
}  # fmt: skip


def test_public_names_are_listed_and_are_there():
    assert set(dir(deep_artists)) == set(deep_artists.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(deep_artists, name) is not None
    assert deep_artists.load == deep_artists.Model.load
    with pytest.raises(AttributeError, match="no_such_name"):
        deep_artists.no_such_name  # noqa: B018


def test_importing_the_package_imports_nothing_heavy(run_python):
    code = "import sys, deep_artists; print(*sys.modules)"
    modules = set(run_python("-c", code).stdout.split())
    assert not modules & {"numpy", "scipy", "pytensor", "librosa", "sklearn", "joblib", "soundfile"}


def test_help_says_what_to_read_first():
    assert len(deep_artists.__doc__.splitlines()) <= 20
    for name in ("nn/layers.py", "artists/network.py", "nn/steps.py", "deep-artists reproduce"):
        assert name in deep_artists.__doc__


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, run_python):
    """Run the command in a process of its own; the first that compiles finds an empty cache."""
    folder = tmp_path_factory.mktemp("fresh")

    def run(*arguments):
        flags = f"base_compiledir={folder / 'cache'}"
        return run_python("-W", "always::UserWarning", "-m", "deep_artists", *arguments,
                          cwd=folder, PYTENSOR_FLAGS=flags)  # fmt: skip

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def tiny_set(fresh):
    """A folder of audio, its set, and a model of one epoch, each made by the command."""
    deep_artists.write_corpus(fresh.folder / "audio", n_artists=3, n_tracks=5, duration_s=4)
    assert fresh("extract", "audio", "--out", "patches", "--jobs", "1").stderr == ""
    assert fresh("dataset", "patches", "--out", "set").stderr == ""
    return fresh.folder / "set"


@pytest.mark.slow
def test_no_command_prints_a_warning(fresh, tiny_set):
    quick = ["--epochs", "1", "--set", "batch_size=10", "--set", "n_hidden=8"]
    trained = fresh("train", "set", "--out", "model", *quick)
    assert trained.returncode == 0, trained.stderr
    allowed = ("train ...", "train: ", "evaluate ...", "ran for ")
    assert [line for line in trained.stderr.splitlines() if not line.startswith(allowed)] == []
    for arguments in (
        ["--version"],
        ["predict", "model/model.npz", "audio"],
        ["features", "model/model.npz", "audio"],
        ["plot", "model"],
        ["recipes"],
        ["info"],
    ):
        done = fresh(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    reproduced = fresh("reproduce", "audio", "--out", "run", "--jobs", "1", *quick)
    assert reproduced.returncode == 0 and "arning" not in reproduced.stderr
    with np.load(fresh.folder / "deep_artists_features.npz") as file:
        assert file["features"].shape == (15, 8)


@pytest.mark.slow
def test_verify_prints_no_warning_where_nothing_is_compiled_yet(run_python, tmp_path):
    code = "from deep_artists import verify; print(len(verify(parts=['rectify']).checks))"
    flags = f"base_compiledir={tmp_path / 'cache'}"
    done = run_python("-W", "always::UserWarning", "-c", code, PYTENSOR_FLAGS=flags, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("8\n", "")


def test_the_version_is_that_of_the_package(fresh):
    assert fresh("--version").stdout == f"deep-artists {deep_artists.__version__}\n"
