"""Train, validate and test on minibatch i: the compiled functions of any network and its data.

A network has ``x`` and ``y``, symbolic variables whose first length is the batch size, the scalars
``cost`` and ``errors``, its parameters ``params`` by name, ``updates()``, ``values()`` and
``set_values()``. The patches lie in shared variables; ``givens`` slices a minibatch out of them.
"""

from functools import partial

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..ops.compile import compile_function
from .stream import Stream


class InMemory:
    """The minibatches of a split that lies in memory, or in one mapped file.

    Parameters
    ----------
    x, y : np.ndarray
    floatX : {'float32', 'float64'}
    seed : int, optional
        Of the shuffling; stored order if not given.

    Attributes
    ----------
    n : int
        Rows of x.
    x, y, order : shared variables
        Minibatch i is ``x[order[i * batch_size : (i + 1) * batch_size]]``, without the order if
        there is no seed.
    """

    def __init__(self, x, y, floatX, seed=None):
        self.n = len(x)
        # The memory of a float32 x is used as it is, that of a mapped file too.
        self.x = pytensor.shared(np.asarray(x, dtype=floatX), borrow=True, name="x")
        # 2013: y is stored as floatX and cast to int32 in the graph.
        self.y = pytensor.shared(np.asarray(y, dtype=floatX), borrow=True, name="y")
        self.seed, self.order = seed, None
        if seed is not None:
            self.order = pytensor.shared(np.arange(self.n), name="order")

    def start_epoch(self, epoch):
        """Draw the order of an epoch, from the seed and the epoch alone."""
        if self.seed is not None:
            rng = np.random.RandomState([self.seed, epoch])
            self.order.set_value(rng.permutation(self.n))

    def wrap(self, function):
        """Return the function of a minibatch's index: the compiled one itself."""
        return function


class Steps:
    """The compiled functions of a training run.

    Parameters
    ----------
    network : as this module says
    splits : three (x, y), or three Streams
        Train, valid and test: in memory, or read block by block, see `stream`.
    seed : int, optional
        Draw a new order of the training patches every epoch; stored order if not given. A Stream
        brings its own.
    device : str
        See `ops.device.check_device`.

    Attributes
    ----------
    network
    n_batches : list of int
        Whole minibatches in train, valid and test; patches that do not fill one are left out.
    train_model, validate_model, test_model : callable
        Minibatch index -> its cost, before the update it makes; its error; its error.
    best : dict or None
        The parameters of lowest validation error, kept by the loop.
    """

    def __init__(self, network, splits, seed=None, device="cpu"):
        batch_size, floatX = network.x.type.shape[0], network.x.type.dtype
        self.network, self.device, self.best = network, device, None
        self.streamed = isinstance(splits[0], Stream)
        if not self.streamed:
            splits = [
                InMemory(*split[:2], floatX, seed if i == 0 else None)
                for i, split in enumerate(splits)
            ]
        self.splits = splits
        self.n_batches = [split.n // batch_size for split in splits]
        index = pt.lscalar("index")
        outputs = network.cost, network.errors, network.errors
        self.functions = [
            self.compile(index, output, split, updates)
            for split, output, updates in zip(splits, outputs, (network.updates(), [], []))
        ]
        self.train_model, self.validate_model, self.test_model = map(
            self.wrap, self.functions, splits
        )

    def compile(self, index, output, split, updates):
        """Compile index -> output; the index counts minibatches in what of a split is in memory."""
        givens = minibatch(self.network, split, index, self.device)
        return compile_function([index], output, givens=givens, updates=updates, device=self.device)

    def wrap(self, function, split):
        """Return the function of a minibatch's index in the whole split."""
        if self.device == "cpu" or not self.streamed:
            return split.wrap(function)
        from ..ops.jax.scan import call

        return split.wrap(partial(call, function))

    def each(self, i, indices):
        """Return a cost or error for each minibatch of a range of split i: as they are asked for
        on the cpu, all in one call on another device, or all of a stream's block."""
        function, split = self.functions[i], self.splits[i]
        if self.device == "cpu":
            return map(split.wrap(function), indices)
        from ..ops.jax.scan import call_each

        if not self.streamed:
            return call_each(function, indices)
        return (value for part in split.divide(indices) for value in call_each(function, part))

    def train(self, indices):
        """Train on a range of minibatches; return their costs."""
        return self.each(0, indices)

    def validate(self):
        """Return the mean error of the whole validation minibatches."""
        return float(np.mean(list(self.each(1, range(self.n_batches[1])))))

    def test(self):
        """Return the mean error of the whole test minibatches."""
        return float(np.mean(list(self.each(2, range(self.n_batches[2])))))

    def start_epoch(self, epoch):
        """Go over to the order of an epoch."""
        self.splits[0].start_epoch(epoch)


def minibatch(network, split, index, device):
    """Return the givens that put a minibatch of the split in the place of network.x and .y."""
    batch_size, floatX = network.x.type.shape[0], network.x.type.dtype
    if device == "cpu":
        rows = slice(index * batch_size, (index + 1) * batch_size)  # a view
    else:
        rows = index * batch_size + pt.arange(batch_size)  # XLA needs a length that is known
    if split.order is not None:
        rows = split.order[rows]
    x, y = pt.cast(split.x[rows], floatX), pt.cast(split.y[rows], network.y.type.dtype)
    return {
        network.x: pt.specify_shape(x, network.x.type.shape),
        network.y: pt.specify_shape(y, network.y.type.shape),
    }
