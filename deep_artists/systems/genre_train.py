"""Training of the genre network: by gradient descent with its schedules, and Hessian-free.

An epoch goes once through the minibatches, in an order of their own; after it, or after a
Hessian-free update, comes the validation, whose cost takes dropout masks as well (2014).
"""

import time
from dataclasses import dataclass, field

import numpy as np

from ..nn.hessian_free import hessian_free
from ..nn.layers import share
from ..nn.updates import sgd, sgd_with_momentum
from ..ops.compile import compile_function


def anneal(learning_rate, epoch, begin=1):
    """Return the rate after an epoch, counted from 1: the first times begin / epoch at most.

    >>> [anneal(0.1, epoch) for epoch in (1, 2, 4)]
    [0.1, 0.05, 0.025]
    """
    return learning_rate * min(1.0, begin / epoch)


def decay(learning_rate, epoch):
    """Return the rate after an epoch, counted from 1: the first over 1.2 ** epoch, or 0.01.

    >>> [round(decay(0.1, epoch), 4) for epoch in (1, 2, 20)]
    [0.0833, 0.0694, 0.01]
    """
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
        history.best, least = network.values(), float(value)
    history.seconds.append(time.perf_counter() - start)
    return least
