"""Sigtia and Dixon's genre network (ICASSP 2014): frames of a spectrum -> genres.

::

    x (batch, 513) -> [(h * mask) W / (1 - p) + b -> sigmoid or max(0, a)] x 3
      -> h W + b -> sigmoid -> summed cross-entropy, the mean over frames

Follows the authors' mlp.py and sgd.py: sigmoid outputs, even for one genre in ten; every W from
U(-4 sqrt(6 / (n_in + n_out)), ...), for rectifiers too; dropout on a layer's input, kept inputs
scaled up while training; minibatches of neighbouring frames. With `scaling`, frames are
standardised in the graph, as the later reproduction did.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import pytensor.tensor as pt

from ..nn.dropout import MaskStreams
from ..nn.hessian_free import hessian_free
from ..nn.layers import share
from ..nn.updates import sgd, sgd_with_momentum
from ..ops.compile import compile_function
from ..ops.rectify import rectify
from ..ops.sigmoid import log_1m_sigmoid, log_sigmoid, sigmoid

N_IN, N_HIDDEN, N_OUT = 513, (50, 50, 50), 10
DROPOUT_RATES = (0.0, 0.5, 0.5)
SEED = 123
ACTIVATIONS = {"sigmoid": sigmoid, "relu": rectify}


class Network:
    """The symbolic network, its costs and parameters.

    Parameters
    ----------
    n_in : int
    n_hidden : sequence of int
        Units of each hidden layer.
    n_out : int
    activation : {'sigmoid', 'relu'}
        Of the hidden layers.
    dropout_rates : sequence of float, optional
        The share of its inputs that each hidden layer drops, at least 0, below 1; no dropout at all
        if not given.
    floatX : {'float32', 'float64'}
    seed : int
        Of the initial values and of the masks.
    values : dict of str to np.ndarray, optional
        Parameters by name, instead of initial values.
    scaling : (np.ndarray, np.ndarray), optional
        Mean and factor of every input: x becomes (x - mean) * factor.

    Attributes
    ----------
    x, y : matrix [shape=(batch, n_in)], [shape=(batch, n_out)]
        Frames; one-hot genres, or any targets between 0 and 1.
    masks : list of uint8 matrix
        One for each hidden layer's input; none without dropout.
    hidden : list of matrix
        The hidden layers' outputs without dropout.
    lin_output, output : matrix [shape=(batch, n_out)]
        The last layer before and after its sigmoid, without dropout.
    params : dict of str to shared variable
        W0, W1, .. and then b0, b1, ..
    cost, test_cost, errors : scalar
        Cross-entropy with dropout and without; the share of frames of another genre than y's.

    Raises
    ------
    ValueError
        If the activation has no such name, or the rates do not fit.

    Examples
    --------
    >>> network = Network(n_in=4, n_hidden=(3, 2), n_out=2)
    >>> {name: value.shape for name, value in network.values().items()}
    {'W0': (4, 3), 'W1': (3, 2), 'W2': (2, 2), 'b0': (3,), 'b1': (2,), 'b2': (2,)}
    """

    def __init__(
        self,
        n_in=N_IN,
        n_hidden=N_HIDDEN,
        n_out=N_OUT,
        activation="sigmoid",
        dropout_rates=None,
        floatX="float32",
        seed=SEED,
        values=None,
        scaling=None,
    ):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation = {activation!r}; one of {', '.join(ACTIVATIONS)} is needed"
            )
        rates = list(dropout_rates or [])
        if rates and (len(rates) != len(n_hidden) or not all(0 <= rate < 1 for rate in rates)):
            raise ValueError(
                f"dropout_rates = {rates}; {len(n_hidden)} of at least 0 and below 1 "
                "are needed, one a hidden layer"
            )
        self.sizes, self.floatX = (n_in, *n_hidden, n_out), floatX
        self.activation, self.rates, self.scaling = activation, rates, scaling
        self.x = pt.TensorType(floatX, (None, n_in))("x")
        self.y = pt.TensorType(floatX, (None, n_out))("y")
        self.masks = [
            pt.TensorType("uint8", (None, n))(f"mask{i}")
            for i, n in zip(range(len(rates)), self.sizes)
        ]
        rng = np.random.RandomState(seed)
        self.stream_seed = int(rng.randint(1024))  # 2014: the first draw is the dropout's seed
        values = values or draw_values(rng, self.sizes)
        self.params = {name: share(value, floatX, name) for name, value in values.items()}

        *self.hidden, self.lin_output = self.apply(self.x)
        self.output = sigmoid(self.lin_output)
        self.test_cost = crossentropy(self.lin_output, self.y)
        self.cost = crossentropy(self.apply(self.x, self.masks)[-1], self.y)
        wrong = pt.neq(pt.argmax(self.lin_output, axis=1), pt.argmax(self.y, axis=1))
        self.errors = pt.mean(wrong, dtype=floatX)

    def apply(self, x, masks=()):
        """Return the hidden layers' outputs and, last, that of the linear layer."""
        h, outputs = x, []
        if self.scaling is not None:
            mean, factor = (np.asarray(a, self.floatX) for a in self.scaling)
            h = (h - mean) * factor
        for i in range(len(self.sizes) - 1):
            W, b = self.params[f"W{i}"], self.params[f"b{i}"]
            if i < len(masks):
                scale = np.asarray(1 / (1 - self.rates[i]), self.floatX)
                a = scale * pt.dot(h * pt.cast(masks[i], self.floatX), W) + b
            else:
                a = pt.dot(h, W) + b
            h = ACTIVATIONS[self.activation](a)
            outputs.append(h)
        return [*outputs[:-1], a]

    def draw_masks(self):
        """Return the streams that this network's masks come from, at their beginning."""
        return MaskStreams(self.stream_seed, self.rates, self.sizes)

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: np.array(p.get_value(borrow=True)) for name, p in self.params.items()}

    def set_values(self, values):
        """Set the parameters, by name."""
        for name, p in self.params.items():
            p.set_value(np.asarray(values[name], p.dtype))


def draw_values(rng, sizes):
    """Return initial values, float64: every W drawn in the layers' order, every b zero."""
    values = {}
    for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
        bound = 4 * np.sqrt(6.0 / (n_in + n_out))
        values[f"W{i}"] = rng.uniform(low=-bound, high=bound, size=(n_in, n_out))
    return values | {f"b{i}": np.zeros(n_out) for i, n_out in enumerate(sizes[1:])}


def crossentropy(a, y):
    """Return the mean over rows of the sum over outputs of -(y log z + (1 - y) log(1 - z)).

    a : matrix, before the sigmoid: z = sigmoid(a)
    """
    return pt.mean(pt.sum(-(y * log_sigmoid(a) + (1 - y) * log_1m_sigmoid(a)), axis=1))


def anneal(learning_rate, epoch, begin=1):
    """Return the rate after an epoch, counted from 1: the first times begin / epoch at most.

    >>> [anneal(0.1, epoch) for epoch in (1, 2, 4)]
    [0.1, 0.05, 0.025]
    """
    return learning_rate * min(1.0, begin / epoch)


def decay(learning_rate, epoch):
    """Return the rate after an epoch, counted from 1: the first over 1.2 ** epoch, or 0.01."""
    return max(learning_rate / 1.2**epoch, 0.01)


@dataclass
class History:
    """What a training run did.

    Attributes
    ----------
    costs : list of float
        Of every minibatch before its update, with dropout; for Hessian-free, of every minibatch of
        every pass for the gradient.
    valid_costs, valid_errors : list of np.ndarray
        Of the validation minibatches after every epoch or update.
    seconds : list of float
        Since the start, compilation left out, after every epoch or update.
    orders : list of list of int
        The first rows of the minibatches of every epoch.
    best : dict of str to np.ndarray
        The parameters kept.
    last_learning_rate : float
    updates : list of nn.hessian_free.Update
    """

    costs: list = field(default_factory=list)
    valid_costs: list = field(default_factory=list)
    valid_errors: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    orders: list = field(default_factory=list)
    best: dict = None
    last_learning_rate: float = None
    updates: list = field(default_factory=list)


class Steps:
    """The compiled functions of a network on a minibatch: NumPy arrays x and y.

    Attributes
    ----------
    train : callable
        x, y, masks -> the cost before the update it makes. Only with a learning rate.
    cost : callable
        x, y, masks -> the cost.
    errors : callable
        x, y -> the share of wrong frames.
    learning_rate : shared scalar
    """

    def __init__(self, network, learning_rate=None, momentum=None):
        params, inputs = list(network.params.values()), [network.x, network.y]
        self.floatX = network.floatX
        self.cost = compile_function([*inputs, *network.masks], network.cost)
        self.errors = compile_function(inputs, network.errors)
        if learning_rate is None:
            return
        self.learning_rate = share(learning_rate, network.floatX, "learning_rate")
        if momentum is None:
            updates = sgd(network.cost, params, self.learning_rate)
        else:
            updates = sgd_with_momentum(network.cost, params, self.learning_rate, momentum)
        self.velocities = [variable for variable, _ in updates[len(params) :]]
        self.train = compile_function([*inputs, *network.masks], network.cost, updates=updates)

    def cast(self, batches):
        """Yield the minibatches in the network's dtype."""
        for x, y in batches:
            yield x.astype(self.floatX, copy=False), y.astype(self.floatX, copy=False)

    def validate(self, batches, draw):
        """Return the costs, with masks, and the errors, without, of every minibatch."""
        found = [(self.cost(x, y, *draw(len(x))), self.errors(x, y)) for x, y in self.cast(batches)]
        batches.advance()
        return np.array(found).T


def train_sgd(
    network,
    train,
    valid,
    learning_rate,
    n_epochs,
    momentum=None,
    schedule=None,
    draw=None,
    after_batch=None,
    say=None,
):
    """Train by stochastic gradient descent; keep the parameters of the lowest validation error.

    Parameters
    ----------
    network : Network
    train, valid : nn.batches.Batches
    learning_rate : float
    n_epochs : int
    momentum : float, optional
    schedule : callable, optional
        The first learning rate and the epochs done -> the learning rate: `anneal` or `decay`.
    draw : callable, optional
        Rows -> the masks of a minibatch, instead of the network's own streams. The validation
        cost takes masks too.
    after_batch : callable, optional
        Called after every update with the updates made so far.
    say : callable, optional
        Called with a line after every epoch.

    Returns
    -------
    History
    """
    steps = Steps(network, learning_rate, momentum)
    draw = draw or network.draw_masks().draw
    history, least, start = History(), np.inf, time.perf_counter()
    for epoch in range(1, n_epochs + 1):
        history.orders.append(train.list_starts())
        for x, y in steps.cast(train):
            history.costs.append(steps.train(x, y, *draw(len(x))))
            if after_batch is not None:
                after_batch(len(history.costs))
        train.advance()
        costs, errors = steps.validate(valid, draw)
        least = record_validation(network, history, costs, errors, errors.mean(), least, start)
        if schedule is not None:
            rate = schedule(learning_rate, epoch)
            steps.learning_rate.set_value(np.asarray(rate, network.floatX))
        if say is not None:
            say(
                f"epoch {epoch}: cost {np.mean(history.costs[-len(train) :]):.4f}, "
                f"validation {costs.mean():.4f}, error {100 * errors.mean():.1f} %"
            )
    history.last_learning_rate = float(steps.learning_rate.get_value())
    return history


def train_hessian_free(
    network, train, cg, valid, n_updates=100, after_update=None, say=None, **options
):
    """Train a network without dropout by Hessian-free updates; keep the parameters of the lowest
    validation cost.

    Parameters
    ----------
    network : Network
    train, cg, valid : nn.batches.Batches
        For the gradient, the curvature, and validation, made in this order where they share the
        random numbers of their shuffling.
    n_updates : int
    after_update : callable, optional
        Called with every Update.
    say : callable, optional
        Called with a line after every update.
    **options
        See `nn.hessian_free.hessian_free`. Its section is `lin_output`, unless given.

    Returns
    -------
    History
    """
    if network.rates:
        raise ValueError(
            f"dropout_rates = {network.rates}: Hessian-free updates need one cost for "
            "all candidates; make the network without dropout"
        )
    steps = Steps(network)
    section = options.pop("section", network.lin_output)
    made = hessian_free(
        [network.x, network.y],
        network.test_cost,
        section,
        list(network.params.values()),
        CastBatches(train, steps),
        CastBatches(cg, steps),
        **options,
    )
    history, least, start = History(), np.inf, time.perf_counter()
    for i in range(1, n_updates + 1):
        update = next(made)
        history.updates.append(update)
        history.costs.extend(update.costs)
        if after_update is not None:
            after_update(update)
        costs, errors = steps.validate(valid, lambda rows: [])
        least = record_validation(network, history, costs, errors, costs.mean(), least, start)
        if say is not None:
            say(
                f"update {i}: cost {update.costs.mean():.4f}, validation {costs.mean():.4f}, "
                f"error {100 * errors.mean():.1f} %, {update.cg_iterations} CG iterations, "
                f"lambda {update.next_lambda:.3g}"
            )
    return history


class CastBatches:
    """Minibatches in the network's dtype."""

    def __init__(self, batches, steps):
        self.batches, self.steps = batches, steps
        self.advance = batches.advance

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return self.steps.cast(self.batches)


def record_validation(network, history, costs, errors, value, least, start):
    """Add a validation to the history; keep the parameters if its value is the lowest yet, and
    return the lowest."""
    history.valid_costs.append(costs)
    history.valid_errors.append(errors)
    if value < least:
        history.best, least = network.values(), value
    history.seconds.append(time.perf_counter() - start)
    return least
