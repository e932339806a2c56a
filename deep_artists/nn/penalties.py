"""Penalties and limits of weights."""

import numpy as np
import pytensor.tensor as pt


def add_penalties(cost, weights, L1=0.0, L2=0.0):
    """Return cost + L1 * sum |W| + L2 * sum W^2 over the weights.

    The slope of |W| is 0 at 0, as in Theano 0.6.

    Parameters
    ----------
    cost : scalar tensor
    weights : list of tensors
    L1, L2 : float

    Returns
    -------
    scalar tensor

    Examples
    --------
    >>> W = pt.as_tensor(np.array([-1.0, 3.0]))
    >>> add_penalties(pt.as_tensor(0.0), [W], L1=0.5, L2=0.1).eval(mode="FAST_COMPILE").item()
    3.0
    """
    for W in weights:
        if L1:
            cost = cost + np.asarray(L1, W.dtype) * pt.sum(abs(W))
        if L2:
            cost = cost + np.asarray(L2, W.dtype) * pt.sum(W**2)
    return cost


def limit_norm(W):
    """Return W with every column, or every filter over all its maps, of L2 norm 1.

    Parameters
    ----------
    W : tensor or np.ndarray [shape=(n_in, n_out) or (filters, maps, rows, columns)]

    Returns
    -------
    like `W`
        A column of zeros becomes NaN, as in 2013.

    Examples
    --------
    >>> limit_norm(np.array([[3.0, 1.0], [4.0, -1.0]])).round(3).tolist()
    [[0.6, 0.707], [0.8, -0.707]]
    """
    axis = 0 if W.ndim == 2 else (1, 2, 3)
    return W / ((W**2).sum(axis=axis, keepdims=True)) ** 0.5
