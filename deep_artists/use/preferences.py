"""Which patches a filter prefers, and where in a patch it lies."""

import numpy as np

from ..data.compression import compress
from ..data.mapped import read_pieces
from ..data.mel import N_MELS
from ..data.patches import N_FRAMES


def turn_back(conv_W):
    """Return filters as applied to the input: flipped in both axes, (filters, rows, columns)."""
    return conv_W[:, 0, ::-1, ::-1]


def rank_patches(model, x, parameters="best"):
    """Return how much every patch is what a filter looks for, whatever its loudness.

    The largest sum of filter times patch, without the bias, over the patch's norm. The network
    sees power: by the sum alone the loudest patch would come first for nearly every filter.

    Parameters
    ----------
    model : Model
    x : np.ndarray [shape=(n, 2560)], float
    parameters : {'best', 'last'}

    Returns
    -------
    np.ndarray [shape=(n, nkerns), dtype=float64]
        0 where a filter gives nothing.
    """
    bias = getattr(model, parameters)["conv_b"].astype(np.float64)
    scores, done = np.zeros((len(x), len(bias))), 0
    for some in read_pieces(x):
        pooled = model.transform(some, "pool", parameters).reshape(len(some), len(bias), -1)
        largest = pooled.max(axis=2).astype(np.float64)
        norm = np.linalg.norm(as_input(model, some), axis=1)[:, None]
        found = (largest > 0) & (norm > 0)
        score = np.where(found, (largest - bias) / np.where(norm > 0, norm, 1), 0)
        scores[done : done + len(some)] = np.maximum(score, 0)
        done += len(some)
    return scores


def as_input(model, x):
    """Return what the network gets of patches, in float64."""
    x = np.asarray(x, np.float64)
    return compress(x, **model.about["input"]) if model.recipe.compression == "log" else x


def choose_patches(scores, n, track=None):
    """Return the patches that a filter prefers, best first: at most n, each of another track.

    >>> choose_patches(np.array([0.5, 0.9, 0.0, 0.8]), 2, track=np.array([0, 1, 2, 1])).tolist()
    [1, 0]
    """
    best = np.argsort(-scores, kind="stable")
    best = best[scores[best] > 0]
    if track is not None:
        best = best[np.sort(np.unique(np.asarray(track)[best], return_index=True)[1])]
    return best[:n]


def locate_filter(model, patch, i, parameters="best"):
    """Return the lowest band and the first frame where filter i answers most to a patch."""
    from scipy.signal import correlate

    weights = turn_back(getattr(model, parameters)["conv_W"])[i]
    patch = as_input(model, np.reshape(patch, (1, -1))).reshape(N_MELS, N_FRAMES)
    used = np.multiply(model.recipe.pooled_shape, model.recipe.poolsize)  # pooling cuts the rest
    z = correlate(patch, weights, "valid", "direct")[: used[0], : used[1]]
    return tuple(int(k) for k in np.unravel_index(z.argmax(), z.shape))
