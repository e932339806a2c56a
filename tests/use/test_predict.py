"""From audio to artists: the numbers, what is reported, and names that no one would choose."""

import csv
import io
import json
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
import soundfile

from deep_artists.artists.model import Model
from deep_artists.artists.recipe import NAMES, expected_shapes, load_recipe
from deep_artists.data.patches import AudioError, extract_patches
from deep_artists.use.predict import Prediction, find_audio, format_predictions, predict_tracks


def write_noise(path, seconds=1.0, sr_hz=22050, seed=0):
    rng = np.random.RandomState(seed)
    soundfile.write(
        os.fsencode(path), rng.uniform(-0.5, 0.5, int(seconds * sr_hz)), sr_hz, format="FLAC"
    )
    return str(path)


def make_model():
    """Random parameters; three labels for four outputs."""
    recipe = load_recipe("last", nkerns=3, n_hidden=8, n_out=4)
    rng = np.random.RandomState(0)
    values = {
        name: rng.uniform(-0.3, 0.3, size=shape).astype("float32")
        for name, shape in expected_shapes(recipe).items()
    }
    return Model(values, values, recipe, ["ann", "bob", "cid"])


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_probabilities_are_the_softmax_of_the_mean_log_probability(model, tmp_path):
    path = write_noise(tmp_path / "a.flac")
    [prediction] = predict_tracks(model, [path])
    x = extract_patches(path)
    e = np.exp(model.predict_log_proba(x).astype(float).mean(axis=0))
    expected = dict(zip(["ann", "bob", "cid", "output 3"], e / e.sum()))
    assert dict(prediction.artists) == pytest.approx(expected, rel=1e-12)
    shares = [share for _, share in prediction.artists]
    assert shares == sorted(shares, reverse=True) and prediction.n_patches == len(x)
    [best] = predict_tracks(model, [path], top=2)
    assert best.artists == prediction.artists[:2]


def test_what_should_be_known_of_a_track_is_noted(model, tmp_path):
    write_noise(tmp_path / "a.flac", 30.0)
    write_noise(tmp_path / "b.flac", 1.5, 44100)
    whole, short = predict_tracks(model, tmp_path)
    assert (whole.note, whole.resampled_from_hz, whole.n_patches) == ("", None, 129)
    assert short.note == "resampled from 44100 Hz, 1.5 s only"
    assert short.resampled_from_hz == 44100


def test_silence_has_no_artist(model, tmp_path):
    y = np.zeros(3 * 22050)
    soundfile.write(tmp_path / "a.flac", y, 22050)
    y[:22050] = 0.1
    soundfile.write(tmp_path / "b.flac", y, 22050)
    mute, fading = predict_tracks(model, tmp_path)
    assert mute.failed == "only silence: every patch is exactly zero" and not mute.artists
    assert fading.note == "3.0 s only, 7 of 12 patches are silence" and len(fading.artists) == 4


def test_a_model_of_whole_recordings_hears_the_whole(model, tmp_path):
    whole = Model(model.last, model.best, model.recipe.replace(clip="all"), model.label_names)
    path = write_noise(tmp_path / "a.flac", 40.0)
    assert predict_tracks(whole, path)[0].n_patches == 172
    assert predict_tracks(whole, write_noise(tmp_path / "b.flac", 3.0))[0].note == ""


def test_a_bad_file_is_reported_and_left_out(model, tmp_path):
    (tmp_path / "a.mp3").write_text("no sound")
    write_noise(tmp_path / "b.flac")
    write_noise(tmp_path / "c.flac", 0.1)
    (tmp_path / "d.flac").symlink_to("nowhere.flac")
    a, b, c, d = predict_tracks(model, [tmp_path])
    assert b.failed is None and len(b.artists) == 4
    reasons = "cannot be decoded", "are shorter than one patch", "no such file"
    for track, reason in zip((a, c, d), reasons):
        assert reason in track.failed
        assert track.artists == [] and str(tmp_path) not in track.failed


def test_parameters_that_are_not_finite_give_no_answer(model, tmp_path):
    values = {name: np.full_like(model.last[name], np.nan) for name in NAMES}
    diverged = Model(model.last, values, model.recipe, model.label_names)
    path = write_noise(tmp_path / "a.flac")
    assert "not finite" in predict_tracks(diverged, [path])[0].failed
    assert predict_tracks(diverged, [path], parameters="last")[0].failed is None


def test_what_cannot_be_meant_is_an_error(model, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "none.wav", tmp_path / "loop"):
        with pytest.raises(AudioError, match="no such file or folder"):
            predict_tracks(model, [path])
    with pytest.raises(AudioError, match="holds no audio"):
        predict_tracks(model, [tmp_path])
    with pytest.raises(ValueError, match="top = 0"):
        predict_tracks(model, [tmp_path], top=0)


def test_a_first_layer_is_refused_before_audio_is_read(model, tmp_path, monkeypatch):
    layer = {name: model.last[name] for name in NAMES[:2]}
    monkeypatch.setattr("deep_artists.use.predict.extract_file", lambda *_: pytest.fail("read"))
    with pytest.raises(ValueError, match="first layer only"):
        predict_tracks(Model(layer, layer, model.recipe, []), [write_noise(tmp_path / "a.flac")])


def test_files_and_folders_are_listed_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.flac", "b/1.flac", "a.flac", "b/.hidden.flac", "b/notes.txt"):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        write_noise(name)
    os.symlink("..", "b/up")
    assert find_audio(["b", "a.flac"]) == ["b/1.flac", "b/2.flac", "a.flac"]
    assert find_audio(["b/2.flac", "./b", tmp_path, "a.flac", "a.flac"]) == [
        "b/2.flac",
        "b/1.flac",
        str(tmp_path / "a.flac"),
    ]
    assert find_audio("b/notes.txt") == ["b/notes.txt"]


def test_any_name_will_do(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        "-",
        "--top",
        "-x y.flac",
        'a, "b".flac',
        "line\nfeed.flac",
        "über 音.flac",
        os.fsdecode(b"latin-\xe9.flac"),
    ]
    for name in names:
        write_noise(os.path.abspath(name))
    predictions = predict_tracks(model, names, top=1)
    assert [p.path for p in predictions] == names
    assert not any(p.failed for p in predictions)
    assert [p["path"] for p in json.loads(format_predictions(predictions, "json"))] == names
    rows = list(csv.DictReader(io.StringIO(format_predictions(predictions, "csv"), newline="")))
    assert [row["path"] for row in rows] == names[:-1] + ["latin-\\udce9.flac"]
    text = format_predictions(predictions)
    assert text.count("\n") == len(names) and text.encode()


def test_formats_say_the_same():
    predictions = [
        Prediction("a b.ogg", [("ann", 0.75), ("bob", 0.25)], 129),
        Prediction("c.wav", [("bob", 1.0)], 3, 44100, "resampled from 44100 Hz, 0.7 s only"),
        Prediction("d.wav", failed="no sound"),
    ]
    assert format_predictions(predictions) == (
        "a b.ogg: ann 75.0 %, bob 25.0 %\n"
        "c.wav: bob 100.0 % (resampled from 44100 Hz, 0.7 s only)\n"
    )
    a, c, d = json.loads(format_predictions(predictions, "json"))
    assert a["artists"] == [
        {"artist": "ann", "probability": 0.75},
        {"artist": "bob", "probability": 0.25},
    ]
    assert c["resampled_from_hz"] == 44100 and c["n_patches"] == 3 and a["failed"] is None
    assert d["artists"] == [] and d["failed"] == "no sound"
    assert format_predictions(predictions, "csv").splitlines() == [
        "path,rank,artist,probability,n_patches,resampled_from_hz,note,failed",
        "a b.ogg,1,ann,0.75,129,,,",
        "a b.ogg,2,bob,0.25,129,,,",
        'c.wav,1,bob,1.0,3,44100,"resampled from 44100 Hz, 0.7 s only",',
        "d.wav,,,,0,,,no sound",
    ]
    with pytest.raises(ValueError, match="form = 'xml'"):
        format_predictions(predictions, "xml")


def test_jobs_change_nothing(model, tmp_path):
    for i in range(3):
        write_noise(tmp_path / f"{i}.flac", seed=i)
    with joblib.parallel_config(backend="threading"):
        assert predict_tracks(model, tmp_path, jobs=2) == predict_tracks(model, tmp_path)


def test_import_is_cheap():
    code = (
        "import sys, deep_artists.use.predict, deep_artists.use.features; "
        "print({'pytensor', 'librosa', 'sklearn', 'scipy', 'joblib'} & sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
