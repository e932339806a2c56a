"""Activations of 2013, with the slope of Theano 0.6 at the kink."""


def half_wave(v):
    """Half-wave rectify: (|v| + v) / 2, elementwise.

    Parameters
    ----------
    v : tensor, float32 or float64, any shape

    Returns
    -------
    tensor, like `v`

    Notes
    -----
    The slope at v = 0 is 1/2, half-way between those of `ops.rectify.rectify`, 1, and of most
    libraries, 0. Silence under biases of zero makes v exactly 0.

    Examples
    --------
    >>> import numpy as np, pytensor, pytensor.tensor as pt
    >>> v = pt.dvector("v")
    >>> slope = pytensor.grad(half_wave(v).sum(), v)
    >>> slope.eval({v: np.array([-2.0, 0.0, 3.0])}, mode="FAST_COMPILE")
    array([0. , 0.5, 1. ])
    """
    return (abs(v) + v) / 2
