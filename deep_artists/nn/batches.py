"""Minibatches of neighbouring rows, of which the order alone is shuffled."""

import numpy as np

from ..data.mapped import drop_pages

MAPPED_BYTES = 2**26  # of a mapped x that may be in memory


class Batches:
    """The minibatches of a set: consecutive rows, the last minibatch shorter where it must be.

    Rows never leave their neighbours. The list of minibatches is shuffled once when it is made, and
    again whenever all of them have been used.

    Parameters
    ----------
    x, y : np.ndarray, of one length
        In memory, or mapped: a minibatch is a view.
    batch_size : int
    rng : np.random.RandomState
        Of the shuffling; sets that share one are shuffled in turn.
    number : int, optional
        Minibatches of one pass, which begins again where the list ends; all if not given.

    Attributes
    ----------
    starts : list of int
        The first row of every minibatch, in the present order.

    Examples
    --------
    >>> batches = Batches(np.arange(5), np.arange(5), 2, np.random.RandomState(1))
    >>> batches.starts, [x.tolist() for x, _ in batches]
    ([0, 4, 2], [[0, 1], [4], [2, 3]])
    """

    def __init__(self, x, y, batch_size, rng, number=None):
        if len(x) != len(y) or not len(x):
            raise ValueError(
                f"{len(x)} rows of x and {len(y)} of y: as many are needed, at least 1"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}; at least 1 is needed")
        self.x, self.y, self.batch_size, self.rng = np.asarray(x), np.asarray(y), batch_size, rng
        self.starts = list(range(0, len(x), batch_size))
        self.number = len(self.starts) if number is None else number
        self.position = 0
        rng.shuffle(self.starts)

    def __len__(self):
        return self.number

    def __iter__(self):
        """Yield x and y of the minibatches of this pass."""
        often = max(1, MAPPED_BYTES // max(1, self.batch_size * self.x[:1].nbytes))
        for i in range(self.position, self.position + self.number):
            rows = slice(self.start(i), self.start(i) + self.batch_size)
            yield self.x[rows], self.y[rows]
            if i % often == 0:
                drop_pages(self.x)

    def start(self, i):
        return self.starts[i % len(self.starts)]

    def list_starts(self):
        """Return the first rows of the minibatches of this pass."""
        return [self.start(i) for i in range(self.position, self.position + self.number)]

    def advance(self):
        """Go on to the next pass; where all have been used, shuffle."""
        self.position += self.number
        if self.position >= len(self.starts):
            self.rng.shuffle(self.starts)
            self.position = 0
