"""Pooling and convolution over windows of any size, stride and border, against plain loops."""

import itertools

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from deep_artists.nn.convolution import convolve
from deep_artists.nn.pooling import MODES, pool_2d
from deep_artists.ops.compile import compile_function, python_mode

# ws, stride, pad, ignore_border
WINDOWS = [
    ((2, 2), None, 0, True),
    ((3, 2), (1, 3), (2, 1), True),  # overlap and gaps
    ((2, 3), (4, 5), 0, False),
    ((5, 4), (2, 2), 0, False),
    ((3, 3), (2, 2), "same", True),
]


def count(n, k, s, p, ignore_border):
    """Return how many windows an axis has, as Theano counts."""
    if ignore_border:
        return (n + 2 * p - k) // s + 1
    return (n - 1) // s + 1 if s >= k else max(0, (n - 1 - k + s) // s) + 1


def reduce(cells, mode, p, n_counted):
    """Reduce the elements of one window; n_counted: with the padding that counts."""
    if mode == "max":
        return cells.max((2, 3))
    if mode == "average_inc_pad":
        return cells.sum((2, 3)) / n_counted
    if mode == "average_exc_pad":
        return cells.mean((2, 3))
    if mode == "std":
        return cells.std((2, 3))
    powers = np.abs(cells) ** p
    return (powers.sum((2, 3)) if mode == "lp" else powers.mean((2, 3))) ** (1 / p)


def pool_by_loops(x, ws, stride, pad, ignore_border, mode, p):
    stride, same = stride or ws, pad == "same"
    if same:
        pad = [k - 2 if k > 2 and k % 2 else k - 1 for k in ws]
    pad = (pad, pad) if isinstance(pad, int) else pad
    lengths = x.shape[2:]
    counts = [count(*a, ignore_border) for a in zip(lengths, ws, stride, pad)]
    if same:
        counts = [-(-n // s) for n, s in zip(lengths, stride)]
    out = np.empty((*x.shape[:2], *counts))
    for i, j in itertools.product(*map(range, counts)):
        top, left = (m * s - q for m, s, q in zip((i, j), stride, pad))
        cells = x[:, :, max(top, 0) : top + ws[0], max(left, 0) : left + ws[1]]
        m = cells.shape[2] * cells.shape[3]
        out[:, :, i, j] = reduce(cells, mode, p, m if pad == (0, 0) else ws[0] * ws[1])
    return out


@pytest.mark.slow  # compiles a graph of its own
@pytest.mark.parametrize("mode", MODES)
def test_every_window_is_pooled(mode):
    x = np.random.RandomState(0).uniform(-1, 1, (2, 2, 7, 8))
    symbol = pt.dtensor4("x")  # of no known length
    pooled = [
        pool_2d(symbol, ws, whole, stride, pad, mode, p=3) for ws, stride, pad, whole in WINDOWS
    ]
    cost = sum((y**2).sum() for y in pooled)
    *found, gradient = compile_function([symbol], [*pooled, pytensor.grad(cost, symbol)])(x)
    for ours, (ws, stride, pad, whole) in zip(found, WINDOWS):
        theirs = pool_by_loops(x, ws, stride, pad, whole, mode, 3)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)
    check_slope(x, gradient, mode)


def check_slope(x, gradient, mode):
    """Compare the gradient with a difference along a random direction."""
    step = 1e-6 * np.random.RandomState(1).uniform(-1, 1, x.shape)
    above, below = (
        sum((pool_by_loops(x + s, ws, stride, pad, whole, mode, 3) ** 2).sum()
            for ws, stride, pad, whole in WINDOWS)
        for s in (step, -step)
    )  # fmt: skip
    np.testing.assert_allclose((gradient * 2 * step).sum(), above - below, rtol=1e-6)


@pytest.mark.slow  # compiles a graph of its own
@pytest.mark.parametrize("mode", ["std", "lp", "power_mean"])
def test_a_window_without_slope_has_slope_0(mode):
    x = pt.dtensor4("x")
    slope = compile_function([x], pytensor.grad(pool_2d(x, 3, mode=mode, p=3).sum(), x))
    for value in (0.0, 0.1) if mode == "std" else (0.0,):  # 9 x 0.1 / 9 is not 0.1
        assert not slope(np.full((1, 1, 3, 3), value)).any()


@pytest.mark.slow  # compiles a graph of its own
def test_large_powers_do_not_overflow():
    x = pt.as_tensor_variable(np.array([[[[1e200, 2e200], [0, 0]]]]))
    assert np.isclose(compile_function([], pool_2d(x, 2, mode="lp", p=64))().item(), 2e200)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ws", [(None, None), (1, None), (None, 1)])
def test_a_window_of_unknown_length_is_one_of_known_length(ws, mode):
    """Values and slopes, ties and zeros among them."""
    x = np.round(2 * np.random.RandomState(0).uniform(-1, 1, (2, 3, 4, 5)))
    found = []
    for shape in ((2, 3, 4, 5), (None, 3, None, None)):
        symbol = pt.tensor("x", shape=shape, dtype="float64")
        y = pool_2d(symbol, ws, mode=mode, p=3)
        slope = pytensor.grad((y**2).sum(), symbol)
        found.append(compile_function([symbol], [y, slope], mode=python_mode())(x))
    for known, unknown in zip(*found):
        np.testing.assert_allclose(unknown, known, atol=1e-14)


@pytest.mark.parametrize("options", [{"stride": 2}, {"pad": 1}])
def test_a_window_of_unknown_length_has_neither_stride_nor_pad(options):
    with pytest.raises(ValueError, match="neither stride nor pad"):
        pool_2d(pt.dtensor4("x"), (None, None), **options)


def convolve_by_loops(x, W, stride, pad):
    x = np.pad(x, [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[2:], W.shape[2:], stride))
    out = np.empty((len(x), len(W), rows, columns))
    for i, j in itertools.product(range(rows), range(columns)):
        top, left = i * stride[0], j * stride[1]
        cells = x[:, :, top : top + W.shape[2], left : left + W.shape[3]]
        out[:, :, i, j] = np.einsum("bnhw,vnhw->bv", cells, W[:, :, ::-1, ::-1])
    return out


@pytest.mark.slow  # compiles a graph of its own
def test_convolution_has_any_stride_and_padding():
    rng = np.random.RandomState(0)
    x, W = rng.uniform(-1, 1, (2, 3, 8, 9)), rng.uniform(-1, 1, (2, 3, 4, 3))
    choices = [((1, 1), (0, 0)), ((2, 3), (3, 1)), ((5, 1), (0, 4)), ((3, 4), (1, 1))]
    for shape in (x.shape, (None,) * 4):
        symbols = (
            pt.tensor("x", shape=shape, dtype="float64"),
            pt.tensor("W", shape=W.shape, dtype="float64"),
        )
        found = [convolve(*symbols, stride, pad) for stride, pad in choices]
        cost = sum((y**2).sum() for y in found)
        *found, gx, gW = compile_function(symbols, [*found, *pytensor.grad(cost, symbols)])(x, W)
        for ours, (stride, pad) in zip(found, choices):
            np.testing.assert_allclose(ours, convolve_by_loops(x, W, stride, pad), atol=1e-13)
        step = 1e-6 * rng.uniform(-1, 1, W.shape)
        above, below = (
            sum((convolve_by_loops(x, W + s, *c) ** 2).sum() for c in choices)
            for s in (step, -step)
        )
        np.testing.assert_allclose((gW * 2 * step).sum(), above - below, rtol=1e-6)
        # Both are quadratic in x and W alike.
        np.testing.assert_allclose((gx * x).sum(), (gW * W).sum(), rtol=1e-12)
