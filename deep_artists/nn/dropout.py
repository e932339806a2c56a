"""Dropout masks from NumPy's streams, the bits that Theano's RandomStreams draws."""

import numpy as np


class MaskStreams:
    """A stream of binary masks for every layer's input.

    Parameters
    ----------
    seed : int
        Each stream gets a seed of its own, drawn from ``RandomState(seed)`` in the layers' order.
    rates : sequence of float
        The share of inputs that each layer drops, at least 0, below 1.
    widths : sequence of int
        Inputs of each layer.

    Attributes
    ----------
    streams : list of np.random.RandomState

    Notes
    -----
    ``theano.tensor.shared_randomstreams.RandomStreams(seed).binomial(n=1, p=1 - rate)`` of
    Theano 0.6, in which every evaluation of the graph draws from every stream, whatever its rate.

    Examples
    --------
    >>> first, second = MaskStreams(510, rates=[0.0, 0.5], widths=[3, 4]).draw(2)
    >>> first.tolist(), second.tolist()
    ([[1, 1, 1], [1, 1, 1]], [[0, 1, 0, 0], [1, 1, 1, 1]])
    """

    def __init__(self, seed, rates, widths):
        seeds = np.random.RandomState(seed)
        self.streams = [np.random.RandomState(int(seeds.randint(2**30))) for _ in rates]
        self.rates, self.widths = list(rates), list(widths)

    def draw(self, rows):
        """Return the next mask of every layer: uint8 [shape=(rows, width)], 1 what stays."""
        return [
            draw_binary(stream, 1 - rate, (rows, width))
            for stream, rate, width in zip(self.streams, self.rates, self.widths)
        ]


def draw_binary(rng, p, size):
    """Return ``rng.binomial(n=1, p=p, size=size)`` as uint8, a few times faster.

    NumPy inverts the distribution: it takes one uniform a number, and starts over in the rare
    case that the uniform lies above the whole distribution, the sum of which is rounded.
    """
    state = rng.get_state()
    u = rng.random_sample(size)
    less = p if p <= 0.5 else 1 - p
    none = np.exp(np.log(1 - less))  # NumPy's own way to the probability of 0
    if not (u - none > less * none / (1 - less)).any():
        return np.asarray(u > none if p <= 0.5 else u <= none).view(np.uint8)
    rng.set_state(state)
    return rng.binomial(n=1, p=p, size=size).astype(np.uint8)
