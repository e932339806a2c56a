"""How long the 2013 program goes on: for `patience` iterations, longer after an improvement."""

import numpy as np

PATIENCE_INCREASE = 2
IMPROVEMENT_THRESHOLD = 0.995


def trace_patience(validation, patience):
    """Return how patience grew: a list of (updates made, patience from there on).

    >>> trace_patience([(200, 0.5), (400, 0.6), (600, 0.4)], patience=300)
    [(0, 300), (200, 398), (600, 1198)]
    """
    steps, best = [(0, patience)], np.inf
    for updates, error in validation:
        longer = (updates - 1) * PATIENCE_INCREASE
        if error < best * IMPROVEMENT_THRESHOLD and longer > steps[-1][1]:
            steps.append((updates, longer))
        best = min(best, error)
    return steps
