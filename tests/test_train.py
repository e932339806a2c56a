"""The training loop: patience, printed lines, Ctrl-C, order of minibatches, refusals."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from deep_artists.artists.recipe import load_recipe
from deep_artists.artists.train import Result, run_epochs, train
from deep_artists.reference import golden


def small_sets(n=(60, 30, 30), n_classes=3, dtype=np.float32):
    rng = np.random.RandomState(0)
    return [(rng.uniform(size=(k, 2560)).astype(dtype), np.arange(k) % n_classes) for k in n]


SMALL = {"batch_size": 10, "n_hidden": 20, "n_out": 3}


class Played:
    """Stands in for the compiled functions: validation errors as given, costs 1, 2, 3 ..."""

    run = map

    def __init__(self, losses, n_train_batches=10, interrupt_at=None):
        self.losses, self.n_batches, self.best = iter(losses), [n_train_batches, 1, 1], None
        self.network = SimpleNamespace(values=dict, x=SimpleNamespace(dtype="float64"))
        self.calls, self.epochs, self.interrupt_at = [], [], interrupt_at

    def start_epoch(self, epoch):
        self.epochs.append(epoch)

    def train_model(self, index):
        if len(self.calls) == self.interrupt_at:
            raise KeyboardInterrupt
        self.calls.append(index)
        return float(len(self.calls))

    def validate(self):
        return next(self.losses)

    def test(self):
        return 0.25


def play(losses, interrupt_at=None, **overrides):
    functions, result = Played(losses, interrupt_at=interrupt_at), Result()
    recipe = load_recipe("third", **{"n_epochs": 100, **overrides})
    run_epochs(recipe, functions, result, result.log.append)
    return functions, result


def test_patience_ends_a_run_without_improvement():
    # Iteration 4 is the first whose number is not below the patience.
    functions, result = play([0.5] * 99, patience=4, validation_frequency=10)
    assert len(functions.calls) == 5 and result.validation == []
    assert result.log[-1] == ("Best validation score of inf % obtained at iteration 1,with test "
                              "performance 0.000000 %")


def test_an_improvement_doubles_the_patience():
    # Improves at iteration 19 (of 0, 1, ...): patience 38, so iterations 0 .. 38 run.
    functions, result = play([0.9, 0.5, 0.5, 0.6], patience=25, validation_frequency=10)
    assert result.best_iteration == 20 and len(functions.calls) == 39


def test_a_small_improvement_counts_but_does_not_wait():
    # 0.8 * 0.995 = 0.796: 0.797 is the best so far, and yet no reason for more patience than
    # the first validation, at iteration 9, gave: 18.
    functions, result = play([0.8, 0.797, 0.9], patience=18, validation_frequency=10)
    assert len(functions.calls) == 19 and result.best_validation_error == 0.8
    functions, result = play([0.8, 0.797, 0.9], patience=25, validation_frequency=10)
    assert len(functions.calls) == 26 and result.best_validation_error == 0.797


def test_validation_frequency_zero_is_the_program_s_rule():
    _, result = play([0.5] * 99, patience=30, n_epochs=2, validation_frequency=0)
    assert [iteration for iteration, _ in result.validation] == [10, 20]
    _, result = play([0.5] * 99, patience=12, n_epochs=2, validation_frequency=0)
    assert [iteration for iteration, _ in result.validation] == [6, 12]


def test_lines_are_those_of_2013():
    _, result = play([0.5, 0.25], n_epochs=2, patience=10**6, validation_frequency=10)
    assert result.log == [
        "training @ iter =  0",
        "epoch 1, minibatch 10/10, validation error 50.000000 %",
        "     epoch 1, minibatch 10/10, test error of best model 25.000000 %",
        "epoch 2, minibatch 10/10, validation error 25.000000 %",
        "     epoch 2, minibatch 10/10, test error of best model 25.000000 %",
        "Optimization complete.",
        "Best validation score of 25.000000 % obtained at iteration 20,with test performance "
        "25.000000 %",
    ]


def test_ctrl_c_ends_the_loop_and_keeps_what_was_reached():
    functions, result = play([0.5] * 9, interrupt_at=13, validation_frequency=10)
    assert result.interrupted and len(result.costs) == 13
    assert "manually stopped" in result.log
    assert result.log[-1].startswith("Best validation score of 50.000000 % obtained at iteration 10,")


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


def test_a_shuffled_epoch_sees_every_patch_once():
    from deep_artists.artists.train import Functions

    recipe = load_recipe("page", batch_size=10, n_out=3)
    functions = Functions(recipe, "float32", small_sets())
    seen = []
    for epoch in (1, 2):
        functions.start_epoch(epoch)
        seen.append(functions.order.get_value())
        assert sorted(seen[-1]) == list(range(60))
    assert (seen[0] != seen[1]).any()


def test_data_of_the_dtype_are_used_where_they_lie(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (20, 2560))
    x[:] = np.random.RandomState(0).uniform(size=x.shape)
    x.flush()
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    from deep_artists.artists.train import Functions

    sets = [(mapped, np.arange(20) % 3)] * 3
    functions = Functions(load_recipe("page", **SMALL), "float32", sets)
    functions.train_model(0)
    shared = [v for v in functions.train_model.get_shared() if v.name == "x"]
    assert np.shares_memory(shared[0].get_value(borrow=True), mapped)


def test_a_diverging_run_warns_once():
    sets = [(1e30 * x, y) for x, y in small_sets()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        train(sets, "page", n_epochs=3, learning_rate=1e3, **SMALL)
    assert len([w for w in caught if "diverges" in str(w.message)]) == 1


@pytest.mark.parametrize("change, words", [
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
])
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
