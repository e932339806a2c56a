"""Inputs of the recordings under ``golden/genre``, made by rule from RandomState's uniforms.

RandomState's streams are frozen, and only products and sums of few terms follow, so every NumPy
makes the same bytes. The recordings give their SHA-256.
"""

import numpy as np

CLASSES = 10
SILENT = slice(5, None, 16)  # rows of zeros, so that rectifiers meet exactly 0 while biases are 0
# name -> inputs, hidden units, training (tracks, frames), validation (tracks, frames)
SETS = {
    "small": (24, (16, 12, 10), (30, 23), (10, 13)),
    "full": (513, (50, 50, 50), (30, 47), (10, 13)),
}


def make_sets(name):
    """Return the training and the validation set: two pairs of x float32 and y float64, one-hot."""
    n_in, _, *sizes = SETS[name]
    rng = np.random.RandomState(2014)
    envelopes = rng.uniform(size=(CLASSES, n_in)) * rng.uniform(size=(CLASSES, n_in))
    sets = []
    for tracks, frames in sizes:
        x = [draw_frames(rng, envelopes[t % CLASSES], frames) for t in range(tracks)]
        x = np.concatenate(x).astype(np.float32)
        x[SILENT] = 0.0
        y = np.eye(CLASSES)[np.repeat(np.arange(tracks) % CLASSES, frames)]
        sets.append((x, y))
    return sets


def draw_frames(rng, envelope, frames):
    """Return frames under a spectral envelope: a uniform a bin, then a uniform a frame."""
    u = rng.uniform(size=(frames, np.size(envelope) if np.ndim(envelope) else 6))
    v = rng.uniform(size=(frames, 1))
    return 8.0 * envelope * u * v


class GivenMasks:
    """The masks of the recordings ``*-masks``, layer after layer for every training minibatch."""

    def __init__(self, rates, widths):
        self.rng, self.rates, self.widths = np.random.RandomState(7), rates, widths

    def draw(self, rows):
        return [
            (self.rng.uniform(size=(rows, width)) < 1 - rate).astype(np.uint8)
            for rate, width in zip(self.rates, self.widths)
        ]


def make_signal():
    """Return 1.5 s of signal at 22050 Hz as samples from -32768 to 32767, int64: three sawtooths
    of whole periods, noise, and silence from 0.5 s to 1 s."""
    rng, t = np.random.RandomState(5), np.arange(33075)
    periods = rng.randint(20, 400, size=3)
    samples = sum(t % period * 16384 // period - 8192 for period in periods)
    samples = samples + rng.randint(-2000, 2000, size=len(t))
    samples[11025:22050] = 0
    return samples


def make_tracks(frames):
    """Return the weights and the tracks of ``aggregate``: three float64 matrices, and a float32
    (n, 6) for each number of frames."""
    rng = np.random.RandomState(11)
    weights = [rng.uniform(size=shape) - 0.5 for shape in ((6, 5), (5, 4), (4, 3))]
    return weights, [draw_frames(rng, 1.0, n).astype(np.float32) for n in frames]
