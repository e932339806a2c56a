"""Embeddings: a row for every input in its order, the times of patches, and files that are bad."""

import warnings

import numpy as np
import pytest
import soundfile

from deep_artists.artists.model import Model
from deep_artists.artists.recipe import expected_shapes, load_recipe
from deep_artists.data.patches import AudioError, extract_patches


def make_model(seed=0):
    recipe = load_recipe("last", nkerns=3, n_hidden=8, n_out=4)
    rng = np.random.RandomState(seed)
    values = {
        name: rng.uniform(-0.3, 0.3, size=shape).astype("float32")
        for name, shape in expected_shapes(recipe).items()
    }
    return Model(values, values, recipe, ["ann", "bob", "cid"])


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files of noise and one that is no sound."""
    folder = tmp_path_factory.mktemp("audio")
    for i, seconds in enumerate((1.0, 2.0)):
        y = np.random.RandomState(i).uniform(-0.5, 0.5, int(22050 * seconds))
        soundfile.write(folder / f"{i}.flac", y, 22050)
    (folder / "bad.flac").write_text("no sound")
    return folder


def test_rows_are_those_of_the_inputs_in_their_order(model, folder):
    a, b = (str(folder / f"{i}.flac") for i in range(2))
    x = [b, a, folder / "1.flac", a]
    rows = model.embed(x)
    assert rows.shape == (4, 8) and rows.dtype == "float32"
    mean = [model.transform(extract_patches(p)).mean(axis=0, dtype=float) for p in (a, b)]
    np.testing.assert_array_equal(rows, np.array([mean[1], mean[0]] * 2, "float32"))
    np.testing.assert_array_equal(model.embed(a), rows[1])
    np.testing.assert_array_equal(model.embed(np.array([a, b]), "pool", "meanstd").shape, (2, 36))
    assert model.embed([]).shape == (0, 8)


def test_samples_are_as_good_as_a_file(model, folder):
    y, sr = soundfile.read(folder / "1.flac")
    expected = model.embed(folder / "1.flac")
    np.testing.assert_array_equal(model.embed((y, sr)), expected)
    stereo = np.array([y, y])
    np.testing.assert_array_equal(model.embed([(stereo, sr), (y, sr)]), [expected, expected])


def test_frames_have_the_times_of_the_recording(model, tmp_path):
    y = np.random.RandomState(0).uniform(-0.5, 0.5, 31 * 22050)
    soundfile.write(tmp_path / "a.flac", y, 22050)
    y, sr = soundfile.read(tmp_path / "a.flac")
    hop_s = 40 * 128 / 22050
    for x in (tmp_path / "a.flac", (y, sr)):
        frames, times = model.embed(x, aggregate="none")
        np.testing.assert_array_equal(frames, model.transform(extract_patches(y)))
        np.testing.assert_allclose(times, 1 + hop_s * np.arange(129), rtol=1e-12)
        frames, times = model.embed(x, aggregate="none", clip="all")
        np.testing.assert_allclose(times, hop_s * np.arange(133), rtol=1e-12)
        patch = extract_patches(y[7 * 5120 : 7 * 5120 + 5504])
        np.testing.assert_array_equal(frames[7], model.transform(patch)[0])
    frames, times = model.embed((y, sr), aggregate="none", hop_s=0.1)
    assert len(frames) == len(times) == 1 + (5164 - 40) // 17
    np.testing.assert_allclose(np.diff(times), 17 * 128 / 22050)
    patch = extract_patches(y[22050 + 3 * 17 * 128 :][:5504])
    np.testing.assert_array_equal(frames[3], model.transform(patch)[0])


def test_times_of_another_sample_rate_are_those_of_its_file(model, tmp_path):
    y = np.random.RandomState(0).uniform(-0.5, 0.5, int(32.5 * 44100))
    soundfile.write(tmp_path / "a.flac", y, 44100)
    _, times = model.embed(tmp_path / "a.flac", aggregate="none")
    assert times[0] == 2.5
    [frames], [times] = model.embed([(y[:44100], 44100)], aggregate="none")
    assert times[0] == 0 and len(frames) == len(times) == 4


def test_a_bad_file_is_an_error_or_nan(model, folder):
    x = [folder / "0.flac", folder / "bad.flac", folder / "none.flac", folder / "1.flac", folder]
    with pytest.raises(AudioError, match="bad.flac: cannot be decoded"):
        model.embed(x)
    with pytest.warns(RuntimeWarning, match=r"3 of 5 recordings .* NaN; the first: .*bad.flac"):
        rows = model.embed(x, on_error="nan", aggregate="meanstd")
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, False, True]
    np.testing.assert_array_equal(rows[[0, 3]], model.embed([x[0], x[3]], aggregate="meanstd"))
    with pytest.warns(RuntimeWarning):
        frames, times = model.embed(x, on_error="nan", aggregate="none")
    assert [len(f) for f in frames] == [len(t) for t in times] == [4, 1, 1, 8, 1]
    assert np.isnan(frames[1]).all() and np.isnan(times[1]).all()


def test_a_thousand_inputs_with_duplicates_and_bad_ones(model, folder, monkeypatch):
    """Rows match inputs whatever is wrong with some of them."""
    kinds = np.random.RandomState(0).randint(3, size=1000)
    names = [str(folder / name) for name in ("0.flac", "1.flac", "bad.flac")]
    rows, short = {}, {name: (np.full((64, 40), i, "float32"), 0.0) for i, name in enumerate(names)}
    short[names[2]] = None, "bad"
    monkeypatch.setattr(
        "deep_artists.artists.embed.read_recording", lambda recording, clip: short[recording]
    )
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        rows = model.embed([names[k] for k in kinds], on_error="nan")
    expected = np.array([model.embed(names[0]), model.embed(names[1]), np.full(8, np.nan)])
    np.testing.assert_array_equal(rows, expected[kinds])


@pytest.mark.parametrize(
    "x, options, words",
    [
        (np.zeros(22050), {}, r"sample rate too, as \(y, sr\)"),
        ([3], {}, "'3': a path"),
        (3, {}, "'3': a path"),
        ("a.flac", {"aggregate": "max"}, "aggregate = 'max'"),
        ("a.flac", {"on_error": "skip"}, "on_error = 'skip'"),
        ("a.flac", {"layer": "conv"}, "layer = 'conv'"),
        ("a.flac", {"clip": "first30"}, "clip = 'first30'"),
        ("a.flac", {"hop_s": 0}, "hop_s = 0"),
        ("a.flac", {"jobs": 0}, "jobs = 0"),
    ],
)
def test_what_cannot_be_meant_is_an_error(model, x, options, words):
    with pytest.raises(ValueError, match=words):
        model.embed(x, **options)


def test_parameters_that_are_not_finite_give_no_embedding(model, folder):
    values = {name: np.full_like(a, np.nan) for name, a in model.last.items()}
    diverged = Model(values, model.best, model.recipe, model.label_names)
    with pytest.raises(AudioError, match="0.flac: the model gives values that are not finite"):
        diverged.embed([folder / "0.flac"], parameters="last")
