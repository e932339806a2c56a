"""Models pickled in 2013 by the recorded run, against the arrays recorded from it."""

import hashlib

import numpy as np
import pytest

from deep_artists.artists.model import Model, ModelError
from deep_artists.artists.recipe import NAMES
from deep_artists.data.legacy import LegacyPickleError
from deep_artists.reference import golden, numpy_model
from deep_artists.use import convert
from deep_artists.use.convert import to_model

NOTEBOOK, LAYER_1 = "legacy/notebook_model_output.pkl", "legacy/model_output.pkl"

CLOSE = dict(rtol=1e-10, atol=1e-12)  # float64, sums in another order


@pytest.fixture(scope="module")
def recorded():
    """Return x, and what the recorded run's last parameters make of it."""
    recording = golden.load("program/last-float64.npz")
    parameters = {name: recording[f"{name}_after400"] for name in NAMES}
    x = golden.make_dataset()[2][0][:100].astype(np.float64)
    return x, numpy_model.forward(parameters, x, numpy_model.RECIPES["last"])


def test_a_notebook_model_predicts_what_the_recorded_run_did(recorded, tmp_path):
    x, expected = recorded
    model = to_model(golden.path(NOTEBOOK))
    model.save(tmp_path / "new.npz")
    for model in (model, Model.load(tmp_path / "new.npz")):  # noqa: B020
        assert model.floatX == "float64" and model.is_whole
        assert model.label_names == [str(i) for i in range(20)]
        for parameters in ("last", "best"):
            np.testing.assert_array_equal(
                model.predict(x, parameters), expected["logits"].argmax(axis=1)
            )
        np.testing.assert_allclose(model.transform(x, "hidden"), expected["s"], **CLOSE)
        shifted = expected["logits"] - expected["logits"].max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(model.predict_log_proba(x), log_p, **CLOSE)


def test_a_first_layer_gives_the_pooled_features_of_the_recorded_run(recorded, tmp_path):
    x, expected = recorded
    model = to_model(golden.path(LAYER_1))
    model.save(tmp_path / "new.npz")
    for model in (model, Model.load(tmp_path / "new.npz")):  # noqa: B020
        np.testing.assert_allclose(model.transform(x, "pool"), expected["u"], **CLOSE)
        assert model.label_names == []
        with pytest.raises(ModelError, match="first layer"):
            model.predict(x)


@pytest.mark.parametrize("name", [NOTEBOOK, LAYER_1])
def test_a_model_says_what_it_was_converted_from(name):
    about = to_model(golden.path(name)).about
    assert about["converted_from"] == "a pickle of 2013"
    assert about["source_sha256"] == hashlib.sha256(golden.path(name).read_bytes()).hexdigest()
    assert about["versions"]["numpy"] == np.__version__


def test_a_recipe_takes_its_sizes_from_the_arrays():
    recipe = to_model(golden.path(NOTEBOOK), "page", poolsize=(16, 10)).recipe
    assert (recipe.name, recipe.nkerns, recipe.filter_shape) == ("page", 10, (33, 11))
    assert (recipe.n_hidden, recipe.n_out) == (1024, 20)
    first = to_model(golden.path(LAYER_1), "first").recipe  # of 15 filters of 9x9
    assert (first.nkerns, first.filter_shape, first.poolsize) == (10, (33, 11), (2, 2))


def test_a_poolsize_that_does_not_fit_is_refused_naming_both():
    with pytest.raises(LegacyPickleError, match=r"has 60 inputs.*poolsize = \(8, 10\).*gives 120"):
        to_model(golden.path(NOTEBOOK), poolsize=(8, 10))
    with pytest.raises(LegacyPickleError, match=r"60 inputs.*poolsize = \(2, 2\) of recipe first"):
        to_model(golden.path(NOTEBOOK), "first")


def test_overrides_that_contradict_the_file_are_refused():
    assert to_model(golden.path(NOTEBOOK), n_hidden=1024, filter_shape=[33, 11]).is_whole
    with pytest.raises(ValueError, match=r"n_hidden = 512, but .*notebook.* has 1024"):
        to_model(golden.path(NOTEBOOK), n_hidden=512)


def test_two_layers_are_refused(monkeypatch):
    arrays = {name: np.zeros(1) for name in NAMES[2:]}
    monkeypatch.setattr(convert, "load_model", lambda path: arrays)
    with pytest.raises(LegacyPickleError, match="holds hidden_W, hidden_b, softmax_W, softmax_b"):
        to_model("old.pkl")


def test_filters_larger_than_a_patch_are_refused_naming_file(monkeypatch):
    arrays = {"conv_W": np.zeros((1, 1, 65, 3)), "conv_b": np.zeros(1)}
    monkeypatch.setattr(convert, "load_model", lambda path: arrays)
    with pytest.raises(ValueError, match=r"old\.pkl.*\(65, 3\).*\(16, 10\)"):
        to_model("old.pkl")


def test_what_is_no_pickle_of_2013_is_refused(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(LegacyPickleError, match="os.system"):
        to_model(tmp_path / "x.pkl")
