"""Spectra by pitch, folded into 12 pitch classes; rotation and contrast of constant-Q frames.

Pitches are in semitones, 69 is 440 Hz; pitch class 0 is C.
"""

import numpy as np
from scipy.signal import convolve2d

PITCHES = range(24, 114)  # of the spectra of 2013-12-18, C first
CQT_START = 9  # the pitch class of row 0 of the talk's constant-Q frames, 27.5 Hz


def fold_bins(x, sr_hz=11025, n_fft=8192):
    """Return the magnitude at each of 90 pitches, from those of a Fourier transform.

    A bin belongs to the pitch nearest to it. The last pitch is cut at half the sampling rate.

    Parameters
    ----------
    x : np.ndarray [shape=(n, n_fft // 2 + 1)]
    sr_hz : float
    n_fft : int

    Returns
    -------
    np.ndarray [shape=(n, 90)]
        The root of the sum of squares of the bins of a pitch, 24 to 113.
    """
    x = np.asarray(x)
    hz = np.arange(1, x.shape[1]) * (sr_hz / n_fft)
    nearest = np.round(12 * np.log2(hz / 440.0) + 69)
    columns = [np.flatnonzero(nearest == pitch) + 1 for pitch in PITCHES]
    return np.stack([np.sqrt(np.sum(x[:, bins] ** 2, axis=1)) for bins in columns], axis=1)


def fold_pitches(pitches):
    """Return the fixed chroma of 2013-12-18: means over octaves, rows that sum to 1.

    Parameters
    ----------
    pitches : np.ndarray [shape=(n, 90)]
        See `fold_bins`.

    Returns
    -------
    np.ndarray [shape=(n, 12)]
        Column 0 is C; a silent row stays zero.
    """
    chroma = np.stack([pitches[:, c::12].mean(axis=1) for c in range(12)], axis=1)
    total = np.abs(chroma).sum(axis=1, keepdims=True)
    total[total == 0] = 1
    return chroma / total


def octave_matrix(n_octaves=8, bins_per_octave=24, start=CQT_START):
    """Return octave equivalence as weights: the fixed chroma of the talk's framework.

    Parameters
    ----------
    n_octaves, bins_per_octave : int
    start : int
        Pitch class of row 0.

    Returns
    -------
    np.ndarray [shape=(n_octaves * bins_per_octave, 12)]
        A column sums to 1: its weight lies in equal parts on the bins that are its pitch class in
        tune; bins between two semitones count for nothing.

    Examples
    --------
    >>> octave_matrix(2, 24)[:, 9].nonzero()[0].tolist()  # A, from a row 0 that is A
    [0, 24]
    """
    step = bins_per_octave // 12
    weights = np.zeros((n_octaves * bins_per_octave, 12))
    rows = np.arange(0, len(weights), step)
    weights[rows, (start + rows // step) % 12] = 1 / n_octaves
    return weights


def rotate(x, shift, bins_per_octave=24):
    """Move frames up by so many semitones, the top bins coming round to the bottom.

    Parameters
    ----------
    x : np.ndarray [shape=(..., bins)]
    shift : int
        Semitones; negative moves down.
    bins_per_octave : int
        A multiple of 12.

    Returns
    -------
    np.ndarray, like `x`
    """
    return np.roll(x, shift * bins_per_octave // 12, axis=-1)


def normalise_contrast(x, kernel_shape):
    """Return local contrast: what differs from its surroundings, over how much these vary.

    Parameters
    ----------
    x : np.ndarray [shape=(frames, bins)]
    kernel_shape : (int, int)
        Frames and bins of the surroundings, see `contrast_kernel`.

    Returns
    -------
    np.ndarray, like `x`
        v / max(s, mean of s), where v = x - k * x and s is the root of k * v^2, with symmetric
        borders. Silence gives zeros.
    """
    kernel = contrast_kernel(*kernel_shape)
    v = x - convolve2d(x, kernel, mode="same", boundary="symm")
    s = np.sqrt(convolve2d(v**2, kernel, mode="same", boundary="symm"))
    scale = np.maximum(s, s.mean())
    return v / np.where(scale > 0, scale, 1)


def contrast_kernel(n_frames, n_bins):
    """Return the weights of the surroundings: half a Hamming window, rising, times a Gaussian.

    Parameters
    ----------
    n_frames, n_bins : int

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bins)], sum 1
    """
    rising = np.hamming(2 * n_frames + 1)[:n_frames]
    distance = np.arange(n_bins) - (n_bins - 1) / 2
    kernel = np.outer(rising, np.exp(-0.5 * (distance / (n_bins / 4)) ** 2))
    return kernel / kernel.sum()
