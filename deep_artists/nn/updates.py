"""Updates of the parameters, written out: functions of a cost, its parameters and a step size."""

import numpy as np
import pytensor
import pytensor.tensor as pt


def sgd(cost, params, learning_rate):
    """Return plain gradient descent: p - learning_rate * dcost/dp for every p, all at once.

    Parameters
    ----------
    cost : scalar tensor
    params : list of shared variables, float32 or float64, of one dtype
    learning_rate : float or scalar tensor

    Returns
    -------
    list of (shared variable, tensor)
        As ``updates`` of a compiled function.

    Examples
    --------
    >>> w = pytensor.shared(np.array([1.0, 2.0]), shape=(2,))
    >>> [(_, stepped)] = sgd((w**2).sum(), [w], 0.25)
    >>> stepped.eval(mode="FAST_COMPILE")
    array([0.5, 1. ])
    """
    learning_rate = pt.cast(learning_rate, params[0].dtype)
    gradients = pytensor.grad(cost, params)
    return [(p, p - learning_rate * g) for p, g in zip(params, gradients)]


def sgd_with_momentum(cost, params, learning_rate, momentum):
    """Return gradient descent with classical momentum: m' = momentum * m - learning_rate * dcost/dp
    and p' = p + m', every m a shared variable that starts at 0.

    Parameters
    ----------
    cost, params, learning_rate
        See `sgd`.
    momentum : float
        At least 0, below 1.

    Returns
    -------
    list of (shared variable, tensor)
        Those of the parameters, then those of every m, in the order of `params`.

    Examples
    --------
    >>> w = pytensor.shared(np.array([1.0, 2.0]), shape=(2,))
    >>> (_, stepped), (m, _) = sgd_with_momentum((w**2).sum(), [w], 0.25, momentum=0.5)
    >>> m.set_value(np.array([0.0, -2.0]))
    >>> stepped.eval(mode="FAST_COMPILE")
    array([0.5, 0. ])
    """
    learning_rate = pt.cast(learning_rate, params[0].dtype)
    momentum = np.asarray(momentum, params[0].dtype)
    velocities = [
        pytensor.shared(np.zeros_like(p.get_value(borrow=True)), shape=p.type.shape) for p in params
    ]
    gradients = pytensor.grad(cost, params)
    stepped = [momentum * m - learning_rate * g for m, g in zip(velocities, gradients)]
    moved = [(p, p + m) for p, m in zip(params, stepped)]
    return moved + list(zip(velocities, stepped))


def nesterov_sgd(cost, params, learning_rate=0.01, momentum=0.9, decay=1e-6):
    """Return gradient descent with Nesterov's momentum and a step size that decays.

    At update number n, counted from 0::

        r = learning_rate / (1 + decay n)
        v <- momentum v - r dcost/dp
        p <- p + momentum v - r dcost/dp

    Parameters
    ----------
    cost : scalar tensor
    params : list of shared variables, float32 or float64, of one dtype
    learning_rate, momentum, decay : float

    Returns
    -------
    list of (shared variable, tensor)
        As ``updates`` of a compiled function, with those of n and of each v, which start at 0.

    Notes
    -----
    ``SGD(nesterov=True)`` of Keras 2.0.4: n has the dtype of the parameters.
    """
    dtype = params[0].dtype
    learning_rate, momentum, decay, one = (
        np.asarray(a, dtype) for a in (learning_rate, momentum, decay, 1)
    )
    n = pytensor.shared(np.zeros((), dtype), name="n")
    rate = learning_rate * (one / (one + decay * n))
    updates = [(n, n + one)]
    for p, g in zip(params, pytensor.grad(cost, params)):
        v = pytensor.shared(np.zeros_like(p.get_value()), name="v", shape=p.type.shape)
        next_v = momentum * v - rate * g
        updates += [(v, next_v), (p, p + momentum * next_v - rate * g)]
    return updates
