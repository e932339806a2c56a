"""What a run prints of its set."""

import numpy as np

from deep_artists import make_dataset
from deep_artists.cli.report import measure_chance, report_set, score_artists
from deep_artists.data.dataset import Split


def test_a_set_of_many_artists_is_reported_in_few_words(tmp_path, capsys):
    for i in range(300):
        folder = tmp_path / "patches" / f"artist {i:04d}"
        folder.mkdir(parents=True)
        for track in "abcde" if i < 20 else "a":
            np.save(folder / f"{track}.mel.npy", np.ones((1, 2560), np.float32))
    dataset = make_dataset(tmp_path / "patches", tmp_path / "set")
    assert len(dataset.label_names) == 300 and dataset.label_names[123] == "artist 0123"
    track = dataset.track_names["train"][0]
    assert track.startswith(dataset.label_names[dataset.train.y[0]])
    report_set(dataset)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) < 400 and lines[2].endswith("204 more artists")


def test_silence_and_whose_it_is_are_reported(tmp_path, capsys):
    for artist in "abc":
        for i in range(5):
            x = np.ones((4, 2560), np.float32)
            x[4 - (2 if artist == "b" and i < 3 else i == 0) :] = 0
            (tmp_path / "patches" / artist).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "patches" / artist / f"{i}.mel.npy", x)
    for drop, words in ((False, "are kept (--drop-silence"), (True, "were left out")):
        report_set(make_dataset(tmp_path / "patches", tmp_path / "set", drop_silence=drop))
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("8 patches of 5 tracks are silence, exactly zero, and ")
        assert words in line and line.endswith("6 of them are of 3 tracks of b")


class Oracle:
    """Says 0 of every patch, and of every track."""

    label_names = ["ann", "bob", "cid"]

    def predict(self, x):
        return np.zeros(len(x), int)

    def predict_by_track(self, x, track):
        return np.unique(track), np.zeros(len(np.unique(track)), int)


def test_scores_by_artist_and_chance_are_of_patches_and_of_tracks():
    y, track = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 2, 3, 3, 3, 3])
    split = Split(np.zeros((7, 2560)), y, track)
    scores = score_artists(Oracle(), split)
    assert set(scores) == {"ann", "bob"}
    assert scores["ann"]["patches"] == {"precision": 3 / 7, "recall": 1.0, "f1": 0.6, "n": 3.0}
    assert scores["ann"]["tracks"]["precision"] == 0.75
    assert scores["bob"]["tracks"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 1.0}
    # The commonest label of train is 1 by patches and 0 by tracks.
    assert measure_chance(split, split) == {"patch_error": 3 / 7, "track_error": 1 / 4}
    unknown = split._replace(track=None)
    assert measure_chance(unknown, unknown)["track_error"] is None
    assert "tracks" not in score_artists(Oracle(), unknown)["ann"]
