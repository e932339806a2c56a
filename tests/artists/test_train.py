"""Training a recipe: its log, its order, its outputs, and the sets that it refuses."""

import warnings

import numpy as np
import pytest

from deep_artists import Model, load_recipe, train
from deep_artists.artists.model import ModelError
from deep_artists.artists.train import describe_run
from deep_artists.data.compression import compress, measure
from deep_artists.data.patches import make_settings
from deep_artists.reference import golden


def small_sets(n=(60, 30, 30), n_classes=3, dtype=np.float32):
    rng = np.random.RandomState(0)
    return [(rng.uniform(size=(k, 2560)).astype(dtype), np.arange(k) % n_classes) for k in n]


SMALL = {"batch_size": 10, "n_hidden": 20, "n_out": 3}


def test_echo_is_given_the_log_and_epochs_bound_it():
    lines = []
    result = train(small_sets(), "page", n_epochs=2, echo=lines.append, **SMALL)
    assert lines == result.log and len(result.costs) == 12
    assert result.costs.dtype == np.float32


def test_shuffling_is_seeded_and_changes_the_order():
    sets = golden.make_dataset(2010, 10)
    kwargs = {"n_epochs": 2, "batch_size": 100, "n_hidden": 20}
    a, b = (train(sets, "page", **kwargs).costs for _ in range(2))
    np.testing.assert_array_equal(a, b)
    stored = train(sets, "page", shuffle=False, **kwargs).costs
    other = train(sets, "page", seed=1, **kwargs).costs
    assert (a != stored).any() and (a != other).any()


def test_a_diverging_run_warns_once():
    sets = [(1e30 * x, y) for x, y in small_sets()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        result = train(sets, "page", n_epochs=3, learning_rate=1e3, **SMALL)
    assert result.diverged_at == result.model.about["diverged_at"] == 1
    assert len([w for w in caught if "diverges" in str(w.message)]) == 1


@pytest.mark.parametrize("memory_mb", [None, 18])
def test_compression_is_a_transform_of_the_patches(memory_mb, tmp_path):
    n = (600, 130, 130) if memory_mb else (60, 30, 30)
    sets, options = small_sets(n), dict(SMALL, n_epochs=2, shuffle=False, learning_rate=0.01)
    result = train(sets, "page", compression="log", memory_mb=memory_mb, **options)
    moments = measure(sets[0][0])
    compressed = [(compress(x, **moments), y) for x, y in sets]
    plain = train(compressed, "page", **options)
    np.testing.assert_array_equal(result.costs, plain.costs)
    model = Model.load(result.model.save(tmp_path / "m.npz"))
    assert model.about["input"] == moments and model.recipe.compression == "log"
    x = sets[2][0]
    expected = plain.model.transform(compress(x, **moments))
    np.testing.assert_array_equal(model.transform(x), expected)
    np.testing.assert_array_equal(model.transform(x[:1]), expected[:1])


def test_a_compressing_model_without_the_moments_of_train_is_refused():
    model = train(small_sets(), "page", n_epochs=1, compression="log", **SMALL).model
    for about in ({}, {"input": {"mean": 1.0}}, {"input": {"mean": 1.0, "deviation": 0.0}}):
        with pytest.raises(ModelError, match="the mean and the deviation of train are needed"):
            Model(model.last, model.best, model.recipe, ["a"], about)


def test_a_set_of_other_clips_than_the_recipe_s_is_refused():
    class Set(list):
        info = {"settings": make_settings("all")}

    with pytest.raises(ValueError, match="made with clip = 'all', recipe page has clip = 'last30'"):
        train(Set(small_sets()), "page", **SMALL)
    result = train(Set(small_sets()), "page", clip="all", n_epochs=1, **SMALL)
    assert result.model.recipe.clip == "all"


def test_checkpoints_from_before_a_recipe_had_compression_resume():
    described = describe_run(load_recipe("page"))
    assert not {"compression", "clip"} & described.keys()
    assert describe_run(load_recipe("today"))["compression"] == "log"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s[:2], "train, valid and test"),
        (lambda s: None, "train, valid and test"),
        (lambda s: [(s[0][0][:, :100], s[0][1]), *s[1:]], "(60, 100)"),
        (lambda s: [(s[0][0], s[0][1][:5]), *s[1:]], "60 labels"),
        (lambda s: [(s[0][0], s[0][1] - 1), *s[1:]], "labels from 0"),
        (lambda s: [(s[0][0], s[0][1] + 0.5), *s[1:]], "labels from 0"),
        (lambda s: [(s[0][0], s[0][1].astype(str)), *s[1:]], "labels from 0"),
        (lambda s: [(s[0][0], np.where(s[0][1] == 1, np.inf, 0)), *s[1:]], "labels from 0"),
        (lambda s: [(1e300 * s[0][0].astype(float), s[0][1]), *s[1:]], "not finite"),
        (lambda s: "abc", "a pair of arrays"),
        (lambda s: [s[0], (s[1][0][:9], s[1][1][:9]), s[2]], "valid: 9 patches"),
        (lambda s: [(s[0][0], s[0][1] + 3), *s[1:]], "n_out = 3"),
        (lambda s: [(np.where(s[0][0] > 0.9999, np.nan, s[0][0]), s[0][1]), *s[1:]], "not finite"),
    ],
)
def test_sets_that_cannot_be_trained_on_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        train(change(small_sets()), "last", **SMALL)
    assert words in str(error.value)


def test_one_artist_is_refused():
    sets = [(x, 0 * y) for x, y in small_sets()]
    with pytest.raises(ValueError, match="one label only"):
        train(sets, "page", batch_size=10)


def test_outputs_are_the_recipe_s_or_one_per_label():
    kwargs = {"n_epochs": 1, "batch_size": 10, "n_hidden": 5}
    assert train(small_sets(), "last", **kwargs).model.softmax_b.shape == (20,)
    assert train(small_sets(), "page", **kwargs).model.softmax_b.shape == (3,)


def test_floatX_is_one_of_two():
    with pytest.raises(ValueError, match="float16"):
        train(small_sets(), "page", floatX="float16", **SMALL)
