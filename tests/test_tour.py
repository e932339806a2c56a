"""The tour runs, and its figure is drawn."""

import pytest

from deep_artists.reference import tour


@pytest.mark.slow
def test_the_tour_goes_from_nothing_to_a_figure(tmp_path):
    scores = tour.run(tmp_path, n_epochs=2)
    assert list(scores) == ["untrained", "trained"]
    assert all(len(accuracy) == 4 and 0 <= accuracy.min() <= 1 for accuracy in scores.values())
    assert (tmp_path / "tour.pdf").read_bytes().startswith(b"%PDF")
