"""Features from a genre network, and what decides by them: windows, random forests, votes.

The activations of a hidden layer, or of all side by side, are cut into windows of 200 frames every
100; mean and standard deviation over a window make a row. A random forest labels the rows, and the
rows of a track vote. Without a forest, the network decides by its outputs, summed over the frames.
"""

import warnings

import numpy as np

from ..ops.compile import compile_function

WINDOW, WINDOW_HOP = 200, 100  # frames
N_TREES, FOREST_SEED = 500, 1234


def cut_windows(h):
    """Return the mean and the standard deviation of every window.

    Parameters
    ----------
    h : np.ndarray [shape=(frames, units)]

    Returns
    -------
    np.ndarray [shape=(windows, 2 * units)], dtype of `h`
        Windows start at 0, 100, .. before frames - 200: 11 of 1290 frames, none of 200. (2014: the
        reproduction leaves a window out that ends with the last frame.)

    Examples
    --------
    >>> cut_windows(np.ones((301, 1))).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    starts = range(0, len(h) - WINDOW, WINDOW_HOP)
    windows = (h[i : i + WINDOW] for i in starts)
    rows = [np.concatenate([w.mean(axis=0), w.std(axis=0)]) for w in windows]
    return np.array(rows, h.dtype).reshape(len(rows), 2 * h.shape[1])


def vote(labels, n_classes):
    """Return the label that most windows have, the lowest of several.

    >>> vote([2, 1, 1, 2, 0], n_classes=3)
    1
    """
    return int(np.bincount(labels, minlength=n_classes).argmax())


def decide(outputs):
    """Return the class of the largest output, summed over the frames of a track.

    outputs : np.ndarray [shape=(frames, classes)]
    """
    return int(outputs.sum(axis=0, dtype=np.float64).argmax())


def compute_tracks(network, tracks):
    """Compute the windows of every layer, and the network's own decision, for every track.

    Parameters
    ----------
    network : genre.Network
    tracks : iterable of np.ndarray [shape=(frames, n_in)]

    Returns
    -------
    windows : dict of str to list of np.ndarray
        'layer 1', 'layer 2', .. and 'all layers': the rows of each track.
    decisions : np.ndarray of int [shape=(tracks,)]
    """
    function = compile_function([network.x], [*network.hidden, network.output])
    names = [f"layer {i}" for i in range(1, len(network.hidden) + 1)]
    windows, decisions = {name: [] for name in [*names, "all layers"]}, []
    for x in tracks:
        *hidden, output = function(np.asarray(x, network.floatX))
        rows = [cut_windows(h) for h in hidden]
        for name, some in zip(names, rows):
            windows[name].append(some)
        # A row of all layers: every mean, then every standard deviation.
        halves = [np.split(some, 2, axis=1) for some in rows]
        windows["all layers"].append(np.hstack([half[i] for i in (0, 1) for half in halves]))
        decisions.append(decide(output))
    return windows, np.array(decisions)


def judge_by_forest(windows, labels, train, test, n_trees=N_TREES, jobs=1):
    """Return the share of test tracks that a random forest labels rightly, by vote.

    Parameters
    ----------
    windows : list of np.ndarray
        The rows of each track; a track without rows counts as wrong.
    labels : np.ndarray of int [shape=(tracks,)]
    train, test : sequences of int
        The tracks to fit on, train and validation together in the original, and to judge by.
    n_trees, jobs : int

    Returns
    -------
    float
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_trees, random_state=FOREST_SEED, n_jobs=jobs)
    rows = np.concatenate([windows[i] for i in train])
    if not len(rows):
        raise ValueError(f"no track to fit on has more than {WINDOW} frames; windows need them")
    with warnings.catch_warnings():  # of filters, scikit-learn's threads may leave none behind
        forest.fit(rows, np.repeat(labels[train], [len(windows[i]) for i in train]))
    forest.n_jobs = 1
    heard = [i for i in test if len(windows[i])]
    if not heard:
        return 0.0
    found = forest.predict(np.concatenate([windows[i] for i in heard]))
    by_track = np.split(found, np.cumsum([len(windows[i]) for i in heard])[:-1])
    n_classes = labels.max() + 1
    n_right = sum(vote(one, n_classes) == labels[i] for i, one in zip(heard, by_track))
    return n_right / len(test)
