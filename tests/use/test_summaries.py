"""What objects say of themselves: a few lines, and a table in a notebook."""

import numpy as np
import pandas
import pytest
from test_predict import make_model

from deep_artists.data.dataset import make_dataset
from deep_artists.nn.loop import Result
from deep_artists.use.features import Features
from deep_artists.use.predict import Prediction, Predictions, format_predictions


def make_set(folder):
    for i in range(8):
        artist = folder / "patches" / ("<b>ann" if i % 2 else "bob")
        artist.mkdir(parents=True, exist_ok=True)
        np.save(artist / f"{i}.mel.npy", np.full((3, 2560), i, np.float32))
    return make_dataset(folder / "patches", folder / "set")


def make_predictions():
    artists = [("ann", 0.75), ("bob", 0.25)]
    return Predictions(
        [Prediction("a.ogg", artists, 129, note="x"), Prediction("b.ogg", failed="no sound")]
    )


def test_everything_has_a_short_repr_and_a_table(tmp_path):
    validation = [(200, 0.5), (400, 0.25)]
    result = Result(np.ones(400), validation, 0.3, 0.25, 400, seconds=2.0, interrupted=True)
    features = Features(np.ones((3, 8), "float32"), np.arange(3), list("abc"), [("d", "bad")])
    things = {
        "3 filters of (33, 11)": make_model(),
        "25.0 % wrong at best, iteration 400": result,
        "3 rows of 8, float32": features,
        "ann 75 %, bob 25 %": make_predictions(),
        "12 patches of 4 tracks": make_set(tmp_path),
    }
    for words, thing in things.items():
        assert words in repr(thing) and len(repr(thing)) < 600
        assert words in thing._repr_html_() and thing._repr_html_().startswith("<table>")
    assert "<b>" in repr(things["12 patches of 4 tracks"])
    assert "<b>" not in things["12 patches of 4 tracks"]._repr_html_()
    assert repr(Result()).startswith("Result of a training run\n  iterations")


def test_predictions_are_a_table():
    predictions = make_predictions()
    table = predictions.to_frame()
    assert table.shape == (3, 8) and table.probability.sum() == 1
    assert table.path.tolist() == ["a.ogg", "a.ogg", "b.ogg"]
    lines = format_predictions(predictions, "csv").splitlines()
    assert lines[0].split(",") == list(table.columns) and lines[3] == "b.ogg,,,,0,,,no sound"
    assert isinstance(table, pandas.DataFrame)


def test_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(RuntimeError, match="pip install pandas"):
        make_predictions().to_frame()
    assert make_predictions()[0].path == "a.ogg"
