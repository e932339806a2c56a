"""The three layers of the network, in the words of the tutorial they come from.

A layer builds its part of the graph when it is made. W and b are shared variables; ``W=`` and
``b=`` take existing ones. Initial values are drawn in float64 from `rng`, then cast to floatX.
"""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..ops.conv2d import conv2d
from ..ops.max_pool import max_pool_2d
from ..ops.rectify import rectify
from ..ops.softmax import softmax


def share(value, floatX, name):
    """Return a shared variable of that value, its shape known to the graph."""
    value = np.asarray(value, dtype=floatX)
    return pytensor.shared(value, name=name, shape=value.shape)


def draw_uniform(rng, fan_in, fan_out, size):
    """Draw from U(-b, b), b = sqrt(6 / (fan_in + fan_out)), in float64."""
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(low=-bound, high=bound, size=size)


class ConvPoolLayer:
    """Convolution, max-pooling, bias, rectifier: in this order.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=image_shape]
    filter_shape : (int, int, int, int)
        Filters, input maps, rows, columns.
    image_shape : (int or None, int, int, int)
        Batch size, input maps, rows, columns.
    poolsize : (int, int)
        Rows and columns of a window.
    W, b : shared variables, optional

    Attributes
    ----------
    output : tensor [shape=(batch, filters, rows, columns)]
        max(0, max_pool_2d(conv2d(input, W)) + b)
    params : [W, b]
    """

    def __init__(self, rng, input, filter_shape, image_shape, poolsize, floatX, W=None, b=None):
        if image_shape[1] != filter_shape[1]:
            raise ValueError(
                f"image_shape {image_shape} and filter_shape {filter_shape}: axis 1 differs"
            )
        if W is None:
            fan_in = np.prod(filter_shape[1:])
            # 2013: Python 2, the division of integers drops the remainder.
            fan_out = filter_shape[0] * np.prod(filter_shape[2:]) // np.prod(poolsize)
            W = share(draw_uniform(rng, fan_in, fan_out, filter_shape), floatX, "conv_W")
        self.W = W
        self.b = share(np.zeros(filter_shape[0]), floatX, "conv_b") if b is None else b
        conv_out = conv2d(input=pt.specify_shape(input, image_shape), filters=self.W)
        pooled_out = max_pool_2d(input=conv_out, ds=poolsize)
        self.output = rectify(pooled_out + self.b.dimshuffle("x", 0, "x", "x"))
        self.params = [self.W, self.b]


class HiddenLayer:
    """A linear layer and the rectifier.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, n_in)]
    n_in, n_out : int
    W, b : shared variables, optional

    Attributes
    ----------
    output : tensor [shape=(batch, n_out)]
        max(0, dot(input, W) + b)
    params : [W, b]
    """

    def __init__(self, rng, input, n_in, n_out, floatX, W=None, b=None):
        if W is None:
            W = share(draw_uniform(rng, n_in, n_out, (n_in, n_out)), floatX, "hidden_W")
        self.W = W
        self.b = share(np.zeros(n_out), floatX, "hidden_b") if b is None else b
        self.output = rectify(pt.dot(input, self.W) + self.b)
        self.params = [self.W, self.b]


class LogisticRegression:
    """A linear layer and the softmax over classes. W and b start at zero.

    Parameters
    ----------
    input : tensor [shape=(batch, n_in)]
    n_in, n_out : int
    W, b : shared variables, optional

    Attributes
    ----------
    lin_output, p_y_given_x : tensor [shape=(batch, n_out)]
        dot(input, W) + b, and its softmax.
    y_pred : int tensor [shape=(batch,)]
        The first class of largest probability.
    params : [W, b]
    """

    def __init__(self, input, n_in, n_out, floatX, W=None, b=None):
        self.W = share(np.zeros((n_in, n_out)), floatX, "softmax_W") if W is None else W
        self.b = share(np.zeros(n_out), floatX, "softmax_b") if b is None else b
        self.lin_output = pt.dot(input, self.W) + self.b
        self.p_y_given_x = softmax(self.lin_output)
        self.y_pred = pt.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]

    def negative_log_likelihood(self, y):
        """Return the mean of -log p_y_given_x at the labels y, an int32 vector."""
        return -pt.mean(pt.log(self.p_y_given_x)[pt.arange(y.shape[0]), y])

    def errors(self, y):
        """Return the share of labels that are not predicted."""
        return pt.mean(pt.neq(self.y_pred, y))
