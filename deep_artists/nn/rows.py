"""Train on the rows that are named: the compiled step of a network over data in memory."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..ops.compile import compile_function, cpu_mode
from ..ops.rewrites import add_narrow_sums


def compile_rows(network, x, y, outputs=None):
    """Compile: rows -> cost before the update that it makes, sums in their own dtype.

    Parameters
    ----------
    network : with ``x``, ``y``, ``cost`` and ``updates()``
    x, y : np.ndarray [shape=(n, ...)]
    outputs : list of tensors, optional
        Instead of the cost alone.

    Returns
    -------
    callable
        Of an integer vector of rows.
    """
    rows = pt.lvector("rows")
    data_x = pytensor.shared(np.asarray(x, network.x.dtype), borrow=True, name="x")
    data_y = pytensor.shared(np.asarray(y, network.y.dtype), borrow=True, name="y")
    givens = {
        network.x: pt.specify_shape(data_x[rows], network.x.type.shape),
        network.y: pt.specify_shape(data_y[rows], network.y.type.shape),
    }
    outputs = network.cost if outputs is None else outputs
    # Theano 0.6rc3: float32 sums are added up in float32.
    mode = add_narrow_sums(cpu_mode())
    return compile_function([rows], outputs, updates=network.updates(), givens=givens, mode=mode)


def take_shuffled(rng, n, batch_size):
    """Yield minibatches of rows from one shuffle after the other, leaving none out.

    A minibatch may lie across two shuffles. The first one shuffles, too.

    Parameters
    ----------
    rng : np.random.RandomState
    n, batch_size : int

    Yields
    ------
    np.ndarray [shape=(batch_size,)], int32

    Examples
    --------
    >>> batches = take_shuffled(np.random.RandomState(0), n=4, batch_size=3)
    >>> np.sort([next(batches) for _ in range(4)], axis=None).tolist()
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    """
    order, next_row = np.arange(n, dtype=np.int32), n
    while True:
        batch = []
        while len(batch) < batch_size:
            if next_row == n:
                rng.shuffle(order)
                next_row = 0
            some = order[next_row : next_row + batch_size - len(batch)]
            batch.extend(some)
            next_row += len(some)
        yield np.array(batch, np.int32)


def take_in_order(n, batch_size):
    """Yield minibatches of rows in stored order, starting over where the data end.

    Examples
    --------
    >>> batches = take_in_order(n=4, batch_size=3)
    >>> next(batches).tolist(), next(batches).tolist()
    ([0, 1, 2], [3, 0, 1])
    """
    first = 0
    while True:
        yield (first + np.arange(batch_size)) % n
        first += batch_size
