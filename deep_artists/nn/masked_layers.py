"""The layers of Humphrey's framework of 2013 (ejhumphrey/dl4mir), whose outputs a mask multiplies.

Each layer has a RandomState of its own: its first draw seeds the dropout masks, the next ones are
the initial weights. One mask entry is drawn for every unit, or feature map, and serves the batch.

**Halved outputs.** The framework multiplied every output by mask * (rate + 1/2). That is right for
the dropout rate 1/2, on which it was tried, but halves every output where nothing is dropped:
also the distances of the radial basis functions. ``halved=False`` divides by 1 - rate instead.
"""

import numpy as np
import pytensor.tensor as pt

from ..ops.conv2d import conv2d
from ..ops.max_pool import max_pool_2d
from ..ops.softmax import softmax
from .layers import share


class Mask:
    """The dropout mask of a layer.

    Parameters
    ----------
    seed : int
        The first draw of the layer's RandomState.
    n_units : int
    rate : float, 0 <= rate < 1
        Share of units to drop; at 0 there is nothing to draw.
    halved : bool
        See the module.

    Attributes
    ----------
    factor : tensor [shape=(n_units,)] or scalar
        What multiplies the output.
    """

    def __init__(self, seed, n_units, rate, floatX, halved=True):
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate = {rate}; at least 0 and less than 1 is needed")
        self.rate, self.n_units = rate, n_units
        # Theano 0.6: RandomStreams(seed) seeds its first generator so.
        self.rng = np.random.RandomState(np.random.RandomState(seed).randint(2**30))
        self.factor = np.asarray(rate + 0.5 if halved else 1 / (1 - rate), floatX)
        if rate:
            self.kept = share(np.ones(n_units), floatX, "mask")
            self.factor = self.kept * self.factor

    def draw(self):
        """Draw which units the next call keeps."""
        if self.rate:
            kept = self.rng.binomial(1, 1 - self.rate, self.n_units)
            self.kept.set_value(kept.astype(self.kept.dtype))


def draw_normal(rng, variance, size):
    """Draw from a normal distribution of mean 0, in float64."""
    return rng.normal(0.0, np.sqrt(variance), size)


class Affine:
    """A linear layer, its activation and its mask.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, ...)]
        Flattened to (batch, n_in).
    n_in, n_out : int
    floatX : {'float32', 'float64'}
    activation : callable, optional
        Of a tensor; linear without.
    W, b : shared variables, optional
    rate, halved
        See `Mask`.

    Attributes
    ----------
    output : tensor [shape=(batch, n_out)]
        activation(dot(input, W) + b) * mask factor
    params : [W, b]
    mask : Mask
    """

    def __init__(
        self,
        rng,
        input,
        n_in,
        n_out,
        floatX,
        activation=None,
        W=None,
        b=None,
        rate=0.0,
        halved=True,
    ):
        self.mask = Mask(rng.randint(2**30), n_out, rate, floatX, halved)
        if W is None:
            W = share(draw_normal(rng, 1 / (n_in + n_out), (n_in, n_out)), floatX, "affine_W")
        self.W = W
        self.b = share(np.zeros(n_out), floatX, "affine_b") if b is None else b
        lin_output = pt.dot(input.flatten(2), self.W) + self.b
        self.output = (activation(lin_output) if activation else lin_output) * self.mask.factor
        self.params = [self.W, self.b]


class Conv3D:
    """Convolution over all input maps, bias, activation, mask, max-pooling: in this order.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, maps, rows, columns)]
    filter_shape : (int, int, int, int)
        Filters, input maps, rows, columns.
    poolsize : (int, int)
        Rows and columns of a window; windows at the border may be partial.
    floatX : {'float32', 'float64'}
    activation : callable
        With `pytensor.tensor.sigmoid` the initial weights are four times as large.
    W, b : shared variables, optional
    rate, halved
        See `Mask`.

    Attributes
    ----------
    output : tensor [shape=(batch, filters, rows, columns)]
    params : [W, b]
    mask : Mask
    """

    def __init__(
        self,
        rng,
        input,
        filter_shape,
        poolsize,
        floatX,
        activation=pt.tanh,
        W=None,
        b=None,
        rate=0.0,
        halved=True,
    ):
        n_filters = filter_shape[0]
        self.mask = Mask(rng.randint(2**30), n_filters, rate, floatX, halved)
        if W is None:
            scale = 4 if activation is pt.sigmoid else 1
            initial = scale * draw_normal(rng, 3 / np.prod(filter_shape[1:]), filter_shape)
            W = share(initial, floatX, "conv_W")
        self.W = W
        self.b = share(np.zeros(n_filters), floatX, "conv_b") if b is None else b
        conv_out = conv2d(input=input, filters=self.W) + self.b.dimshuffle("x", 0, "x", "x")
        masked = activation(conv_out) * pt.shape_padright(self.mask.factor, 2)
        self.output = max_pool_2d(input=masked, ds=poolsize, ignore_border=False)
        self.params = [self.W, self.b]


class Softmax:
    """A linear layer and the softmax over classes, without a mask.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, ...)]
        Flattened to (batch, n_in).
    n_in, n_out : int
    floatX : {'float32', 'float64'}
    W, b : shared variables, optional

    Attributes
    ----------
    output : tensor [shape=(batch, n_out)]
    params : [W, b]
    """

    def __init__(self, rng, input, n_in, n_out, floatX, W=None, b=None):
        rng.randint(2**30)  # the seed of masks that this layer has no use for
        if W is None:
            W = share(draw_normal(rng, 6 / (n_in + n_out), (n_in, n_out)), floatX, "softmax_W")
        self.W = W
        self.b = share(np.zeros(n_out), floatX, "softmax_b") if b is None else b
        self.output = softmax(pt.dot(input.flatten(2), self.W) + self.b)
        self.params = [self.W, self.b]


class MultiSoftmax:
    """Several softmaxes over the same inputs, without a mask.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, ...)]
        Flattened to (batch, n_in).
    n_softmax, n_in, n_out : int
        How many softmaxes; inputs and classes of each.
    floatX : {'float32', 'float64'}
    W, b : shared variables [shape=(n_softmax, n_in, n_out), (n_softmax, n_out)], optional

    Attributes
    ----------
    output : tensor [shape=(batch, n_out, n_softmax)]
        ``output[n, :, k]`` is softmax(dot(input[n], W[k]) + b[k]).
    params : [W, b]
    """

    def __init__(self, rng, input, n_softmax, n_in, n_out, floatX, W=None, b=None):
        rng.randint(2**30)  # as in Softmax
        if W is None:
            variance = 1 / (n_softmax + n_in + n_out)
            W = share(draw_normal(rng, variance, (n_softmax, n_in, n_out)), floatX, "softmax_W")
        self.W = W
        self.b = share(np.zeros((n_softmax, n_out)), floatX, "softmax_b") if b is None else b
        side_by_side = self.W.dimshuffle(1, 0, 2).reshape((n_in, n_softmax * n_out))
        lin_output = pt.dot(input.flatten(2), side_by_side) + self.b.flatten()
        p = softmax(lin_output.reshape((-1, n_out)))  # a row for every sample and softmax
        self.output = p.reshape((-1, n_softmax, n_out)).dimshuffle(0, 2, 1)
        self.params = [self.W, self.b]


class RBF:
    """Distances to one template a class: radial basis functions whose centres are not learned.

    Parameters
    ----------
    rng : np.random.RandomState
    input : tensor [shape=(batch, ...)]
        Flattened to (batch, n_in).
    n_in, n_out : int
        Inputs; templates.
    floatX : {'float32', 'float64'}
    distance : {'l1', 'l2'}
        The sum of absolute or of squared differences, without a root; the framework's own default
        was 'l1'.
    W : shared variable [shape=(n_in, n_out)], optional
        A template in every column.
    halved
        See `Mask`.

    Attributes
    ----------
    output : tensor [shape=(batch, n_out)]
    params : [W]
        No system's updates list it.
    """

    def __init__(self, rng, input, n_in, n_out, floatX, distance="l1", W=None, halved=True):
        if distance not in ("l1", "l2"):
            raise ValueError(f"distance = {distance!r}; 'l1' or 'l2' is needed")
        mask = Mask(rng.randint(2**30), n_out, 0.0, floatX, halved)
        if W is None:
            W = share(draw_normal(rng, 1 / (n_in + n_out), (n_in, n_out)), floatX, "rbf_W")
        self.W = W
        difference = input.flatten(2).dimshuffle(0, 1, "x") - self.W.dimshuffle("x", 0, 1)
        distances = pt.sum(difference**2 if distance == "l2" else abs(difference), axis=1)
        self.output = distances * mask.factor
        self.params = [self.W]

    def mean_error(self, y):
        """Return the mean distance to the template of the label, y an int32 vector."""
        return pt.mean(self.output[pt.arange(y.shape[0]), y])
