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
