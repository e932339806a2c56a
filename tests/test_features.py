"""Features of audio: their values, the file they are kept in, and what they are good for."""

import csv

import numpy as np
import pytest
from test_predict import make_model, write_noise

from deep_artists.features import Features, extract_features, save_features
from deep_artists.patches import AudioError, extract_patches


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.mark.parametrize("layer", ["pool", "hidden", "proba"])
def test_rows_are_patches_or_statistics_of_them(model, tmp_path, layer):
    paths = [write_noise(tmp_path / f"{i}.flac", i + 1.0, seed=i) for i in range(2)]
    each = [model.transform(extract_patches(path), layer) for path in paths]
    rows = extract_features(model, paths, layer, "none")
    np.testing.assert_array_equal(rows.features, np.concatenate(each))
    np.testing.assert_array_equal(rows.track, [0] * len(each[0]) + [1] * len(each[1]))
    mean = [x.astype(float).mean(axis=0) for x in each]
    std = [x.astype(float).std(axis=0) for x in each]
    means = extract_features(model, paths, layer)
    np.testing.assert_array_equal(means.features, np.array(mean, "float32"))
    both = extract_features(model, paths, layer, "meanstd")
    np.testing.assert_array_equal(both.features, np.array(np.hstack([mean, std]), "float32"))
    assert means.track_names == paths and means.track.tolist() == [0, 1]


def test_files_hold_plain_arrays(tmp_path):
    names = ["-a b.wav", "über 音.wav"]
    features = Features(np.ones((3, 2), "float32"), np.array([0, 1, 1]), names, [])
    save_features(features, tmp_path / "f.npz", layer="hidden")
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert file["track_names"].tolist() == names and str(file["layer"]) == "hidden"
        np.testing.assert_array_equal(file["features"], features.features)
        np.testing.assert_array_equal(file["track"], features.track)
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


def test_a_file_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    (tmp_path / "f.npz").write_text("old")

    def fill_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_disk)
    with pytest.raises(OSError, match="No space"):
        save_features(Features(np.ones((1, 2)), np.array([0]), ["a"], []), tmp_path / "f.npz")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("f.npz", "old")]


def test_bad_files_are_left_out_and_bad_questions_refused(model, tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(AudioError, match="no file could be used.*cannot be decoded"):
        extract_features(model, tmp_path)
    good = write_noise(tmp_path / "b.flac")
    found = extract_features(model, tmp_path)
    assert found.track_names == [good] and len(found.features) == 1
    [(path, reason)] = found.failed
    assert path.endswith("a.wav") and reason.startswith("cannot be decoded")
    with pytest.raises(ValueError, match="aggregate = 'max'"):
        extract_features(model, tmp_path, aggregate="max")
    with pytest.raises(ValueError, match="layer = 'conv'"):
        extract_features(model, tmp_path, layer="conv")
