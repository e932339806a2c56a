"""conv2d and max_pool_2d in one pass, and the gradients for filters and bias.

`rewrites` puts these in the place of the plain Ops. The forward pass keeps one bit per cell, set if
the cell equals the maximum of its window. All tied cells are winners, and the gradient for the
filters comes from them alone.
"""

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.tensor.type import TensorType

from .conv2d import Conv2D, Conv2DGradFilters
from .kernel import KernelOp, as_images
from .max_pool import MaxPool, as_poolsize, split_windows


class ConvPool(KernelOp):
    """p = max_pool_2d(conv2d(x, W), ds) and the winners, 32 columns to a uint32."""

    source, function = "conv_pool.cpp", "conv_pool"
    int_params = MaxPool.int_params
    __props__ = ("ds",)

    def __init__(self, ds):
        self.ds = self.pool_h, self.pool_w = as_poolsize(ds)

    def make_node(self, x, W):
        p = MaxPool(self.ds)(Conv2D()(x, W))
        return Apply(self, [x, W], [p.type(), TensorType("uint32", (None,) * 4)()])

    def perform(self, node, inputs, outputs):
        z, p = [None], [None]
        Conv2D().perform(node, inputs, [z])
        MaxPool(self.ds).perform(node, z, [p])
        wins = split_windows(z[0], self.ds) == p[0][:, :, :, None, :, None]
        n, maps, rows, h, columns, w = wins.shape
        words = (columns * w + 31) // 32
        wide = np.zeros((n, maps, rows * h, words * 32), bool)
        wide[..., : columns * w] = wins.reshape(n, maps, rows * h, columns * w)
        outputs[0][0] = p[0]
        outputs[1][0] = np.packbits(wide, axis=-1, bitorder="little").view("<u4")

    def infer_shape(self, *args):
        x, W = args[-1]
        rows, columns = ((x[i] - W[i] + 1) // self.ds[i - 2] for i in (2, 3))
        words = (columns * self.ds[1] + 31) // 32
        return [(x[0], W[0], rows, columns), (x[0], W[0], rows * self.ds[0], words)]


class ConvPoolGradFilters(ConvPool):
    """dW from x, the winners, dp and W (for its shape)."""

    function = "conv_pool_grad"

    def make_node(self, x, winners, dp, W):
        dtypes = [v.type.dtype for v in (x, dp, W, winners)]
        if dtypes != [dtypes[0]] * 3 + ["uint32"]:
            raise TypeError(f"conv_pool gradient: x, dp, W of one dtype are needed, found {dtypes}")
        return Apply(self, [x, winners, dp, W], [W.type()])

    def perform(self, node, inputs, outputs):
        x, winners, dp, W = inputs
        h, w = self.ds
        n, maps, pooled_rows, pooled_columns = dp.shape
        bits = np.unpackbits(winners.view(np.uint8), axis=-1, bitorder="little")
        wins = bits[..., : pooled_columns * w].astype(bool)
        dz = np.zeros((n, maps, x.shape[2] - W.shape[2] + 1, x.shape[3] - W.shape[3] + 1), x.dtype)
        spread = dp.repeat(h, axis=2).repeat(w, axis=3)
        dz[:, :, : pooled_rows * h, : pooled_columns * w] = np.where(wins, spread, 0)
        Conv2DGradFilters().perform(node, [x, dz], outputs)

    def infer_shape(self, *args):
        return [args[-1][3]]


class SumMaps(KernelOp):
    """The sum of every map over samples, rows and columns: one chain of additions in float64.

    The gradient for a bias. PyTensor's own sum has the same order, but keeps its total in memory,
    where each addition waits for the one before.
    """

    source, function = "conv_pool.cpp", "sum_maps"

    def make_node(self, d):
        (d,) = as_images("sum of maps", d=d)
        return Apply(self, [d], [TensorType(d.dtype, d.type.shape[1:2])()])

    def perform(self, node, inputs, outputs):
        (d,) = inputs
        chains = d.swapaxes(0, 1).reshape(d.shape[1], d[:, 0].size)
        totals = np.add.accumulate(chains, axis=1, dtype="float64")[:, -1:]
        outputs[0][0] = totals.sum(axis=1).astype(d.dtype)

    def infer_shape(self, *args):
        return [(args[-1][0][1],)]
