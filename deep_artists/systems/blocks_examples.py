"""What the tutorial builds from its blocks: two synthetic examples, a network to transfer.

Example 1 tells twelve pitches apart with one dense layer, example 2 major from minor thirds with
four filters that hear them wherever they lie. Sounds are sines; a network sees frames of their
constant-Q transform, in dB over the quietest cell, and noise.
"""

from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from ..nn.chain import as_tensor, need_rng
from ..nn.layers import share
from ..nn.updates import nesterov_sgd
from ..ops.compile import compile_function
from .blocks import (
    accuracy,
    activate,
    c2,
    categorical_crossentropy,
    d1,
    elu,
    list_params,
    normalize,
    p2,
    p3,
    relu,
    softmax,
)

SR_HZ = 16000
PITCHES_HZ = (440, 466.2, 493.8, 523.3, 554.4, 587.3, 622.3, 659.3, 698.5, 740, 784, 830.6)
THIRDS = {"major": 4, "minor": 3}  # semitones
N_BINS = 36
TRANSFER_POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))


# --- sounds ---


def find_templates():
    """Compute what the examples hear of their sounds.

    Returns
    -------
    dict of str to np.ndarray
        'pitches' (12, 36): frame 1 of each pitch. 'major' and 'minor' (12, 36, 3): frames 2 to 4
        of each pitch with its third. The loudest cell is 1.

    Notes
    -----
    The constant-Q transform is librosa's of today; the tutorial used 0.5.0, whose numbers are
    others, see ``deep-artists verify``.
    """
    tones = {hz: make_tone(hz) for hz in PITCHES_HZ}
    templates = {"pitches": np.array([find_levels(tone, 1, 2)[:, 0] for tone in tones.values()])}
    for kind, semitones in THIRDS.items():
        templates[kind] = np.array(
            [
                find_levels(tone + make_tone(hz * 2 ** (semitones / 12)), 2, 5)
                for hz, tone in tones.items()
            ]
        )
    return templates


def make_tone(hz):
    """Return one second of a sine of amplitude 0.5."""
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(SR_HZ) / SR_HZ)


def find_levels(sound, start, stop):
    """Return frames of the constant-Q transform: dB over their minimum, the maximum made 1."""
    import librosa

    transform = librosa.cqt(
        sound,
        sr=SR_HZ,
        hop_length=512,
        fmin=220,
        n_bins=N_BINS,
        bins_per_octave=12,
        tuning=0.0,
        filter_scale=2,
        norm=1,
        sparsity=0.01,
        window="hann",
        pad_mode="reflect",
    )
    magnitude = np.maximum(np.abs(transform[:, start:stop]), 1e-5)
    levels = 20 * np.log10(magnitude / magnitude.min())
    return np.maximum(levels, levels.max() - 80) / levels.max()


def draw_batches(sounds, seed, n, batch_size=128, gain=0.1, roots=range(12)):
    """Yield (x, y) n times, from one generator.

    Every row is the template of a root drawn with replacement. A batch has one noise for all its
    rows, uniform in (-1, 1) times `gain` times another uniform draw.

    Parameters
    ----------
    sounds : list of np.ndarray [shape=(12, ...)]
        One kind of sound: y says which root. Several kinds: a batch has the same roots of each, one
        kind after another, and y says the kind.
    seed, n, batch_size : int
    gain : float
    roots : sequence of int

    Yields
    ------
    x : np.ndarray [shape=(batch_size, ...)], float32
    y : np.ndarray [shape=(batch_size, classes)], float32
    """
    rng, n_kinds, roots = np.random.RandomState(seed), len(sounds), np.asarray(roots)
    kinds = np.repeat(np.eye(n_kinds), batch_size // n_kinds, axis=0)
    for _ in range(n):
        drawn = roots[rng.choice(len(roots), size=batch_size // n_kinds, replace=True)]
        level = gain * rng.random_sample(1)
        noise = level * rng.uniform(-1.0, 1.0, sounds[0].shape[1:])
        x = np.concatenate([noise + templates[drawn] for templates in sounds])
        y = np.eye(12)[drawn] if n_kinds == 1 else kinds
        yield x.astype(np.float32), y.astype(np.float32)


# --- networks ---


def build_pitches(floatX, rng=None, W=None):
    """Return x (B, 36) and the network of example 1: one dense layer, 432 weights."""
    x = pt.tensor("x", dtype=floatX, shape=(None, N_BINS))
    return x, d1(x, 12, softmax, bias=False, rng=rng, W=W)


def build_thirds(floatX, rng=None, W=None, dense_W=None):
    """Return x (B, 36, 3) and the network of example 2: 60 weights of four filters, and 8."""
    x = pt.tensor("x", dtype=floatX, shape=(None, N_BINS, 3))
    y = c2(x.dimshuffle(0, "x", 1, 2), 4, (5, 3), bias=False, rng=rng, W=W)
    y = activate(p2(y, "global"), relu)
    return x, d1(y, 2, softmax, bias=False, rng=rng, W=dense_W)


def build_transfer(input, V=32, pools=TRANSFER_POOLS, rng=None, params=None):
    """Build the network whose features are transferred: mel spectrograms to five sets of means.

    Five times a convolution of 3x3, normalisation, an ELU and pooling:
    96x1360 -> 48x340 -> 16x85 -> 8x17 -> 4x4 -> 1x1.

    Parameters
    ----------
    input : tensor [shape=(B, 1, 96, 1360)]
    V : int
        Filters of each convolution.
    pools : sequence of (int, int)
    rng : np.random.RandomState, optional
        Draws the filters, normal with variance 2 / fan_in.
    params : sequence of (W, b, gamma, beta), optional

    Returns
    -------
    last : Block
    features : tensor [shape=(B, len(pools) V)]
        The mean of every map after each pooling.
    """
    y, features = input, []
    for i, size in enumerate(pools):
        W, b, gamma, beta = params[i] if params else (draw_he(y, V, rng), None, None, None)
        y = c2(y, V, (3, 3), pad="same", W=W, b=b)
        y = p2(activate(normalize(y, gamma, beta), elu), size)
        features.append(p3(y).output)
    return y, pt.concatenate(features, axis=1)


def draw_he(input, V, rng):
    """Draw filters of 3x3: normal, of variance 2 / fan_in."""
    x = as_tensor(input)
    shape = (V, x.type.shape[1], 3, 3)
    deviation = np.sqrt(2 / (9 * shape[1]))
    return share(need_rng("c2", rng).normal(scale=deviation, size=shape), x.dtype, "W")


# --- training ---


class Run(NamedTuple):
    """What a training gave."""

    losses: np.ndarray  # before each update
    accuracies: np.ndarray
    kept: dict  # number of updates -> the parameters after them


def train(x, network, batches, keep=()):
    """Train a network with Nesterov's momentum on each batch once.

    Parameters
    ----------
    x : tensor
        The input of the network.
    network : Block
        Its output is a softmax over classes.
    batches : iterable of (x, y)
        y has a 1 for the class of each row.
    keep : collection of int
        Numbers of updates after which the parameters are kept.

    Returns
    -------
    Run
    """
    step, params = compile_step(x, network), list_params(network)
    losses, accuracies, kept = [], [], {}
    for n, (batch, labels) in enumerate(batches, start=1):
        loss, share_right = step(batch.astype(x.dtype), labels.astype(x.dtype))
        losses.append(loss)
        accuracies.append(share_right)
        if n in keep:
            kept[n] = [p.get_value() for p in params]
    return Run(np.array(losses), np.array(accuracies), kept)


def compile_step(x, network):
    """Compile (x, y) -> loss and accuracy, before the update that is then made."""
    p = network.output
    y = pt.matrix("y", dtype=p.dtype)
    loss = categorical_crossentropy(p, y).mean()
    return compile_function(
        [x, y], [loss, accuracy(p, y)], updates=nesterov_sgd(loss, list_params(network))
    )


def evaluate(x, network, batches):
    """Return the mean loss and accuracy over batches."""
    p = network.output
    y = pt.matrix("y", dtype=p.dtype)
    measure = compile_function([x, y], [categorical_crossentropy(p, y).mean(), accuracy(p, y)])
    found = [measure(a.astype(x.dtype), b.astype(x.dtype)) for a, b in batches]
    return tuple(float(a) for a in np.mean(found, axis=0))
