"""Pooling of the last two axes, of five kinds, over windows of any size, stride and border.

Written in PyTensor's own Ops around the kernel of `ops.max_pool`: windows are laid side by side
(see `windows.cut_windows`), and each kind is a reduction over its window.
"""

from numbers import Real

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from ..ops.kernel import as_images
from ..ops.max_pool import max_pool_2d
from .convolution import as_pair
from .windows import at_least_zero, cut_windows, length

MODES = ("max", "average_exc_pad", "average_inc_pad", "std", "lp", "power_mean")


def pool_2d(input, ws, ignore_border=True, stride=None, pad=0, mode="max", p=2):
    """Pool every window of the last two axes.

    Parameters
    ----------
    input : tensor [shape=(B, N, F, T)], float32 or float64
    ws : int or (int or None, int or None)
        Rows and columns k of a window; None: all there are, as one window without padding.
    ignore_border : bool
        Leave incomplete windows out, or keep them (only without padding).
    stride : int or (int, int), optional
        From one window to the next; by default the window's size.
    pad : int, (int, int) or 'same'
        Cells on both ends, less than a window; they are no elements of a window. 'same', as Keras
        has it on Theano: k - 2 for odd k above 2, else k - 1, of which the first ceil(F / s)
        outputs are kept.
    mode : {'max', 'average_exc_pad', 'average_inc_pad', 'std', 'lp', 'power_mean'}
        Of the m elements of a window: their maximum; sum / m; sum / (cells of the window, padding
        counted); the standard deviation with divisor m; (sum |x|^p)^(1/p); the same with sum / m.
    p : float, at least 1
        Of 'lp' and 'power_mean'.

    Returns
    -------
    tensor [shape=(B, N, rows, columns)]
        Whole windows: floor((F + 2 pad - k) / s) + 1. Incomplete ones kept: floor((F - 1) / s) + 1
        for s >= k, else max(0, floor((F - 1 - k + s) / s)) + 1.

    Raises
    ------
    TypeError, ValueError
        If the input is not 4-dimensional or float, or an argument does not fit. A window that is
        larger than an input whose length the graph does not know gives no output.

    Notes
    -----
    ``theano.tensor.signal.pool.pool_2d`` of Theano 1.0.5 for the maximum and the averages: every
    element that equals the maximum receives the full gradient. The standard deviation and L^p are
    named by Nam; where their slope has no limit (a constant window, a window of zeros) it is 0.

    Examples
    --------
    >>> x = pt.as_tensor_variable(np.array([[[[1.0, 5, 2, 4], [2, 3, 9, 1]]]]))
    >>> pool_2d(x, 2, mode="average_exc_pad").eval(mode="FAST_COMPILE")
    array([[[[2.75, 4.  ]]]])
    >>> pool_2d(x, (2, None)).eval(mode="FAST_COMPILE")
    array([[[[9.]]]])
    """
    (x,) = as_images("pool_2d", input=input)
    if mode not in MODES:
        raise ValueError(f"mode = {mode!r}: one of {', '.join(MODES)} is needed")
    lengths = [length(x, 2), length(x, 3)]
    if np.ndim(ws) == 1 and any(k is None and n is None for k, n in zip(ws, x.type.shape[2:])):
        return pool_whole(x, ws, stride, pad, mode, p)
    if np.ndim(ws) == 1:
        ws = [n if k is None else k for k, n in zip(ws, x.type.shape[2:])]
    ws = as_pair(ws, "ws")
    stride = ws if stride is None else as_pair(stride, "stride")
    same = pad == "same"
    pad = (
        [k - 2 if k > 2 and k % 2 else k - 1 for k in ws] if same else as_pair(pad, "pad", least=0)
    )
    if any(b >= k for b, k in zip(pad, ws)) or (any(pad) and not ignore_border):
        raise ValueError(
            f"pad = {tuple(pad)}: less than a window of {ws} is needed, and ignore_border=True"
        )
    counts = [count_windows(*sizes, ignore_border) for sizes in zip(lengths, ws, stride, pad)]
    if any(isinstance(n, int) and n < 1 for n in counts):
        raise ValueError(
            f"input {x.type.shape} and windows {ws} with padding {tuple(pad)} do not "
            "fit: a window must be no larger than the padded input"
        )
    if same:
        counts = [-(-n // s) for n, s in zip(lengths, stride)]

    fill = -np.inf if mode == "max" else 0
    for i in (0, 1):  # -> (B, N, rows, k, columns, k')
        x = cut_windows(x, 2 + 2 * i, ws[i], stride[i], counts[i], pad[i], fill)
    if mode == "max":
        b, n = length(x, 0), length(x, 1)
        return max_pool_2d(x.reshape((b, n, counts[0] * ws[0], counts[1] * ws[1])), ws)
    padded = pad if mode == "average_inc_pad" else (0, 0)  # cells of padding that are elements
    present = [find_present(*sizes) for sizes in zip(lengths, ws, stride, pad, counts, padded)]
    return reduce_windows(x, *count_elements(present, ws, x.dtype), mode, p)


def pool_whole(x, ws, stride, pad, mode, p):
    """Pool axes of unknown length as one window each; of another axis every cell is a window."""
    if stride is not None or not np.array_equal(pad, 0):
        raise ValueError(f"ws = {tuple(ws)}: a window of all there is has neither stride nor pad")
    others = [k for k in ws if k is not None]
    if others != [1] * len(others):
        raise ValueError(
            f"ws = {tuple(ws)}: beside a length not known, {x.type.shape}, 1 is needed"
        )
    axes = [2 + i for i, k in enumerate(ws) if k is None]
    if mode == "max":
        return x.max(axis=axes, keepdims=True)
    # Rows and columns that are one window each: (B, N, rows, k, columns, k').
    for i, k in enumerate(ws):
        x = pt.expand_dims(x, 2 + 2 * i + (k == 1))
    m = pt.cast(x.shape[3] * x.shape[5], x.dtype)
    return reduce_windows(x, m, None, mode, p)


def count_windows(n, size, stride, pad, ignore_border):
    """Return how many windows an axis of n cells has: an int, or symbolic as n is."""
    if ignore_border:
        return (n + 2 * pad - size) // stride + 1
    if stride >= size:
        return (n - 1) // stride + 1
    return at_least_zero((n - 1 - size + stride) // stride) + 1


def find_present(n, size, stride, pad, count, padded):
    """Return which cells of an axis' windows are elements: bool (count, size), None if all are."""
    arange = np.arange if isinstance(n, int) else pt.arange
    cell = arange(count)[:, None] * stride - pad + np.arange(size)
    present = (cell >= -padded) & (cell < n + padded)
    if isinstance(n, int) and present.all():
        return None
    return pt.as_tensor_variable(present)


def reduce_windows(x, m, here, mode, p):
    """Reduce (B, N, rows, k, columns, k'), 0 where no element is, to (B, N, rows, columns).

    m, here : the elements of every window, and which cells they are (None: all)
    """
    if mode.startswith("average"):
        return add_up(x) / m
    if mode == "std":
        return find_std(x, here, m)
    if not (isinstance(p, Real) and 1 <= p < np.inf):
        raise ValueError(
            f"p = {p!r}: a number of at least 1 is needed; for its limit take 'max' of abs(x)"
        )
    # The largest element is factored out, so that no power overflows; zeros stay zeros.
    largest = disconnected_grad(abs(x).max(axis=(3, 5)))
    largest = pt.switch(pt.gt(largest, 0), largest, pt.ones_like(largest))
    shares = abs(x) / spread(largest)
    total = add_up(shares ** np.asarray(p, x.dtype) if p != 1 else shares)
    return largest * safe_power(total if mode == "lp" else total / m, 1 / p)


def count_elements(present, ws, dtype):
    """Return m of every window, and which cells are elements (None: all are)."""
    if present == [None, None]:
        return np.asarray(ws[0] * ws[1], dtype), None
    # A row of True stands for an axis whose windows are all whole.
    rows, columns = (
        pt.as_tensor_variable(np.ones((1, k), bool)) if a is None else a
        for a, k in zip(present, ws)
    )
    m = rows.sum(axis=1)[:, None] * columns.sum(axis=1)  # (rows, columns), or an axis of length 1
    return m.astype(dtype), rows.dimshuffle(0, 1, "x", "x") & columns  # (rows, k, columns, k')


def add_up(cells):
    """Add up every window."""
    return cells.sum(axis=(3, 5))


def spread(values):
    """Give a number to every cell of its window."""
    return values.dimshuffle(0, 1, 2, "x", 3, "x")


def find_std(x, here, m):
    """Return the standard deviation of every window with divisor m."""
    # Less the largest element, whatever that is, so that a constant window is 0 exactly.
    elements = x if here is None else pt.switch(here, x, np.asarray(-np.inf, x.dtype))
    x = x - spread(disconnected_grad(elements.max(axis=(3, 5))))
    if here is not None:
        x = pt.switch(here, x, np.asarray(0, x.dtype))
    deviation = x - spread(add_up(x) / m)
    if here is not None:
        deviation = pt.switch(here, deviation, np.asarray(0, x.dtype))
    return safe_power(add_up(deviation**2) / m, 0.5)


def safe_power(x, exponent):
    """Return x to the power of the exponent, x >= 0, with slope 0 where x is 0."""
    zero, one = np.asarray(0, x.dtype), np.asarray(1, x.dtype)
    positive = pt.gt(x, zero)
    # The root itself never sees 0: its slope there is infinite, and 0 times that is NaN.
    root = pt.switch(positive, x, one) ** np.asarray(exponent, x.dtype)
    return pt.switch(positive, root, zero)
