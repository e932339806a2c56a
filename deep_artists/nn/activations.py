"""Activations with Theano's slopes at their corners, for tensors of any shape.

The corners matter: silent music and biases of zero make many values exactly 0. `sigmoid` and `tanh`
have no corner and are PyTensor's own; the rectifier of the 2013 program is `ops.rectify`, whose
slope at 0 is another.
"""

import numpy as np
import pytensor.tensor as pt

from ..ops import softmax as softmax_op

sigmoid, tanh = pt.sigmoid, pt.tanh


def linear(x):
    """Return x."""
    return x


def relu(x):
    """Return max(0, x); the slope at exactly 0 is 1/2.

    Parameters
    ----------
    x : tensor, float32 or float64, any shape

    Notes
    -----
    ``theano.tensor.nnet.relu``: (x + |x|) / 2, which is where the slope 1/2 comes from.

    Examples
    --------
    >>> import pytensor
    >>> x = pt.dvector("x")
    >>> slope = pytensor.grad(relu(x).sum(), x)
    >>> slope.eval({x: [-1.0, 0.0, 1.0]}, mode="FAST_COMPILE")
    array([0. , 0.5, 1. ])
    """
    return np.asarray(0.5, x.dtype) * (x + abs(x))


def elu(x):
    """Return x where it is positive, else exp(x) - 1; the slope at 0 is 1."""
    zero = np.asarray(0, x.dtype)
    # PyTensor gives the slope at a tie to the first argument: none to the first term, 1 to the
    # second. The exponential only sees what is not positive: of a large x it would be inf.
    return pt.maximum(zero, x) + pt.expm1(pt.minimum(x, zero))


def hard_sigmoid(x):
    """Return x / 5 + 1/2 clipped to [0, 1].

    Notes
    -----
    ``theano.tensor.nnet.hard_sigmoid`` of Theano 1.0.5: the slope on both corners is 0.2, as
    inside. (Theano 0.6: 0 on the corners.)
    """
    y = np.asarray(0.2, x.dtype) * x + np.asarray(0.5, x.dtype)
    zero, one = np.asarray(0, x.dtype), np.asarray(1, x.dtype)
    # Theano 1.0.5: a y of exactly 0 or 1 is inside.
    return pt.switch(pt.lt(y, zero), zero, pt.switch(pt.gt(y, one), one, y))


def softmax(x):
    """Return exp(x) / sum(exp(x)) over the last axis, the maximum subtracted first.

    Parameters
    ----------
    x : tensor [shape=(..., k)], float32 or float64

    Examples
    --------
    >>> softmax(pt.as_tensor_variable(np.zeros((1, 2, 4)))).eval(mode="FAST_COMPILE")
    array([[[0.25, 0.25, 0.25, 0.25],
            [0.25, 0.25, 0.25, 0.25]]])
    """
    if x.type.ndim == 2:
        return softmax_op.softmax(x)
    rows = softmax_op.softmax(x.reshape((-1, x.shape[-1])))
    return pt.specify_shape(rows.reshape(x.shape), x.type.shape)
