"""What a run prints of its set."""

import numpy as np

from deep_artists import make_dataset
from deep_artists.cli.report import report_set


def test_a_set_of_many_artists_is_reported_in_few_words(tmp_path, capsys):
    for i in range(300):
        folder = tmp_path / "patches" / f"artist {i:04d}"
        folder.mkdir(parents=True)
        np.save(folder / "a.mel.npy", np.ones((1, 2560), np.float32))
    dataset = make_dataset(tmp_path / "patches", tmp_path / "set")
    assert len(dataset.label_names) == 300 and dataset.label_names[123] == "artist 0123"
    track = dataset.track_names["train"][0]
    assert track.startswith(dataset.label_names[dataset.train.y[0]])
    report_set(dataset)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) < 400 and lines[2].endswith("220 more artists")
