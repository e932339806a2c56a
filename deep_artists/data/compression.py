"""Compression of mel patches: log(1 + 10000 x), less the mean and over the deviation of train.

2013 had none. The logarithm is made of additions, multiplications and divisions in float64, each
rounded as IEEE 754 says, because the bits of a library's logarithm differ between processors.
"""

import numpy as np

from .mapped import read_pieces

GAIN = 1e4
TERMS = 11  # of the series: the next one is below 1e-17
ROWS = 16  # patches at a time: what is computed of them fits into a cache


def compress(x, mean, deviation):
    """Return (log(1 + 10000 x) - mean) / deviation, computed in float64.

    Parameters
    ----------
    x : np.ndarray [shape=(n, 2560)]
        Powers, not negative.
    mean, deviation : float
        See `measure`.

    Returns
    -------
    np.ndarray [shape=(n, 2560)]
        float32 where x is, else float64.

    Raises
    ------
    ValueError
        If a value is negative.

    Examples
    --------
    >>> compress(np.array([[0.0, 1e-4, 1.0]]), mean=0.0, deviation=1.0).round(3).tolist()
    [[0.0, 0.693, 9.21]]
    """
    compressed = np.empty(x.shape, np.float32 if x.dtype == np.float32 else np.float64)
    done = 0
    for some in read_pieces(x, ROWS):
        compressed[done : done + len(some)] = (log1p_power(some) - mean) / deviation
        done += len(some)
    return compressed


def measure(x):
    """Return the mean and the standard deviation of log(1 + 10000 x) over all values of patches.

    Parameters
    ----------
    x : np.ndarray [shape=(n, 2560)]
        Powers, not negative.

    Returns
    -------
    dict
        ``mean`` and ``deviation``, floats.

    Raises
    ------
    ValueError
        If a value is negative, or all are the same.
    """
    total = squares = 0.0
    for some in read_pieces(x, ROWS):
        values = log1p_power(some)
        total += float(values.sum())
        squares += float(np.square(values).sum())
    mean = total / x.size
    deviation = np.sqrt(max(0.0, squares / x.size - mean**2))
    if not deviation > 1e-6:
        raise ValueError("train: all values of x are the same; there is nothing to learn from")
    return {"mean": mean, "deviation": float(deviation)}


def log1p_power(x):
    """Return log(1 + 10000 x) in float64, to 1e-15."""
    if not (x >= 0).all():
        raise ValueError(
            f"x has a value of {x.min()}; compression = 'log' needs powers, which are not negative"
        )
    mantissa, exponent = np.frexp(1 + GAIN * np.asarray(x, np.float64))
    low = mantissa < np.sqrt(0.5)
    mantissa += mantissa * low
    exponent -= low
    # log(m) = 2 atanh((m - 1) / (m + 1))
    s = (mantissa - 1) / (mantissa + 1)
    z = s * s
    series = z * (1 / (2 * TERMS + 1))
    for k in range(TERMS - 1, 0, -1):
        series += 1 / (2 * k + 1)
        series *= z
    series += 1
    series *= 2 * s
    return series + exponent * np.log(2.0)
