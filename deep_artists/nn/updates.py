"""Updates of the parameters, written out: functions of a cost, its parameters and a step size."""

import numpy as np
import pytensor


def sgd(cost, params, learning_rate):
    """Return plain gradient descent: p - learning_rate * dcost/dp for every p, all at once.

    Parameters
    ----------
    cost : scalar tensor
    params : list of shared variables, float32 or float64, of one dtype
    learning_rate : float

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
    learning_rate = np.asarray(learning_rate, params[0].dtype)
    gradients = pytensor.grad(cost, params)
    return [(p, p - learning_rate * g) for p, g in zip(params, gradients)]


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
