"""The training step by recipe, dtype, batch and threads, and the validation pass.

On the set of the recordings, silence and ties included; on one thread in processor time. Before
anything is timed, the costs of three steps are compared with the NumPy model of reference/, in
float64.
"""

import time
from functools import cache

import numpy as np
import pytest

from deep_artists import load_recipe
from deep_artists.artists.train import compile_steps
from deep_artists.reference import golden, numpy_model

OPTIONS = dict(max_time=0.3, min_rounds=5, warmup=True, warmup_iterations=1)
THREADS = pytest.mark.parametrize(
    "threads",
    [
        pytest.param(1, marks=pytest.mark.benchmark(**OPTIONS, timer=time.process_time)),
        pytest.param(2, marks=pytest.mark.benchmark(**OPTIONS)),
    ],
)

N_CHECKED = 3
BOUNDS = {"float32": 1e-4, "float64": 1e-11}  # relative; a wrong tie gives 1e-2


@cache
def load_splits(n_out):
    return golden.make_dataset(n_classes=n_out)


@cache
def compute_costs(recipe, batch_size):
    """Return the first costs by the NumPy model, and the validation error after them."""
    n_out = numpy_model.RECIPES[recipe]["n_out"]
    settings = numpy_model.RECIPES[recipe] | {"batch_size": batch_size}
    (x, y), valid, _ = [(x.astype(np.float64), y) for x, y in load_splits(n_out)]
    parameters, costs = numpy_model.initial_parameters(settings), []
    for i in range(N_CHECKED):
        rows = slice(i * batch_size, (i + 1) * batch_size)
        cost, gradients = numpy_model.cost_and_gradients(parameters, x[rows], y[rows], settings)
        parameters = {
            name: value - settings["learning_rate"] * gradients[name]
            for name, value in parameters.items()
        }
        costs.append(cost)
    return costs, numpy_model.error(parameters, valid, settings)


@cache
def compile_checked(recipe, floatX, batch_size):
    """Return the functions of a run whose costs are right, and its initial values."""
    n_out = numpy_model.RECIPES[recipe]["n_out"]
    settings = load_recipe(recipe, batch_size=batch_size, n_out=n_out, shuffle=False)
    steps = compile_steps(settings, floatX, load_splits(n_out))
    initial = steps.network.values()
    expected, error = compute_costs(recipe, batch_size)
    costs = [steps.train_model(i) for i in range(N_CHECKED)]
    np.testing.assert_allclose(costs, expected, rtol=BOUNDS[floatX])
    assert abs(steps.validate() - error) <= 2 / 300  # two patches on an edge, at most
    return steps, initial


CASES = [
    (recipe, floatX, load_recipe(recipe).batch_size)
    for recipe in numpy_model.RECIPES  # those of 2013
    for floatX in BOUNDS
]
CASES += [("page", "float32", batch_size) for batch_size in (20, 40, 160)]


@THREADS
@pytest.mark.parametrize("recipe, floatX, batch_size", CASES)
def test_training_step(benchmark, limit, recipe, floatX, batch_size, threads):
    benchmark.group = f"training step, {threads} threads"
    steps, initial = compile_checked(recipe, floatX, batch_size)
    steps.network.set_values(initial)
    limit(threads)
    benchmark(steps.train_model, 0)


@THREADS
@pytest.mark.parametrize("recipe", ["page", "last"])
def test_validation_pass(benchmark, limit, recipe, threads):
    benchmark.group = f"validation pass over 300 patches, {threads} threads"
    steps, initial = compile_checked(recipe, "float32", load_recipe(recipe).batch_size)
    steps.network.set_values(initial)
    limit(threads)
    benchmark(steps.validate)
