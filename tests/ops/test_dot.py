"""The product in a fixed order, and gradient descent along one."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from deep_artists.nn.updates import sgd
from deep_artists.ops.compile import compile_function
from deep_artists.ops.conv2d import Conv2DGradFilters
from deep_artists.ops.dot import DescendDot, FixedDot

DTYPES = ("float32", "float64")


def draw(shape, dtype, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, size=shape).astype(dtype)


def compile_dot(dtype):
    A, B = pt.matrix(dtype=dtype), pt.matrix(dtype=dtype)
    return compile_function([A, B], FixedDot()(A, B))


def list_ops(function):
    return [node.op for node in function.maker.fgraph.toposort()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_any_shape_and_layout(dtype):
    dot, tolerance = compile_dot(dtype), 1e-4 if dtype == "float32" else 1e-12
    sizes = [0, 1, 7, 8, 10, 11, 16, 20, 33, 150]  # on both sides of a block's edge
    for i, m in enumerate(sizes):
        for j, n in enumerate(sizes):
            for k in (0, 1, 150, 300):
                A, B = draw((m, k), dtype, i), draw((k, n), dtype, j)
                wanted = A @ B
                for turn_A, turn_B in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    left = np.asfortranarray(A) if turn_A else A
                    right = np.asfortranarray(B) if turn_B else B
                    np.testing.assert_allclose(dot(left, right), wanted, atol=tolerance)


def test_a_product_sums_over_k_in_order():
    dot = compile_dot("float32")
    ones = np.full((1, 400), 1, "float32")
    B = np.zeros((400, 1), "float32")
    B[0], B[1:-1], B[-1] = 2**24, 1, -(2**24)  # 2**24 + 1 rounds to 2**24, again and again
    assert dot(ones, B).item() == 0
    assert dot(ones, B[::-1]).item() == 398  # below 2**24 every integer is there
    B[[0, 200]] = B[[200, 0]]
    assert dot(ones, B).item() == 200


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decay", [0.0, 0.004])
def test_descent_along_a_product_has_the_bits_of_its_parts(dtype, decay):
    # W - 0.05 * (A B + decay W), then the same with a product that is used twice
    A, B = draw((37, 80), dtype), draw((80, 65), dtype, 1)
    a, b = pt.matrix(dtype=dtype), pt.matrix(dtype=dtype)
    found = []
    for keep in (False, True):
        W = pytensor.shared(draw((37, 65), dtype, 2), shape=(37, 65))
        gradient = pt.dot(a, b)
        step = gradient + np.asarray(decay, dtype) * W if decay else gradient
        update = W - np.asarray(0.05, dtype) * step
        function = compile_function([a, b], [gradient] if keep else [], updates=[(W, update)])
        assert (DescendDot(inplace=1) in list_ops(function)) == (not keep)
        for _ in range(3):
            function(A, B)
        found.append(W.get_value())
    np.testing.assert_array_equal(*found)


def test_descent_leaves_a_matrix_alone_that_is_no_update():
    W, a, b = pt.dmatrix(), pt.dmatrix(), pt.dmatrix()
    function = compile_function([W, a, b], W - 0.5 * pt.dot(a, b))
    assert DescendDot(inplace=0) in list_ops(function)
    values = draw((3, 4), "float64"), draw((3, 2), "float64"), draw((2, 4), "float64")
    kept = values[0].copy()
    np.testing.assert_allclose(function(*values), kept - 0.5 * values[1] @ values[2], rtol=1e-12)
    np.testing.assert_array_equal(values[0], kept)
    with pytest.raises(ValueError, match=r"\(3, 4\) cannot change W \(4, 3\)"):
        function(values[0].T.copy(), *values[1:])


def test_training_descends_in_place():
    x, W = pt.dmatrix(), pytensor.shared(draw((5, 4), "float64"), shape=(5, 4))
    cost = (pt.dot(x, W) ** 2).sum() + 0.1 * (W**2).sum()
    step = compile_function([x], cost, updates=sgd(cost, [W], 0.01))
    assert DescendDot(inplace=1) in list_ops(step)
    batch, wanted = draw((7, 5), "float64", 1), W.get_value()
    for _ in range(3):
        step(batch)
        wanted = wanted - 0.01 * (2 * batch.T @ (batch @ wanted) + 0.2 * wanted)
    np.testing.assert_allclose(W.get_value(), wanted, rtol=1e-12)


@pytest.mark.parametrize("ds", [(16, 10), (2, 2)])
def test_ties_cost_the_gradient_of_the_filters_no_precision(ds):
    # Every cell of a window is a winner, as under constant patches; some samples are silent.
    rng = np.random.RandomState(0)
    x = np.ones((80, 1, 64, 40)) * rng.uniform(0.1, 1, size=(80, 1, 1, 1))
    x[::8] = 0
    rows, columns = (32 // ds[0] * ds[0], 30 // ds[1] * ds[1])
    dz = np.zeros((80, 2, 32, 30))
    windows = rng.normal(size=(80, 2, rows // ds[0], columns // ds[1]))
    dz[:, :, :rows, :columns] = windows.repeat(ds[0], 2).repeat(ds[1], 3)
    X, dZ = (pt.TensorType("float64", (None,) * 4)() for _ in range(2))
    dW = compile_function([X, dZ], Conv2DGradFilters()(X, dZ))(x, dz)
    wanted = np.empty((2, 33, 11), np.longdouble)
    for i in range(33):
        for j in range(11):
            under = x[:, :, i : i + 32, j : j + 30].astype(np.longdouble)
            wanted[:, 32 - i, 10 - j] = (under * dz).sum(axis=(0, 2, 3))
    # 160 equal cells a window: one chain over all samples would leave it by 5e-14.
    assert np.abs(dW[:, 0] - wanted).max() <= 1e-14 * np.abs(wanted).max()
