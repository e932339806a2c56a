"""Each kernel in C against its definition in NumPy, and fused graphs against plain ones.

At the shapes of a recipe's training step, on one thread, in processor time. The values are compared
first.
"""

import time
from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from deep_artists.artists.recipe import load_recipe
from deep_artists.ops.compile import compile_function
from deep_artists.ops.conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput, conv2d
from deep_artists.ops.conv_pool import ConvPool, ConvPoolGradFilters
from deep_artists.ops.dot import FixedDot
from deep_artists.ops.max_pool import MaxPool, MaxPoolGrad, max_pool_2d
from deep_artists.ops.softmax import (
    NegativeLogLikelihood,
    NegativeLogLikelihoodGrad,
    Softmax,
    SoftmaxGrad,
)

pytestmark = pytest.mark.benchmark(
    max_time=0.2, min_rounds=5, warmup=True, warmup_iterations=1, timer=time.process_time
)

KERNELS = (
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_filters",
    "max_pool",
    "max_pool_grad",
    "conv_pool",
    "conv_pool_grad",
    "dot",
    "softmax",
    "softmax_grad",
    "nll",
    "nll_grad",
)
# Sums in another order, relative to the largest entry; the longest have 150 000 terms.
BOUNDS = {"float32": 1e-4, "float64": 1e-12}
SHAPES = pytest.mark.parametrize(
    "recipe, floatX", [("page", "float32"), ("page", "float64"), ("second", "float32")]
)


def draw(shape, floatX, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, size=shape).astype(floatX)


def run_python(op, arrays):
    node = op.make_node(*(pt.constant(a) for a in arrays))
    outputs = [[None] for _ in node.outputs]
    op.perform(node, arrays, outputs)
    return [output[0] for output in outputs]


def make_case(kernel, recipe, floatX):
    """Return an Op and its inputs."""
    r = load_recipe(recipe, n_out=20)
    n, ds = r.batch_size, r.poolsize
    x, W = draw((n, 1, 64, 40), floatX), draw((r.nkerns, 1, *r.filter_shape), floatX, 1)
    z = draw((n, r.nkerns, 65 - r.filter_shape[0], 41 - r.filter_shape[1]), floatX, 2)
    dp = draw((n, r.nkerns, *r.pooled_shape), floatX, 3)
    logits, y = draw((n, r.n_out), floatX, 4), np.arange(n, dtype="int32") % r.n_out
    if kernel == "max_pool_grad":
        return MaxPoolGrad(ds), [z, *run_python(MaxPool(ds), [z]), dp]
    if kernel == "conv_pool_grad":
        return ConvPoolGradFilters(ds), [x, run_python(ConvPool(ds), [x, W])[1], dp, W]
    return {
        "conv2d": (Conv2D(), [x, W]),
        "conv2d_grad_input": (Conv2DGradInput(), [W, z[:10]]),  # training needs none: few images
        "conv2d_grad_filters": (Conv2DGradFilters(), [x, z]),
        "max_pool": (MaxPool(ds), [z]),
        "conv_pool": (ConvPool(ds), [x, W]),
        "dot": (FixedDot(), [dp.reshape(n, -1), draw((r.n_in, r.n_hidden), floatX, 5)]),
        "softmax": (Softmax(), [logits]),
        "softmax_grad": (SoftmaxGrad(), [logits, *run_python(Softmax(), [logits])]),
        "nll": (NegativeLogLikelihood(), [logits, y]),
        "nll_grad": (
            NegativeLogLikelihoodGrad(),
            [*run_python(Softmax(), [logits]), y, draw(n, floatX, 6)],
        ),
    }[kernel]


@cache
def compile_case(kernel, recipe, floatX):
    """Return the C form and the NumPy form, after comparing what they give."""
    op, arrays = make_case(kernel, recipe, floatX)
    inputs = [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in arrays]
    function = compile_function(inputs, op(*inputs, return_list=True), fused=False)
    forms = {"c": lambda: function(*arrays), "numpy": lambda: run_python(op, arrays)}
    for c, python in zip(forms["c"](), forms["numpy"]()):
        if c.dtype.kind == "u":  # winners: another order of the sum may make or end a tie
            assert np.mean(c == python) > 0.99
        else:
            scale = np.abs(python).max()
            np.testing.assert_allclose(c, python, rtol=0, atol=BOUNDS[floatX] * scale)
    return forms


@pytest.mark.parametrize("form", ["c", "numpy"])
@SHAPES
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(benchmark, limit, kernel, recipe, floatX, form):
    benchmark.group = f"{kernel} {recipe} {floatX}"
    forms = compile_case(kernel, recipe, floatX)
    limit(1)
    benchmark(forms[form])


@cache
def compile_conv_pool(recipe, floatX):
    """Return the layer with its gradient, fused and plain, after comparing the bits."""
    _, (x, W) = make_case("conv_pool", recipe, floatX)
    _, (_, _, dp, _) = make_case("conv_pool_grad", recipe, floatX)
    inputs = [pt.TensorType(a.dtype, a.shape)() for a in (x, W, dp)]
    p = max_pool_2d(conv2d(*inputs[:2]), load_recipe(recipe).poolsize)
    outputs = [p, pytensor.grad((p * inputs[2]).sum(), inputs[1])]
    fused, plain = (compile_function(inputs, outputs, fused=fused) for fused in (True, False))
    for a, b in zip(fused(x, W, dp), plain(x, W, dp)):
        np.testing.assert_array_equal(a, b)
    return {"fused": lambda: fused(x, W, dp), "plain": lambda: plain(x, W, dp)}


@pytest.mark.parametrize("form", ["fused", "plain"])
@SHAPES
def test_conv_pool_and_gradient(benchmark, limit, recipe, floatX, form):
    benchmark.group = f"conv, pool and gradient, {recipe} {floatX}"
    forms = compile_conv_pool(recipe, floatX)
    limit(1)
    benchmark(forms[form])
