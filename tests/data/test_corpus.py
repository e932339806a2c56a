import csv
import hashlib
import json
import os

import numpy as np
import pytest
import soundfile

from deep_artists.data.corpus import KEYS, write_corpus
from deep_artists.data.synthesis import (
    INSTRUMENTS,
    MODES,
    SAMPLE_RATE,
    CorpusError,
    synthesise_track,
)

SMALL = {"n_artists": 2, "n_tracks": 2, "duration_s": 0.5}


def read_labels(folder):
    with open(folder / "tracks.csv", newline="") as file:
        return list(csv.DictReader(file))


def read_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_samples_are_those_recorded():
    # One artist of each instrument. The same with NumPy 2.4 and 2.5, SciPy 1.17 and 1.18, and
    # with NumPy's AVX2 and AVX-512 code switched off.
    digest = hashlib.sha256()
    for artist in range(len(INSTRUMENTS)):
        y = synthesise_track(artist, 1, duration_s=2.0, seed=2013)
        digest.update(np.rint(32767 * y).astype("<i2"))
    assert digest.hexdigest() == "c7da44b9e5e99228620bdff7cad63399159a3130797cfb20ccea9c7a686c0c98"


def test_a_track_depends_on_its_arguments_only():
    y = synthesise_track(3, 2, duration_s=1.0)
    synthesise_track(4, 0, duration_s=1.0)
    np.testing.assert_array_equal(y, synthesise_track(3, 2, duration_s=1.0))
    for other in ({"artist": 4}, {"track": 3}, {"seed": 1}):
        arguments = {"artist": 3, "track": 2, "duration_s": 1.0, **other}
        assert np.abs(y - synthesise_track(**arguments)).max() > 0.01


@pytest.mark.parametrize("artist", range(20))
def test_samples_are_in_range_and_as_loud_as_records(artist):
    y = synthesise_track(artist, artist % 6, duration_s=3.0)
    assert y.dtype == np.float64 and y.shape == (3 * SAMPLE_RATE,)
    assert np.abs(y).max() <= 0.99
    assert -26 < 10 * np.log10(np.mean(y**2)) < -16


def test_tracks_of_an_artist_differ_in_loudness():
    levels = [np.std(synthesise_track(0, track, duration_s=1.0)) for track in range(6)]
    assert max(levels) > 1.3 * min(levels)


def test_jobs_do_not_change_the_files(tmp_path):
    one = write_corpus(tmp_path / "one", **SMALL, jobs=1)
    two = write_corpus(tmp_path / "two", **SMALL, jobs=2)
    assert read_bytes(one) == read_bytes(two)
    assert len(read_bytes(one)) == 2 * 2 + 3


def test_files_hold_the_samples(tmp_path):
    folder = write_corpus(tmp_path, **SMALL)
    path = folder / "synthetic-02" / "track-01.flac"
    samples, rate = soundfile.read(path, dtype="int16")
    info = soundfile.info(path)
    assert (rate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
    np.testing.assert_array_equal(samples, np.rint(32767 * synthesise_track(1, 0, 0.5)))


def test_labels(tmp_path):
    folder = write_corpus(tmp_path, n_artists=6, n_tracks=6, duration_s=0.25)
    rows = read_labels(folder)
    flacs = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.flac"))]
    assert [row["path"] for row in rows] == flacs
    for artist in {row["artist"] for row in rows}:
        own = [row for row in rows if row["artist"] == artist]
        assert all(row["path"].startswith(f"{artist}/track-") for row in own)
        assert len({(row["mode"], row["tempo_class"]) for row in own}) == 6
        assert len({row["key"] for row in own}) > 1
        assert len({row["instrument"] for row in own}) == 1
    shared = {row["artist"] for row in rows if row["instrument"] == "plucked"}
    assert shared == {"synthetic-01", "synthetic-06"}
    fastest = {
        name: max(float(row["tempo_bpm"]) for row in rows if row["tempo_class"] == name)
        for name in ("slow", "medium", "fast")
    }
    assert 60 <= fastest["slow"] < fastest["medium"] < fastest["fast"] <= 168


def test_mode_and_key_are_heard(tmp_path):
    folder = write_corpus(tmp_path, n_artists=1, n_tracks=6, duration_s=5.0)
    for row in read_labels(folder):
        y, _ = soundfile.read(folder / row["path"])
        power = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
        hz = np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE)
        fundamentals = (hz > 90) & (hz < 500)
        semitone = np.rint(69 + 12 * np.log2(hz[fundamentals] / 440)).astype(int)
        degree = (semitone - KEYS.index(row["key"])) % 12
        chroma = np.bincount(degree, power[fundamentals], minlength=12)
        assert chroma[list(MODES[row["mode"]])].sum() > 0.8 * chroma.sum()


def test_artists_can_be_told_apart_on_other_tracks():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def bands(y):  # mean and spread of 24 log band powers
        frames = np.lib.stride_tricks.sliding_window_view(y, 512)[::256] * np.hanning(512)
        power = np.abs(np.fft.rfft(frames))[:, 1:193] ** 2
        level = np.log(power.reshape(len(power), 24, 8).sum(axis=2) + 1e-6)
        level -= level.mean()  # loudness is no clue
        return np.hstack([level.mean(axis=0), level.std(axis=0)])

    n_artists, n_tracks = 6, 5
    x = np.array(
        [
            [bands(synthesise_track(a, t, duration_s=1.5)) for t in range(n_tracks)]
            for a in range(n_artists)
        ]
    )
    y = np.repeat(np.arange(n_artists)[:, None], n_tracks, axis=1)
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis("lsqr", shrinkage=0.3))
    model.fit(x[:, :3].reshape(-1, 48), y[:, :3].ravel())
    score = model.score(x[:, 3:].reshape(-1, 48), y[:, 3:].ravel())
    assert score > 0.7  # chance: 0.17


def test_a_second_call_writes_nothing(tmp_path):
    folder = write_corpus(tmp_path, **SMALL)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.flac")}
    write_corpus(tmp_path, **SMALL)
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*.flac")}


def test_damaged_and_missing_tracks_are_written_again(tmp_path):
    folder = write_corpus(tmp_path, **SMALL)
    before = read_bytes(folder)
    (folder / "synthetic-01" / "track-01.flac").unlink()
    (folder / "synthetic-01" / "track-02.flac").write_text("no sound")
    soundfile.write(folder / "synthetic-02" / "track-01.flac", np.zeros(99), SAMPLE_RATE)
    write_corpus(tmp_path, **SMALL)
    assert read_bytes(folder) == before


def test_an_interrupted_run_can_be_repeated(tmp_path, monkeypatch):
    replace = os.replace

    def fail_at_second_artist(source, target):
        if "synthetic-02" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_at_second_artist)
    with pytest.raises(CorpusError, match="No space left on device.*choose a folder"):
        write_corpus(tmp_path / "a", **SMALL)
    assert (tmp_path / "a" / "synthetic-01" / "track-02.flac").exists()
    assert list((tmp_path / "a" / "synthetic-02").iterdir()) == []  # no half-written file
    monkeypatch.undo()
    again = write_corpus(tmp_path / "a", **SMALL)
    assert read_bytes(again) == read_bytes(write_corpus(tmp_path / "b", **SMALL))


def test_another_corpus_is_not_mixed_in(tmp_path):
    write_corpus(tmp_path, **SMALL)
    before = read_bytes(tmp_path)
    with pytest.raises(CorpusError, match="holds another corpus.*'seed': 2013"):
        write_corpus(tmp_path, **SMALL, seed=1)
    assert read_bytes(tmp_path) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.flac").write_bytes(b"mine")
    with pytest.raises(CorpusError, match="not empty.*'holiday.flac'"):
        write_corpus(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.flac"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot be written to .*file/corpus.*choose a folder"):
        write_corpus(tmp_path / "file" / "corpus", **SMALL)


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": 3}', "\x00"])
def test_a_damaged_manifest(tmp_path, text):
    write_corpus(tmp_path, **SMALL)
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(CorpusError, match="corpus.json is damaged"):
        write_corpus(tmp_path, **SMALL)


def test_the_manifest_holds_hashes_of_the_samples(tmp_path):
    write_corpus(tmp_path, **SMALL)
    hashes = json.loads((tmp_path / "corpus.json").read_text())["sha256"]
    samples, _ = soundfile.read(tmp_path / "synthetic-01" / "track-02.flac", dtype="int16")
    digest = hashlib.sha256(samples.astype("<i2")).hexdigest()
    assert hashes["synthetic-01/track-02.flac"] == digest


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_artists": 0}, "n_artists = 0; needed: 1 to 999"),
        ({"n_artists": 2.5}, "n_artists = 2.5; needed: an integer"),
        ({"n_tracks": True}, "n_tracks = True; needed: an integer"),
        ({"n_tracks": 1000}, "n_tracks = 1000; needed"),
        ({"duration_s": 0.2}, "duration_s = 0.2; needed: 0.25 to 600"),
        ({"duration_s": float("nan")}, "duration_s = nan; needed"),
        ({"duration_s": "30"}, "duration_s = '30'; needed"),
        ({"seed": -1}, "seed = -1; needed"),
        ({"seed": None}, "seed = None; needed"),
        ({"jobs": 0}, "jobs = 0; needed"),
        ({"jobs": -2}, "jobs = -2; needed"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(CorpusError, match=message):
        write_corpus(tmp_path / "corpus", **{**SMALL, **arguments})
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("arguments", [{"artist": -1}, {"artist": "0"}, {"track": 999}])
def test_bad_artist_or_track(arguments):
    name = next(iter(arguments))
    with pytest.raises(CorpusError, match=f"{name} = .*needed"):
        synthesise_track(**{"artist": 0, "track": 0, **arguments})
