"""The network of a recipe: cost and gradients with ten thousand artists."""

import numpy as np
import pytensor
import pytest

from deep_artists import load_recipe
from deep_artists.artists.network import Network
from deep_artists.ops.compile import compile_function
from deep_artists.reference import numpy_model

K = 10_000


@pytest.mark.parametrize("floatX, bound", [("float32", 2e-5), ("float64", 1e-12)])
def test_cost_and_gradients_are_those_of_the_numpy_model(floatX, bound):
    settings = numpy_model.RECIPES["page"] | {"n_out": K, "n_hidden": 32, "nkerns": 2}
    recipe = load_recipe("page", n_out=K, n_hidden=32, nkerns=2)
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(10, 2560)).astype("float32"), rng.randint(K, size=10).astype("int32")
    values = {
        name: value + rng.uniform(-0.02, 0.02, size=value.shape)
        for name, value in numpy_model.initial_parameters(settings).items()
    }
    values = {name: value.astype("float32") for name, value in values.items()}
    wide = {name: value.astype(float) for name, value in values.items()}
    cost, gradients = numpy_model.cost_and_gradients(wide, x.astype(float), y, settings)
    network = Network(recipe, 10, floatX, values)
    params = list(network.params.values())
    function = compile_function(
        [network.x, network.y], [network.cost, *pytensor.grad(network.cost, params)]
    )
    found_cost, *found = function(x.astype(floatX), y)
    assert found_cost == pytest.approx(cost, rel=bound)
    for name, gradient in zip(network.params, found):
        expected = gradients[name]
        np.testing.assert_allclose(
            gradient, expected, rtol=0, atol=bound * np.abs(expected).max(), err_msg=name
        )
