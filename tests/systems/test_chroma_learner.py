"""Learned chroma for use: the transformer, folders of annotated audio, saved models, bad input."""

import sys

import librosa
import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deep_artists.data.chords import annotations, corpus, cqt, vocabulary
from deep_artists.data.chords.annotations import AnnotationError, Segments, read_segments
from deep_artists.data.chords.scores import count_right, weigh_frames, weigh_right
from deep_artists.data.patches import AudioError
from deep_artists.systems.chroma_files import read_frames, train_folder
from deep_artists.systems.chroma_learner import ChromaLearner, scale_frames

FEW = dict(n_iterations=600, batch_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return corpus.write_chord_corpus(tmp_path_factory.mktemp("chords"), 3, 20, seed=1)


@pytest.fixture(scope="module")
def learner(folder):
    return train_folder(folder, **FEW)[0]


def make_frames(n=200, n_bins=192):
    """Frames whose bins are louder where they are in the chord, and the names of the chords."""
    rng = np.random.RandomState(0)
    names = np.array(vocabulary.name_chords(2))[np.arange(n) % 25]
    bits = vocabulary.make_templates(2)[np.arange(n) % 25]
    return 0.2 + bits[:, (9 + np.arange(n_bins) // 2) % 12] * rng.uniform(size=(n, n_bins)), names


def test_it_learns_chords_and_clones():
    X, y = make_frames()
    learner = ChromaLearner(n_qualities=2, **FEW).fit(X, y)
    assert np.mean(learner.predict(X) == y) > 0.95
    again = clone(learner).fit(X, y)
    np.testing.assert_array_equal(learner.transform(X), again.transform(X))
    assert learner.transform(X).shape == (200, 12) and learner.transform(X).dtype == np.float32
    pipeline = make_pipeline(learner, StandardScaler()).fit(X, y)
    assert pipeline.transform(X).shape == (200, 12)
    assert learner.get_feature_names_out()[0] == "chromalearner0"


@pytest.mark.parametrize(
    "options",
    [
        {"n_hidden": (16,)},
        pytest.param({"compression": "log"}, marks=pytest.mark.slow),
        {"rotate": True},
        {"L2": 1e-3},
        pytest.param({"L1": 1e-4}, marks=pytest.mark.slow),
        pytest.param({"n_hidden": (16,), "dropout": 0.5}, marks=pytest.mark.slow),
        {"floatX": "float64"},
    ],
)
def test_every_option_learns(options):
    X, y = make_frames()
    learner = ChromaLearner(n_qualities=2, n_iterations=1500, **options).fit(X, y)
    assert learner.losses_[-50:].mean() < 0.6 * learner.losses_[:10].mean()
    assert np.isfinite(learner.transform(X)).all()


def test_use_is_the_network_without_its_halving():
    """What NumPy computes is what the graph does."""
    from deep_artists.systems.chroma import ChromaNetwork

    X, y = make_frames()
    learner = ChromaLearner(n_qualities=2, n_hidden=(16,), floatX="float64", n_iterations=50)
    learner.fit(X, y)
    network = ChromaNetwork(
        192, vocabulary.make_templates(2), (16,), "float64", values=learner.values_, halved=False
    )
    graph = network.chroma.eval({network.x: learner.scale(X)}, mode="FAST_COMPILE")
    np.testing.assert_allclose(learner.transform(X), graph, rtol=0, atol=1e-12)


def test_columns_of_norm_one_stay_so():
    X, y = make_frames()
    learner = ChromaLearner(n_qualities=2, unit_columns=True, n_iterations=50).fit(X, y)
    np.testing.assert_allclose((learner.values_["affine0_W"] ** 2).sum(axis=0), 1, rtol=1e-5)


def test_the_first_chord_counts_and_unknown_ones_are_left_out():
    X, y = make_frames()
    y = y.copy()
    y[y == "D:min"] = "X"
    learner = ChromaLearner(n_qualities=2, n_iterations=300).fit(X, y)
    assert learner.n_left_out_ == 8
    assert np.mean(learner.predict(X[y == "C:maj"]) == "C:maj") > 0.5


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda X, y: (-X, y), "negative"),
        (lambda X, y: (np.where(X > 0, np.nan, X), y), "NaN"),
        (lambda X, y: (X, y[:-1]), "a chord a frame"),
        (lambda X, y: (X, None), "a chord a frame"),
        (lambda X, y: (X, np.full(len(y), 99)), "-1 to 24"),
        (lambda X, y: (X, np.full(len(y), "X")), "no frame has a label"),
    ],
)
def test_bad_frames_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ChromaLearner(n_qualities=2, n_iterations=1).fit(*change(*make_frames()))


@pytest.mark.parametrize(
    "options",
    [
        {"bins_per_octave": 20},
        {"floatX": "float16"},
        {"n_hidden": 64},
        {"batch_size": 0},
        {"n_iterations": -1},
    ],
)
def test_bad_parameters_are_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ChromaLearner(n_qualities=2, **options).fit(*make_frames())


def test_whole_numbers_may_be_floats_and_parameters_numpy_s_own(tmp_path):
    X, y = make_frames()
    index = vocabulary.index_labels(y, 2).astype(float)
    learner = ChromaLearner(2, n_iterations=np.int64(2), learning_rate=np.float32(0.125))
    learner.fit(X, index).save(tmp_path / "model.npz")
    assert ChromaLearner.load(tmp_path / "model.npz").learning_rate == 0.125


def test_silence_stays_finite():
    X, y = make_frames()
    X[::7] = 0
    learner = ChromaLearner(n_qualities=2, n_iterations=20).fit(X, y)
    assert np.isfinite(learner.transform(X)).all()
    assert not scale_frames(np.zeros((1, 3))).any()


# --- audio ---


def test_chroma_stands_where_librosas_stood(learner, folder):
    path = folder / "track-001.flac"
    y = cqt.read_audio(path)
    ours, theirs = learner.chroma(y), librosa.feature.chroma_cqt(y=y, sr=22050)
    assert ours.shape == theirs.shape and ours.shape[0] == 12
    np.testing.assert_allclose(np.abs(ours).max(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(ours, learner.chroma(str(path)))
    librosa.segment.recurrence_matrix(ours)
    # Row 0 is C: a C sounds louder there than in any other row, on average over its frames.
    agree = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs)])
    shifted = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(np.roll(ours, 1, axis=0), theirs)])
    assert agree > 0.3 > shifted


def test_a_saved_model_is_the_same_and_holds_no_pickle(learner, folder, tmp_path):
    path = tmp_path / "model.npz"
    learner.save(path)
    again = ChromaLearner.load(path)
    y = cqt.read_audio(folder / "track-001.flac")
    np.testing.assert_array_equal(learner.chroma(y), again.chroma(y))
    assert again.get_params() == learner.get_params()
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fU" for name in file.files)


def test_a_damaged_model_is_refused(learner, tmp_path):
    learner.save(tmp_path / "model.npz")
    data = (tmp_path / "model.npz").read_bytes()
    for name, content in (("cut", data[: len(data) // 2]), ("empty", b""), ("text", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="no model of chroma, or is damaged"):
            ChromaLearner.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", about=np.array('{"kind": "genre", "format": 1}'))
    with pytest.raises(ValueError, match="'genre'"):
        ChromaLearner.load(tmp_path / "other.npz")


def test_chords_are_decided_and_written(learner, folder, tmp_path):
    segments = learner.annotate(folder / "track-001.flac")
    assert segments.intervals[0, 0] == 0 and segments.intervals[-1, 1] == pytest.approx(20)
    annotations.write_segments(segments, tmp_path / "found.lab")
    assert read_segments(tmp_path / "found.lab").labels == segments.labels


@pytest.mark.parametrize(
    "y", [np.zeros((2, 100)), np.zeros(0), np.zeros(9, int), np.full(9000, np.nan)]
)
def test_audio_that_is_none_is_refused(learner, y):
    with pytest.raises(AudioError):
        learner.chroma(y)


def test_a_low_sample_rate_is_refused(learner):
    with pytest.raises(AudioError, match="14080 Hz are needed"):
        learner.chroma(np.zeros(8000), sr=8000)


# --- annotations ---


def test_files_that_cannot_be_used_are_reported_and_counted(folder, tmp_path):
    good = "0 1 C:maj\n1.0\t2.0\tX\n2 3 F#:min7/b3x\n"
    labs = {
        "good": good,
        "overlap": "0 1.5 C:maj\n1 2 N\n",
        "long": "0 90 C:maj\n",
        "damaged": "0 one C:maj\n",
        "empty": "# nothing\n",
        "backwards": "2 1 C:maj\n",
        "negative": "-1 1 C:maj\n",
        "orphan": good,
    }
    for name, text in labs.items():
        (tmp_path / f"{name}.lab").write_text(text)
        if name != "orphan":
            soundfile.write(
                tmp_path / f"{name}.wav",
                np.random.RandomState(0).uniform(-0.1, 0.1, 3 * 22050),
                22050,
            )
    soundfile.write(tmp_path / "alone.wav", np.zeros(22050), 22050)
    (tmp_path / "noise.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "noise.lab").write_text(good)
    frames = read_frames(tmp_path)
    assert frames.names == ["good.wav"]
    reasons = dict(frames.left_out)
    expected = {
        "overlap.wav": "overlap",
        "long.wav": "another piece",
        "alone.wav": "no .lab",
        "damaged.wav": "line 1 is '0 one C:maj'",
        "empty.wav": "no chord segments",
        "backwards.wav": "no length",
        "negative.wav": "negative",
        "orphan.lab": "no sound file",
        "noise.wav": "cannot be decoded",
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert words in reasons[name], name
    assert {"C:maj", "X", "F#:min7/b3x"} <= {*frames.labels}


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of the files"):
        read_frames(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        read_frames(tmp_path / "missing")


def test_an_annotation_may_end_a_little_after_its_audio():
    segments = Segments(np.array([[0.0, 10.5]]), ["N"])
    annotations.check_length(segments, 10, "x.lab")
    with pytest.raises(AnnotationError, match="another piece"):
        annotations.check_length(segments, 9, "x.lab")


def test_spellings_are_read_with_mir_eval():
    labels = [
        "C:maj",
        "Db:min",
        "A",
        "F#:min7/b3",
        "G:sus4",
        "N",
        "X",
        "H:maj",
        "C:sus2(4)",
        "Cb:7",
    ]
    found = vocabulary.index_labels(labels, 13)
    assert found.tolist() == [0, 13, 9, 42, 115, 156, -1, -1, -1, 59]
    assert vocabulary.index_labels(["G:sus4"], 5).tolist() == [-1]


def test_a_label_map_of_2013_is_all_that_counts(tmp_path):
    (tmp_path / "map.json").write_text('{"C": "0", "A:min": "21"}')
    label_map = vocabulary.read_label_map(tmp_path / "map.json")
    assert vocabulary.index_labels(["C", "A:min", "C:maj"], 2, label_map).tolist() == [0, 21, -1]
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="no JSON object"):
        vocabulary.read_label_map(tmp_path / "bad.json")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mir_eval", None)
    monkeypatch.setitem(sys.modules, "mir_eval.chord", None)
    monkeypatch.setitem(sys.modules, "jams", None)
    assert vocabulary.index_labels(["C:maj", "N", "X"], 5).tolist() == [0, 60, -1]
    with pytest.raises(RuntimeError, match=r"pip install .deep_artists\[chords\]"):
        vocabulary.index_labels(["C:maj/3"], 5)
    with pytest.raises(RuntimeError, match=r"pip install .deep_artists\[chords\]"):
        annotations.import_jams()


def test_jams_go_there_and_back(tmp_path):
    segments = Segments(np.array([[0.0, 1.0], [1.0, 2.5]]), ["C:maj", "N"])
    annotations.write_segments(segments, tmp_path / "a.jams")
    again = read_segments(tmp_path / "a.jams")
    assert again.labels == segments.labels
    np.testing.assert_allclose(again.intervals, segments.intervals)
    (tmp_path / "b.jams").write_text("{")
    with pytest.raises(AnnotationError, match="cannot be read as JAMS"):
        read_segments(tmp_path / "b.jams")


# --- scores ---


def test_scores_of_2013():
    index = np.array([0, 0, 0, 12, 24, -1])
    assert count_right(index, np.array([0, 0, 1, 12, 24, 3]), 2) == {
        "FWRR": 0.8,
        "AICA": pytest.approx((2 / 3 + 1 + 1) / 3),
    }
    with pytest.raises(ValueError, match="no frame"):
        count_right(np.array([-1]), np.array([0]), 2)


def test_scores_of_mir_eval():
    reference = Segments(np.array([[0.0, 3.0], [3.0, 4.0]]), ["C:maj", "A:min7"])
    found = Segments(np.array([[0.0, 2.0], [2.0, 3.5]]), ["C:maj", "A:min"])
    scores = weigh_right(reference, found)
    assert scores["majmin"] == pytest.approx(2.5 / 4) and scores["tetrads"] == pytest.approx(0.5)
    assert weigh_frames(["C:maj", "N"], ["C:maj", "G:7"])["majmin"] == 0.5
