"""Tiles of constant-Q frames: cut them, rotate them with their chords, mask parts of them."""

import numpy as np

from .pitches import rotate
from .vocabulary import rotate_index

N_BEFORE, N_AFTER = 40, 39  # frames of the talk's tiles around the one that is labelled
WINDOW = (9, 3)  # frames and bins of what a mask hides
N_WINDOWS = 250  # of a mask


def cut_tiles(x, frames, n_before=N_BEFORE, n_after=N_AFTER):
    """Cut a tile around each of some frames; silence lies beyond the ends.

    Parameters
    ----------
    x : np.ndarray [shape=(n, bins)]
    frames : sequence of int
    n_before, n_after : int

    Returns
    -------
    np.ndarray [shape=(len(frames), 1, n_before + 1 + n_after, bins)]

    Examples
    --------
    >>> cut_tiles(np.array([[1.0], [2.0], [3.0]]), [0, 2], 1, 1)[:, 0, :, 0].tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 0.0]]
    """
    padded = np.pad(x, [(n_before, n_after), (0, 0)])
    rows = np.asarray(frames)[:, None] + np.arange(n_before + 1 + n_after)
    return padded[rows][:, None]


def rotate_examples(x, y, shifts, n_qualities, bins_per_octave=24):
    """Move every example, and the root of its chord, by its own number of semitones.

    Parameters
    ----------
    x : np.ndarray [shape=(n, ..., bins)]
    y : np.ndarray [shape=(n,)], int
    shifts : sequence of int
        2013: ``np.random.randint(-12, 13)`` for each.
    n_qualities, bins_per_octave : int

    Returns
    -------
    x, y : np.ndarray, like those given
    """
    moved = [rotate(example, shift, bins_per_octave) for example, shift in zip(x, shifts)]
    return np.stack(moved), rotate_index(y, np.asarray(shifts), n_qualities).astype(y.dtype)


def draw_window_mask(rng, shape, n_windows=N_WINDOWS, window=WINDOW):
    """Draw what multiplies a tile to hide small windows of it.

    Parameters
    ----------
    rng : np.random.RandomState
    shape : (int, int)
        Frames and bins.
    n_windows : int
    window : (int, int)
        Frames and bins of a window.

    Returns
    -------
    np.ndarray [shape=shape]
        1 outside the windows, and 1 - Gaussian in each: 0 at its centre, its standard deviation
        half its length. A window may lie partly or wholly outside; where windows overlap, their
        factors multiply.
    """
    padded = np.ones([n + 2 * k for n, k in zip(shape, window)])
    hidden = np.ones(())
    for k in window:
        distance = np.arange(k) - (k - 1) / 2
        hidden = np.multiply.outer(hidden, np.exp(-0.5 * (distance / (0.5 * k)) ** 2))
    for corner in rng.uniform(size=(n_windows, 2)):
        i, j = (int(u * (n + k)) for u, n, k in zip(corner, shape, window))
        padded[i : i + window[0], j : j + window[1]] *= 1 - hidden
    return padded[window[0] : window[0] + shape[0], window[1] : window[1] + shape[1]]
