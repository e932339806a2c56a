"""Max-pooling over windows that do not overlap, with the gradient of Theano 0.6.

Rows and columns that do not fill a window are left out, or have windows of their own with
``ignore_border=False``. Where several cells equal the maximum of their window, EVERY one of them
receives the full gradient; today's libraries choose one cell or share it out. Silent and constant
patches make such ties.
"""

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.tensor.type import TensorType

from .kernel import KernelOp, as_images


def max_pool_2d(input, ds, ignore_border=True):
    """Take the maximum of every window of the last two axes.

    Parameters
    ----------
    input : tensor [shape=(batch, maps, rows, columns)], float32 or float64
    ds : (int, int)
        Rows and columns of a window, each at least 1.
    ignore_border : bool
        Leave out what does not fill a window; False: let the last windows be partial.

    Returns
    -------
    tensor [shape=(batch, maps, rows // ds[0], columns // ds[1])]
        Quotients rounded up where the border is not ignored.

    Raises
    ------
    TypeError
        If `input` is not 4-dimensional or not float.
    ValueError
        If `ds` is not two positive integers.

    Notes
    -----
    ``theano.tensor.signal.downsample.max_pool_2d`` of Theano 0.6, whose own default is
    ``ignore_border=False``.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool_2d(np.arange(10.0).reshape(1, 1, 2, 5), (2, 2)).eval(mode="FAST_COMPILE")
    array([[[[6., 8.]]]])
    """
    return MaxPool(ds)(input if ignore_border else fill_windows(input, ds))


def fill_windows(input, ds):
    """Pad rows and columns with -inf, which wins in no window, to whole windows."""
    (input,) = as_images("max_pool_2d", input=input)
    ds = as_poolsize(ds)
    known = input.type.shape[2:]
    if None not in known and not any(n % k for n, k in zip(known, ds)):
        return input
    lengths = [s if n is None else n for n, s in zip(known, input.shape[2:])]
    whole = [n + -n % k for n, k in zip(lengths, ds)]
    padded = pt.full((*input.shape[:2], *whole), np.asarray(-np.inf, input.dtype))
    return pt.set_subtensor(padded[:, :, : lengths[0], : lengths[1]], input)


def as_poolsize(ds):
    """Return ds as a pair of positive ints."""
    try:
        poolsize = tuple(int(n) for n in ds)
    except TypeError:
        poolsize = ()
    if len(poolsize) != 2 or min(poolsize) < 1 or poolsize != tuple(ds):
        raise ValueError(
            f"max_pool_2d: ds = {ds!r}; a window is two positive integers (rows, columns)"
        )
    return poolsize


def split_windows(a, ds):
    """View (n, maps, rows, columns) as (n, maps, rows // h, h, columns // w, w)."""
    h, w = ds
    n, maps, rows, columns = a.shape
    whole = a[:, :, : rows // h * h, : columns // w * w]
    return whole.reshape(n, maps, rows // h, h, columns // w, w)


class MaxPool(KernelOp):
    """p = max_pool_2d(z, ds)."""

    source, function = "max_pool.cpp", "max_pool"
    int_params = ("pool_h", "pool_w")
    __props__ = ("ds",)

    def __init__(self, ds):
        self.ds = self.pool_h, self.pool_w = as_poolsize(ds)

    def make_node(self, z):
        (z,) = as_images("max_pool_2d", input=z)
        n, maps, *lengths = z.type.shape
        pooled = [None if a is None else a // k for a, k in zip(lengths, self.ds)]
        return Apply(self, [z], [TensorType(z.dtype, (n, maps, *pooled))()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = split_windows(inputs[0], self.ds).max(axis=(3, 5))

    def infer_shape(self, *args):
        (z,) = args[-1]
        return [(z[0], z[1], z[2] // self.ds[0], z[3] // self.ds[1])]

    def pullback(self, inputs, outputs, gradients):
        return [MaxPoolGrad(self.ds)(*inputs, *outputs, *gradients)]

    def pushforward(self, inputs, outputs, tangents):
        # The transpose of the gradient: the tangents of all tied cells, added.
        (z,), (p,), (dz,), (h, w) = inputs, outputs, tangents, self.ds
        n, maps, rows, columns = (p.shape[i] for i in range(4))
        z, dz = (
            a[:, :, : rows * h, : columns * w].reshape((n, maps, rows, h, columns, w))
            for a in (z, dz)
        )
        wins = pt.eq(z, p.dimshuffle(0, 1, 2, "x", 3, "x"))
        return [pt.sum(pt.switch(wins, dz, 0), axis=(3, 5), dtype=p.type.dtype)]


class MaxPoolGrad(MaxPool):
    """dz from z, p and dp: dp in every cell of z that equals its window's p, 0 elsewhere."""

    function = "max_pool_grad"

    def make_node(self, z, p, dp):
        z, p, dp = as_images("max_pool_2d gradient", z=z, p=p, dp=dp)
        return Apply(self, [z, p, dp], [z.type()])

    def perform(self, node, inputs, outputs):
        z, p, dp = inputs
        dz = np.zeros_like(z)
        # Theano 0.6: every tied cell receives the full gradient.
        wins = split_windows(z, self.ds) == p[:, :, :, None, :, None]
        split = np.where(wins, dp[:, :, :, None, :, None], 0)
        rows, columns = (a * k for a, k in zip(p.shape[2:], self.ds))
        dz[:, :, :rows, :columns] = split.reshape(*z.shape[:2], rows, columns)
        outputs[0][0] = dz

    def infer_shape(self, *args):
        return [args[-1][0]]

    def pullback(self, inputs, outputs, gradients):
        raise TypeError("max_pool_2d has no second derivative, as in Theano 0.6")

    pushforward = pullback
