"""Two-dimensional convolution with a stride, zero padding and a choice of flip."""

from operator import index

import numpy as np
import pytensor.tensor as pt

from ..ops.conv2d import conv2d
from .windows import cut_windows, length


def as_pair(value, name, least=1):
    """Return value as (rows, columns); one number stands for both."""
    try:
        pair = tuple(map(index, (value, value) if np.ndim(value) == 0 else value))
    except TypeError:
        pair = ()
    if len(pair) != 2 or min(pair) < least:
        raise ValueError(
            f"{name} = {value!r}: two whole numbers, rows and columns, are needed, "
            f"each at least {least}"
        )
    return pair


def convolve(input, W, stride=1, pad=0, flip=True):
    """Convolve maps with filters.

    ::

        y[v, i, j] = sum over n, a, c of x[n, i s - p + a, j s' - p' + c] W[v, n, H-1-a, W-1-c]

    Parameters
    ----------
    input : tensor [shape=(B, N, F, T)], float32 or float64
    W : tensor [shape=(V, N, H, W)], of the same dtype
        H and W known to the graph.
    stride : int or (int, int)
        Rows and columns from one window to the next.
    pad : int, (int, int) or str
        Zeros on both ends of rows and columns. 'valid': none. 'half': H div 2, 'full': H - 1.
        'same', as Keras has it on Theano: 'half', of which the first ceil(F / s) outputs are kept.
    flip : bool
        True: a convolution, as Theano computes it. False: the filters lie as they are stored, as
        TensorFlow and PyTorch do.

    Returns
    -------
    tensor [shape=(B, V, floor((F + 2p - H) / s) + 1, floor((T + 2p' - W) / s') + 1)]

    Raises
    ------
    TypeError, ValueError
        If dtypes, maps or lengths do not fit.

    Notes
    -----
    ``theano.tensor.nnet.conv2d(border_mode, subsample, filter_flip)`` of Theano 1.0.5. A stride
    costs no products that are thrown away: the s s' phases of rows and columns become maps of an
    input s s' times smaller, with filters cut up in the same way.

    Examples
    --------
    >>> x = pt.as_tensor_variable(np.arange(25.0).reshape(1, 1, 5, 5))
    >>> convolve(x, np.ones((1, 1, 3, 3)), stride=2, pad=1).eval(mode="FAST_COMPILE")
    array([[[[ 12.,  27.,  24.],
             [ 63., 108.,  81.],
             [ 72., 117.,  84.]]]])
    """
    x, W = pt.as_tensor_variable(input), pt.as_tensor_variable(W)
    sizes, stride = W.type.shape[2:], as_pair(stride, "stride")
    if W.type.ndim != 4 or x.type.ndim != 4 or None in sizes:
        raise ValueError(
            f"input {x.type.shape} and W {W.type.shape} do not fit: (B, N, F, T) and "
            "(V, N, H, W) are needed, H and W known"
        )
    pads = find_pads(pad, sizes)
    lengths = [length(x, 2), length(x, 3)]
    found = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(lengths, pads, sizes, stride)]
    maps = x.type.shape[1], W.type.shape[1]
    if any(isinstance(n, int) and n < 1 for n in found) or (None not in maps and len({*maps}) > 1):
        raise ValueError(
            f"input {x.type.shape} and W {W.type.shape} with padding {pads} do not "
            "fit: the maps (axis 1) must be equal, the filters no larger than the "
            "padded input"
        )
    if pad == "same":
        found = [-(-n // s) for n, s in zip(lengths, stride)]
    if not flip:
        W = turn(W)
    if stride != (1, 1):
        W = split_phases(
            turn(W), stride, pad=(0, 0), lengths=[-(-k // s) for k, s in zip(sizes, stride)]
        )
        W, sizes = turn(W), W.type.shape[2:]
    x = split_phases(x, stride, pads, [n + k - 1 for n, k in zip(found, sizes)])
    return conv2d(x, W)


def find_pads(pad, sizes):
    """Return the rows and columns of zeros on each side."""
    if pad == "valid":
        return 0, 0
    if pad in ("half", "same"):
        return tuple(k // 2 for k in sizes)
    if pad == "full":
        return tuple(k - 1 for k in sizes)
    if isinstance(pad, str):
        raise ValueError(f"pad = {pad!r}: numbers, 'valid', 'half', 'full' or 'same' are needed")
    return as_pair(pad, "pad", least=0)


def turn(W):
    """Turn filters by 180 degrees."""
    return W[:, :, ::-1, ::-1]


def split_phases(x, stride, pad, lengths):
    """Make a map of every s-th row and column: (B, N, F, T) -> (B, N s s', *lengths).

    Cells of padding are 0; rows and columns that are not needed for `lengths` are left out.
    """
    for i in (0, 1):  # each axis becomes (length, stride)
        x = cut_windows(x, 2 + 2 * i, stride[i], stride[i], lengths[i], pad[i])
    b, n, rows, s, columns, t = (length(x, i) for i in range(6))
    return x.transpose((0, 1, 3, 5, 2, 4)).reshape((b, n * s * t, rows, columns))
