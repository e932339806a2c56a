"""The training loop: patience, printed lines, Ctrl-C."""

import re
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_artists.artists.recipe import load_recipe
from deep_artists.nn.loop import Result, run_epochs


class Played:
    """Stands in for the compiled steps: validation errors as given, costs 1, 2, 3 ..."""

    def __init__(self, losses, n_train_batches=10, interrupt_at=None):
        self.losses, self.n_batches, self.best = iter(losses), [n_train_batches, 1, 1], None
        self.network = SimpleNamespace(values=dict, x=SimpleNamespace(dtype="float64"))
        self.calls, self.epochs, self.interrupt_at = [], [], interrupt_at

    def start_epoch(self, epoch):
        self.epochs.append(epoch)

    def train(self, indices):
        return map(self.train_model, indices)

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
    steps, result = Played(losses, interrupt_at=interrupt_at), Result()
    recipe = load_recipe("third", **{"n_epochs": 100, **overrides})
    run_epochs(recipe, steps, result, result.log.append)
    return steps, result


def test_patience_ends_a_run_without_improvement():
    # Iteration 4 is the first whose number is not below the patience.
    steps, result = play([0.5] * 99, patience=4, validation_frequency=10)
    assert len(steps.calls) == 5 and result.validation == []
    assert result.log[-1] == (
        "Best validation score of inf % obtained at iteration 1,with test performance 0.000000 %"
    )


def test_an_improvement_doubles_the_patience():
    # Improves at iteration 19 (of 0, 1, ...): patience 38, so iterations 0 .. 38 run.
    steps, result = play([0.9, 0.5, 0.5, 0.6], patience=25, validation_frequency=10)
    assert result.best_iteration == 20 and len(steps.calls) == 39


def test_a_small_improvement_counts_but_does_not_wait():
    # 0.8 * 0.995 = 0.796: 0.797 is the best so far, and yet no reason for more patience than
    # the first validation, at iteration 9, gave: 18.
    steps, result = play([0.8, 0.797, 0.9], patience=18, validation_frequency=10)
    assert len(steps.calls) == 19 and result.best_validation_error == 0.8
    steps, result = play([0.8, 0.797, 0.9], patience=25, validation_frequency=10)
    assert len(steps.calls) == 26 and result.best_validation_error == 0.797


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
    steps, result = play([0.5] * 9, interrupt_at=13, validation_frequency=10)
    assert result.interrupted and len(result.costs) == 13
    assert "manually stopped" in result.log
    assert result.log[-1].startswith(
        "Best validation score of 50.000000 % obtained at iteration 10,"
    )


FEW = settings(max_examples=40, deadline=None)


def play_program(losses, n_train_batches, patience, frequency, n_epochs):
    validation = iter(losses)
    steps = SimpleNamespace(
        n_batches=[n_train_batches],
        best=None,
        start_epoch=lambda epoch: None,
        network=SimpleNamespace(values=dict, x=SimpleNamespace(dtype="float64")),
        train=lambda indices: (0.0 for _ in indices),
        validate=lambda: next(validation),
        test=lambda: 0.5,
    )
    recipe = load_recipe(
        "third", patience=patience, validation_frequency=frequency, n_epochs=n_epochs
    )
    result = Result()
    run_epochs(recipe, steps, result, result.log.append)
    return result


@FEW
@given(
    st.lists(st.floats(0, 1), min_size=200, max_size=200),
    st.integers(1, 30),
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(1, 8),
)
def test_the_loop_is_that_of_the_program(losses, n_train_batches, patience, frequency, n_epochs):
    result = play_program(losses, n_train_batches, patience, frequency, n_epochs)
    # The loop of 2013, counting only.
    best, best_iteration, seen, iteration, waits = np.inf, 0, [], -1, patience
    for epoch in range(1, n_epochs + 1):
        for minibatch_index in range(n_train_batches):
            iteration = (epoch - 1) * n_train_batches + minibatch_index
            if (iteration + 1) % frequency == 0:
                seen.append((iteration + 1, losses[len(seen)]))
                if seen[-1][1] < best:
                    if seen[-1][1] < best * 0.995:
                        waits = max(waits, iteration * 2)
                    best, best_iteration = seen[-1][1], iteration
            if waits <= iteration:
                break
        if waits <= iteration:
            break
    assert (len(result.costs), result.validation, result.patience) == (iteration + 1, seen, waits)
    assert (result.best_validation_error, result.best_iteration) == (best, best_iteration + 1)
    number = r"(\d+\.\d{6}|inf)"
    assert re.fullmatch(
        rf"Best validation score of {number} % obtained at iteration \d+,with test "
        rf"performance {number} %",
        result.log[-1],
    )
    for line in result.log[:-2]:
        assert re.fullmatch(
            r"training @ iter =  \d+00|training @ iter =  0|"
            r"( {5})?epoch \d+, minibatch \d+/\d+, "
            rf"(validation error|test error of best model) {number} %",
            line,
        )


def test_who_watches_is_told_of_every_iteration():
    steps, result, told = Played([0.5] * 99, n_train_batches=15), Result(), []
    recipe = load_recipe("third", n_epochs=3, patience=1000, validation_frequency=10)
    run_epochs(recipe, steps, result, result.log.append, watch=told.append)
    assert sum(told) == len(steps.calls) == 45 and max(told) <= 10


def test_a_result_draws_itself():
    _, result = play([0.5] * 99, patience=40, validation_frequency=10)
    result.model = SimpleNamespace(recipe=load_recipe("third", patience=40))
    axes = result.plot()
    assert len(axes) == 3 and axes[1].get_ylabel() == "error (%)"
    assert list(result.plot(axes)) == list(axes)
    result.costs[:] = np.nan  # diverged at once
    assert result.plot()[0].get_yscale() == "linear"
