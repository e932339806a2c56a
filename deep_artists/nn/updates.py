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
