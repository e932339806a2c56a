"""Random filters against learned ones: does the tutorial's claim hold for its own examples?

The tutorial says that features of a network that never learned already do well. Here the same
network is taken as it was drawn, and as it is after training; a linear solver is fitted to the
features of each, and to the input itself, and asked about sounds with other noise.

With ``deep-artists study blocks`` (librosa 0.11, float32, five seeds), accuracy in %::

    task                 noise  filters         input        random       learned
    pitch                  0.1        4    99.2 ± 0.6    50.4 ± 8.8   59.0 ± 11.6
    third                  0.1        4   78.0 ± 11.7    92.8 ± 3.9    97.5 ± 4.9
    third, other roots     0.1        4   50.7 ± 11.3    93.8 ± 5.2   83.5 ± 33.0
    pitch                  0.1       32    99.4 ± 0.6    97.8 ± 1.1   100.0 ± 0.0
    third                  0.1       32    74.0 ± 3.7   100.0 ± 0.0   100.0 ± 0.0
    third, other roots     0.1       32   41.7 ± 11.6   100.0 ± 0.0   100.0 ± 0.0
    pitch                  1.0        4    38.3 ± 7.8    18.4 ± 4.7    34.7 ± 7.5
    third                  1.0        4    54.0 ± 3.7    61.1 ± 3.8   78.6 ± 13.9
    third, other roots     1.0        4    46.9 ± 5.4    60.0 ± 4.6   78.8 ± 15.2
    pitch                  1.0       32    40.5 ± 9.0   38.5 ± 11.0    52.1 ± 9.6
    third                  1.0       32    56.0 ± 5.8    76.5 ± 3.8    88.6 ± 3.3
    third, other roots     1.0       32    45.6 ± 6.8    69.6 ± 6.5    83.1 ± 3.6

The claim holds where filters are many and the noise is that of the tutorial: with 32, random
filters tell thirds apart as well as learned ones, on roots they never met too. Learning wins where
the noise is ten times that, and mostly with 4 filters. For pitch random filters are no better than
the input itself.
"""

from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from ..ops.compile import compile_function
from .blocks import Block, activate, c1, c2, d1, list_params, p2, relu, softmax
from .blocks_examples import N_BINS, compile_step, draw_batches

TASKS = ("pitch", "third", "third, other roots")
N_UPDATES = 1000
N_TRAIN, N_TEST = 20, 10  # batches


class Accuracies(NamedTuple):
    """A row of the table: accuracies for each seed."""

    task: str
    gain: float  # of the noise
    n_filters: int
    input: list  # the linear solver on the input itself
    random: list
    learned: list


def compare_features(sounds, gain, n_filters, seeds, floatX="float32", n_updates=N_UPDATES):
    """Compare features of random and of learned filters.

    Parameters
    ----------
    sounds : dict of str to np.ndarray
        See `blocks_examples.find_templates`.
    gain : float
        The largest noise; 0.1 in the tutorial.
    n_filters : int
    seeds : sequence of int
    floatX : {'float32', 'float64'}
    n_updates : int

    Yields
    ------
    Accuracies
        For each of the tasks: which pitch, from filters over all frequencies and the rectifier;
        which third, from filters of 5x3, their global maxima and the rectifier, in the last task
        on four roots (drawn by the seed) that neither the filters nor the solver have met.
    """
    for kind in ("pitch", "third"):
        x, features = build_features(kind, n_filters, floatX)
        network = d1(features, 12 if kind == "pitch" else 2, softmax, rng=np.random.RandomState(0))
        step = compile_step(x, network)
        find = compile_function([x], features.output)
        start = [(v, v.get_value()) for v in step.get_shared()]
        for task in TASKS:
            if task.startswith(kind):
                rows = [
                    compare_once(task, sounds, gain, seed, n_updates, network, step, find, start)
                    for seed in seeds
                ]
                yield Accuracies(task, gain, n_filters, *(list(column) for column in zip(*rows)))


def build_features(kind, n_filters, floatX):
    """Return x and the features of a kind of network, its filters to be set."""
    rng = np.random.RandomState(0)
    if kind == "pitch":
        x = pt.tensor("x", dtype=floatX, shape=(None, N_BINS))
        y = c1(x.dimshuffle(0, "x", 1, "x"), n_filters, 1, relu, rng=rng)
        return x, Block("flatten", y, y.output[:, :, 0, 0], ())
    x = pt.tensor("x", dtype=floatX, shape=(None, N_BINS, 3))
    y = c2(x.dimshuffle(0, "x", 1, 2), n_filters, (5, 3), rng=rng)
    return x, activate(p2(y, "global"), relu)


def compare_once(task, sounds, gain, seed, n_updates, network, step, find, start):
    """Return the accuracies of one seed: on the input, random features, learned features."""
    rng = np.random.RandomState(seed)
    for variable, value in start:  # n and v of the optimiser, too
        variable.set_value(value)
    for p in list_params(network):
        if p.get_value().ndim > 1:
            p.set_value(draw_like(rng, p.get_value()))
    roots = rng.permutation(12)
    seen, met = (roots[:8], roots[8:]) if task.endswith("other roots") else (roots, roots)
    kinds = ["pitches"] if task == "pitch" else ["major", "minor"]
    seeds = rng.randint(2**31, size=3)

    def draw(which, n, among):
        return draw_batches([sounds[k] for k in kinds], seeds[which], n, gain=gain, roots=among)

    def join(batches):
        x, y = (np.concatenate(a) for a in zip(*batches))
        return x.astype(find.maker.fgraph.inputs[0].dtype), y

    train, test = join(draw(0, N_TRAIN, seen)), join(draw(1, N_TEST, met))
    found = [solve(train, test, lambda x: x.reshape(len(x), -1)), solve(train, test, find)]
    for x, y in draw(2, n_updates, seen):
        step(x.astype(train[0].dtype), y.astype(train[0].dtype))
    return [*found, solve(train, test, find)]


def draw_like(rng, W):
    """Draw weights of the shape of W, Glorot uniform."""
    area = int(np.prod(W.shape[2:]))
    bound = np.sqrt(6 / (area * (W.shape[0] + W.shape[1])))
    return rng.uniform(-bound, bound, size=W.shape).astype(W.dtype)


def solve(train, test, find):
    """Fit least squares to standardised features of `train`; return the accuracy on `test`."""
    a, b = (np.asarray(find(x), np.float64) for x, _ in (train, test))
    mean, deviation = a.mean(axis=0), a.std(axis=0)
    deviation[deviation == 0] = 1
    a, b = ((f - mean) / deviation for f in (a, b))
    a, b = (np.column_stack([f, np.ones(len(f))]) for f in (a, b))
    weights = np.linalg.lstsq(a, train[1].astype(np.float64), rcond=None)[0]
    return float(np.mean((b @ weights).argmax(axis=1) == test[1].argmax(axis=1)))
