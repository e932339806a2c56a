"""Batch normalisation as Keras computed it in training."""

import numpy as np


def batch_norm(x, gamma, beta, epsilon=0.001):
    """Return gamma (x - mean) / sqrt(var + epsilon) + beta, a mean and variance for every map.

    Parameters
    ----------
    x : tensor [shape=(B, N, F, T)]
    gamma, beta : tensors [shape=(N,)]
    epsilon : float

    Notes
    -----
    ``BatchNormalization(axis=1)`` of Keras on Theano, statistics of the batch itself (Keras 1:
    mode 2): over batch, rows and columns, the variance with divisor n. The result for a clip so
    depends on the others of its batch. A bias before it has no effect, and gradient 0.
    """
    axes = (0, 2, 3)
    mean = x.mean(axis=axes, keepdims=True)
    deviation = x - mean
    variance = (deviation**2).mean(axis=axes, keepdims=True)
    gamma, beta = (v.dimshuffle("x", 0, "x", "x") for v in (gamma, beta))
    return gamma * deviation / (variance + np.asarray(epsilon, x.dtype)) ** 0.5 + beta
