"""'valid' two-dimensional convolution and its gradients.

A true convolution, as in signal processing and in Theano's ``nnet.conv.conv2d``: the filters
are flipped in both axes. Images are (batch, maps, height, width), filters (filters, maps, kh, kw)::

    z[n, f, r, c] = sum over m, i, j of x[n, m, r + i, c + j] * W[f, m, kh - 1 - i, kw - 1 - j]

The three Ops are closed under differentiation: each one's gradients are the other two.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.tensor.type import TensorType

from .kernel import KernelOp, as_images


def conv2d(input, filters):
    """Convolve images with filters, where they overlap wholly.

    Parameters
    ----------
    input : tensor [shape=(batch, maps, height, width)], float32 or float64
    filters : tensor [shape=(filters, maps, kh, kw)], of the same dtype

    Returns
    -------
    tensor [shape=(batch, filters, height - kh + 1, width - kw + 1)]

    Raises
    ------
    TypeError
        If an argument is not 4-dimensional or the dtypes differ.
    ValueError
        If shapes known at graph-building time do not fit; others raise when the graph runs.

    Notes
    -----
    ``theano.tensor.nnet.conv.conv2d(border_mode='valid')`` of Theano 0.6.

    Examples
    --------
    >>> import numpy as np
    >>> x, W = np.arange(6.0).reshape(1, 1, 2, 3), np.array([[[[1.0, 10.0]]]])
    >>> conv2d(x, W).eval(mode="FAST_COMPILE")
    array([[[[ 1., 12.],
             [34., 45.]]]])
    """
    return Conv2D()(input, filters)


def valid_length(n, k):
    """Return n - k + 1, or None where a length is not known before the graph runs."""
    return None if n is None or k is None else n - k + 1


class Conv2D(KernelOp):
    """z = conv2d(x, W)."""

    source, function = "conv2d.cpp", "conv2d"

    def make_node(self, x, W):
        x, W = as_images("conv2d", input=x, filters=W)
        (n, maps, height, width), (n_filters, w_maps, kh, kw) = x.type.shape, W.type.shape
        rows, columns = valid_length(height, kh), valid_length(width, kw)
        if (None not in (maps, w_maps) and maps != w_maps) or any(
            length is not None and length < 1 for length in (rows, columns)
        ):
            raise ValueError(
                f"conv2d: input {x.type.shape} and filters {W.type.shape} do not fit: the maps "
                "(axis 1) must be equal and the filters no larger than the input"
            )
        return Apply(self, [x, W], [TensorType(x.dtype, (n, n_filters, rows, columns))()])

    def perform(self, node, inputs, outputs):
        x, W = inputs
        if x.shape[1] != W.shape[1] or x.shape[2] < W.shape[2] or x.shape[3] < W.shape[3]:
            raise ValueError(f"conv2d: input {x.shape} and filters {W.shape} do not fit")
        patches = sliding_window_view(x, W.shape[2:], axis=(2, 3))  # (n, m, rows, columns, kh, kw)
        z = np.einsum("nmrcij,fmij->nfrc", patches, W[:, :, ::-1, ::-1], optimize=True)
        outputs[0][0] = np.ascontiguousarray(z)

    def infer_shape(self, *args):
        x, W = args[-1]
        return [(x[0], W[0], x[2] - W[2] + 1, x[3] - W[3] + 1)]

    def pullback(self, inputs, outputs, gradients):
        x, W = inputs
        (dz,) = gradients
        return [Conv2DGradInput()(W, dz), Conv2DGradFilters()(x, dz)]

    def pushforward(self, inputs, outputs, tangents):
        (x, W), (dx, dW) = inputs, tangents
        parts = [
            Conv2D()(a, b)
            for a, b, d in ((dx, W, dx), (x, dW, dW))
            if not isinstance(d.type, DisconnectedType)
        ]
        return [sum(parts[1:], parts[0])]


class Conv2DGradInput(KernelOp):
    """dx of conv2d from W and dz: zero-padded dz, correlated with the unflipped filters."""

    source, function = "conv2d.cpp", "conv2d_grad_input"

    def make_node(self, W, dz):
        W, dz = as_images("conv2d gradient", filters=W, dz=dz)
        return Apply(self, [W, dz], [TensorType(W.dtype, (None,) * 4)()])

    def perform(self, node, inputs, outputs):
        W, dz = inputs
        kh, kw = W.shape[2:]
        padded = np.pad(dz, [(0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)])
        patches = sliding_window_view(padded, (kh, kw), axis=(2, 3))
        dx = np.einsum("nfrcij,fmij->nmrc", patches, W, optimize=True)
        outputs[0][0] = np.ascontiguousarray(dx)

    def infer_shape(self, *args):
        W, dz = args[-1]
        return [(dz[0], W[1], dz[2] + W[2] - 1, dz[3] + W[3] - 1)]

    def pullback(self, inputs, outputs, gradients):
        W, dz = inputs
        (g,) = gradients
        return [Conv2DGradFilters()(g, dz), Conv2D()(g, W)]


class Conv2DGradFilters(KernelOp):
    """dW of conv2d from x and dz: the input under each cell of dz, summed in sample order."""

    source, function = "conv2d.cpp", "conv2d_grad_filters"

    def make_node(self, x, dz):
        x, dz = as_images("conv2d gradient", input=x, dz=dz)
        return Apply(self, [x, dz], [TensorType(x.dtype, (None,) * 4)()])

    def perform(self, node, inputs, outputs):
        x, dz = inputs
        patches = sliding_window_view(x, dz.shape[2:], axis=(2, 3))  # (n, m, kh, kw, rows, columns)
        dW = np.einsum("nmijrc,nfrc->fmij", patches, dz, optimize=True)
        outputs[0][0] = np.ascontiguousarray(dW[:, :, ::-1, ::-1])

    def infer_shape(self, *args):
        x, dz = args[-1]
        return [(dz[1], x[1], x[2] - dz[2] + 1, x[3] - dz[3] + 1)]

    def pullback(self, inputs, outputs, gradients):
        x, dz = inputs
        (g,) = gradients
        return [Conv2DGradInput()(g, dz), Conv2D()(x, g)]
