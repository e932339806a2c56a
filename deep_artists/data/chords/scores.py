"""How many chords are right: the measures of 2013, and those of mir_eval."""

import numpy as np

from .vocabulary import import_mir_eval, rotate_index

MIR_EVAL_MEASURES = ("majmin", "triads", "tetrads", "mirex")


def count_right(index, found, n_qualities):
    """Return the two measures of 2013.

    Parameters
    ----------
    index, found : np.ndarray of int [shape=(frames,)]
        The chord of every frame, and the one decided on; -1 is left out.
    n_qualities : int

    Returns
    -------
    dict
        ``FWRR``, the share of frames that are right, and ``AICA``, the mean over the qualities that
        occur, N among them, of the share that is right. Both after rotating the chord to root C.

    Examples
    --------
    >>> count_right(np.array([0, 0, 1, 12]), np.array([0, 0, 1, 0]), n_qualities=2)
    {'FWRR': 0.75, 'AICA': 0.5}
    """
    known = index >= 0
    index, found = index[known], found[known]
    if not len(index):
        raise ValueError("no frame has a chord of the vocabulary; at least one is needed")
    to_c = -(index % 12) * (index < 12 * n_qualities)
    index, found = (rotate_index(i, to_c, n_qualities) for i in (index, found))
    right = index == found
    shares = [float(np.mean(right[index == i])) for i in np.unique(index)]
    return {"FWRR": float(np.mean(right)), "AICA": float(np.mean(shares))}


def weigh_right(reference, estimated):
    """Return the measures of `mir_eval.chord` for segments, weighted by their duration.

    Parameters
    ----------
    reference, estimated : Segments
        See `annotations`.

    Returns
    -------
    dict of str to float
        majmin, triads, tetrads, mirex.

    Raises
    ------
    RuntimeError
        If mir_eval is not installed.
    """
    mir_eval = import_mir_eval()
    start, end = reference.intervals.min(), reference.intervals.max()
    intervals, labels = mir_eval.util.adjust_intervals(
        estimated.intervals, list(estimated.labels), start, end, "N", "N"
    )
    intervals, expected, found = mir_eval.util.merge_labeled_intervals(
        reference.intervals, list(reference.labels), intervals, labels
    )
    weights = mir_eval.util.intervals_to_durations(intervals)
    return {
        name: _weigh(mir_eval.chord, name, expected, found, weights) for name in MIR_EVAL_MEASURES
    }


def weigh_frames(labels, found):
    """Return the measures of `mir_eval.chord` for frames of equal duration; see `weigh_right`."""
    chord, weights = import_mir_eval().chord, np.ones(len(labels))
    return {
        name: _weigh(chord, name, list(labels), list(found), weights) for name in MIR_EVAL_MEASURES
    }


def _weigh(chord, name, expected, found, weights):
    comparisons = getattr(chord, name)(expected, found)
    if not np.any(comparisons >= 0):
        return float("nan")  # no label that this measure counts
    return float(chord.weighted_accuracy(comparisons, weights))
