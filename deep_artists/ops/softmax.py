"""softmax over the rows of a matrix.

PyTensor has a softmax of its own. This one sums in a fixed order and has its own exp, and PyTensor
does not rewrite it, so that `rewrites` can recognise the tutorial's cost and make it numerically
stable, as Theano did.
"""

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.tensor import as_tensor_variable
from pytensor.tensor.type import TensorType

from .kernel import KernelOp, as_labels, as_matrix


def softmax(x):
    """Return exp(x) / sum(exp(x)) for every row.

    Parameters
    ----------
    x : tensor [shape=(n, k)], float32 or float64

    Returns
    -------
    tensor [shape=(n, k)], rows summing to 1

    Raises
    ------
    TypeError
        If `x` is not a float matrix.

    Notes
    -----
    ``theano.tensor.nnet.softmax``.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, 0.0], [0.0, 1000.0]])).eval(mode="FAST_COMPILE")
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return Softmax()(x)


class Softmax(KernelOp):
    """p = softmax(x)."""

    source, function = "softmax.cpp", "softmax"

    def make_node(self, x):
        x = as_matrix("softmax", x)
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        (x,) = inputs
        e = np.exp(x - x.max(axis=1, keepdims=True))
        outputs[0][0] = e / e.sum(axis=1, keepdims=True)

    def infer_shape(self, *args):
        return [args[-1][0]]

    def pullback(self, inputs, outputs, gradients):
        return [SoftmaxGrad()(*gradients, *outputs)]


class SoftmaxGrad(KernelOp):
    """dx from dp and p: p (dp - sum(dp p))."""

    source, function = "softmax.cpp", "softmax_grad"

    def make_node(self, dp, p):
        dp, p = as_matrix("softmax gradient", dp), as_matrix("softmax gradient", p)
        if dp.type.dtype != p.type.dtype:
            raise TypeError(f"softmax gradient: one dtype is needed, found {dp.type} and {p.type}")
        return Apply(self, [dp, p], [p.type()])

    def perform(self, node, inputs, outputs):
        dp, p = inputs
        outputs[0][0] = p * (dp - (dp * p).sum(axis=1, keepdims=True))

    def infer_shape(self, *args):
        return [args[-1][1]]

    def pullback(self, inputs, outputs, gradients):
        (dp, p), (g,) = inputs, gradients
        d = dp - (dp * p).sum(axis=1, keepdims=True)
        gp = (g * p).sum(axis=1, keepdims=True)
        return [g * p - gp * p, g * d - gp * dp]


class NegativeLogLikelihood(KernelOp):
    """-log(softmax(x))[arange, y], finite for any finite x, and softmax(x)."""

    source, function = "softmax.cpp", "nll"

    def make_node(self, x, y):
        x = as_matrix("negative log-likelihood", x)
        nll = TensorType(x.dtype, (x.type.shape[0],))
        return Apply(self, [x, as_labels(y)], [nll(), x.type()])

    def perform(self, node, inputs, outputs):
        x, y = inputs
        check_labels(y, *x.shape)
        shifted = x - x.max(axis=1, keepdims=True)
        total = np.exp(shifted).sum(axis=1, keepdims=True)
        outputs[0][0] = np.log(total[:, 0]) - shifted[np.arange(len(y)), y]
        outputs[1][0] = np.exp(shifted) / total

    def infer_shape(self, *args):
        x, y = args[-1]
        return [(x[0],), x]


class NegativeLogLikelihoodGrad(KernelOp):
    """dx from p = softmax(x), y and the gradient g of each row: g (p - onehot(y))."""

    source, function = "softmax.cpp", "nll_grad"

    def make_node(self, p, y, g):
        g = as_tensor_variable(g)
        if g.type.ndim != 1 or g.type.dtype != p.type.dtype:
            raise TypeError(
                f"likelihood gradient: a {p.type.dtype} vector is needed, found {g.type}"
            )
        return Apply(self, [p, as_labels(y), g], [p.type()])

    def perform(self, node, inputs, outputs):
        p, y, g = inputs
        check_labels(y, *p.shape)
        dx = p.copy()
        dx[np.arange(len(y)), y] -= 1
        outputs[0][0] = dx * g[:, None]

    def infer_shape(self, *args):
        return [args[-1][0]]


def check_labels(y, n, k):
    if len(y) != n or (n and not (0 <= y.min() and y.max() < k)):
        raise ValueError(f"labels {y}: {n} of them are needed, each from 0 to {k - 1}")
