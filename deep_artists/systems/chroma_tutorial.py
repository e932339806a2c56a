"""The programs of Humphrey's tutorial (marl/dl4mir-tutorial, November and December 2013).

Three versions of learned chroma, by their dates, and the instrument recogniser::

    2013-11-18   1025 Fourier magnitudes -> 256 -> 64 -> 12, all half-wave rectified
    2013-12-17   4097 -> 512 -> 128 -> 12, all half-wave rectified
    2013-12-18   4097 -> 90 pitches -> 12: softmax(tanh(x W + b))
    instrument   120 constant-Q magnitudes -> 256 -> 256, half-wave rectified -> softmax over 10

The chroma programs minimise the mean, over the rows, of the summed squared difference from the
template of the chord; the instrument program the mean negative log-likelihood.

**What these programs did, and probably did not mean to.** Each has an argument that undoes it:

- They standardised a variable that nothing used, so the data went in raw: `standardised`.
- They kept the rows of index above 0, and so dropped C:maj with the unknown labels: `keep_first`.
- They counted the qualities by the highest index: without any N the last quality's rows have no
  template: `n_qualities`.

Under floatX=float32 their parameters stay float64; only targets and learning rate are float32.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from ..data.chords.pitches import fold_bins
from ..data.chords.vocabulary import index_labels, make_templates
from ..nn.activations import relu
from ..nn.layers import share
from ..nn.rows import compile_rows, take_shuffled
from ..nn.updates import sgd
from ..ops.compile import compile_function
from ..ops.softmax import softmax


class Program(NamedTuple):
    """One version of the program, with the numbers of its documented call."""

    sizes: tuple  # inputs of the first layer, then outputs of every layer
    scale: float  # of the initial weights: their standard deviation
    batch_size: int
    learning_rate: float
    n_iterations: int
    last: Callable = relu  # activation of the last layer
    shares: bool = False  # templates that sum to 1
    folded: bool = False  # inputs are folded to pitches first
    is_classifier: bool = False


def squash(v):
    return softmax(pt.tanh(v))


PROGRAMS = {
    "2013-11-18": Program((1025, 256, 64, 12), 0.01, 100, 0.02, 20000),
    "2013-12-17": Program((4097, 512, 128, 12), 0.01, 100, 0.02, 20000),
    "2013-12-18": Program((90, 12), 0.001, 500, 0.001, 10000, squash, shares=True, folded=True),
    "instrument": Program((120, 256, 256, 10), 0.01, 50, 0.02, 10000, softmax, is_classifier=True),
}


class TutorialNetwork:
    """The network of a program.

    Parameters
    ----------
    program : Program
    rng : np.random.RandomState
        Draws the weights, layer by layer.
    floatX : {'float32', 'float64'}
        Of targets and learning rate; all else is float64.
    learning_rate : float, optional
        Instead of the documented one.

    Attributes
    ----------
    x : matrix [shape=(batch, program.sizes[0])], float64
    y : matrix [shape=(batch, 12)] of templates, or int32 vector of classes
    params : dict of str to shared variable
        weights0, bias0, weights1, ...
    output : tensor [shape=(batch, program.sizes[-1])]
    cost, errors : scalar
        `errors` in percent, of a classifier only.
    """

    def __init__(self, program, rng, floatX="float64", learning_rate=None):
        # 2013: a learning rate of dtype floatX times gradients of float64.
        lr = program.learning_rate if learning_rate is None else learning_rate
        self.learning_rate = float(np.dtype(floatX).type(lr))
        self.x = pt.TensorType("float64", (None, program.sizes[0]))("x")
        self.params, self.output = {}, self.x
        last = len(program.sizes) - 2
        for i, (n_in, n_out) in enumerate(zip(program.sizes, program.sizes[1:])):
            W = share(rng.normal(scale=program.scale, size=(n_in, n_out)), "float64", f"weights{i}")
            b = share(np.zeros(n_out), "float64", f"bias{i}")
            self.params |= {W.name: W, b.name: b}
            lin_output = pt.dot(self.output, W) + b
            self.output = (program.last if i == last else relu)(lin_output)
        if program.is_classifier:
            self.y = pt.TensorType("int32", (None,))("y")
            self.cost = -pt.mean(pt.log(self.output)[pt.arange(self.y.shape[0]), self.y])
            self.errors = 100 * pt.mean(pt.neq(pt.argmax(self.output, axis=1), self.y))
        else:
            self.y = pt.TensorType(floatX, (None, 12))("y")
            self.cost = pt.mean(pt.sum((self.output - self.y) ** 2, axis=1))
            self.errors = None

    def updates(self):
        """Return plain gradient descent of all parameters at once."""
        return sgd(self.cost, list(self.params.values()), self.learning_rate)

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: p.get_value() for name, p in self.params.items()}


class TutorialRun:
    """A run of a program, step by step.

    Parameters
    ----------
    name : {'2013-11-18', '2013-12-17', '2013-12-18', 'instrument'}
    x : np.ndarray [shape=(n, bins)]
        Magnitudes: 1025, 4097, 4097 or 120 bins, but the program takes any number. That of
        2013-12-18 folds them to pitches, as of 11025 Hz.
    labels : sequence [n]
        Names of chords; of instruments their numbers, 0 to 9.
    seed : int
        Of the one stream that gives the weights, then the shuffles. 2013: unseeded.
    floatX : {'float32', 'float64'}
        See the module.
    label_map : dict, optional
        Label -> index; without, the names of 13 qualities and what mir_eval makes of others.
    batch_size, learning_rate : optional
        Instead of the documented ones.
    standardised, keep_first, n_qualities
        See the module; the defaults are what the programs did.

    Attributes
    ----------
    network : TutorialNetwork
    templates : np.ndarray [shape=(classes, 12)], or None
    mu, sigma : np.ndarray [shape=(inputs,)]
        Mean and standard deviation of the rows kept.
    losses, errors : list of float
        Of every minibatch, before its update; errors in percent, of the instruments only: this is
        what that program returned.

    Raises
    ------
    IndexError
        If a row has no template, see the module.
    ValueError
        If no row is left.
    """

    def __init__(
        self,
        name,
        x,
        labels,
        seed,
        floatX="float64",
        label_map=None,
        batch_size=None,
        learning_rate=None,
        standardised=False,
        keep_first=False,
        n_qualities=None,
    ):
        self.program = program = PROGRAMS[name]
        rng = np.random.RandomState(seed)
        x, self.templates = np.asarray(x, np.float64), None
        if program.is_classifier:
            y = np.asarray(labels, np.int32)
        else:
            index = index_labels(labels, 13, label_map)
            kept = index >= 0 if keep_first else index > 0  # 2013: 0 is C:maj
            x, index = x[kept], index[kept]
            y = index
        if not len(x):
            raise ValueError("no row has a label of the vocabulary; at least one is needed")
        if not program.is_classifier:
            self.templates, y = look_up_templates(index, n_qualities, program.shares)
        x = fold_bins(x) if program.folded else x
        program = program._replace(sizes=(x.shape[1], *program.sizes[1:]))
        self.mu, self.sigma = x.mean(axis=0), x.std(axis=0)
        self.standardised = standardised
        self.network = TutorialNetwork(program, rng, floatX, learning_rate)
        self.batches = take_shuffled(rng, len(x), batch_size or program.batch_size)
        outputs = [self.network.cost] + [self.network.errors] * program.is_classifier
        self.train = compile_rows(self.network, self._scale(x), y, outputs)
        self.predict = compile_function([self.network.x], self.network.output)
        self.losses, self.errors = [], []

    def _scale(self, x):
        # 2013: mu and sigma were saved, and never used.
        return (x - self.mu) / np.where(self.sigma, self.sigma, 1) if self.standardised else x

    def step(self):
        """Take the next minibatch; return its loss before the update."""
        loss, *error = (float(value) for value in self.train(next(self.batches)))
        self.losses.append(loss)
        self.errors.extend(error)
        return loss

    def transform(self, x):
        """Return the output for every row of magnitudes: learned chroma, or probabilities.

        Parameters
        ----------
        x : np.ndarray [shape=(n, 1025, 4097, 4097 or 120)]

        Returns
        -------
        np.ndarray [shape=(n, 12 or 10)]
            Column 0 of the chroma is C.
        """
        x = np.asarray(x, np.float64)
        return self.predict(self._scale(fold_bins(x) if self.program.folded else x))


def look_up_templates(index, n_qualities=None, shares=False):
    """Return all templates, and that of every index."""
    if n_qualities is None:
        n_qualities = int(index.max()) // 12  # 2013: right only where N occurs
    templates = make_templates(n_qualities, shares) if n_qualities else np.zeros((0, 12))
    if index.max() >= len(templates):
        raise IndexError(
            f"chord {index.max()} has no template: without any N the qualities are counted as "
            f"{n_qualities}, one too few, as in 2013; give n_qualities"
        )
    return templates, templates[index]
