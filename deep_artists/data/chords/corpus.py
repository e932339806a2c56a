"""Synthetic chords as sound files with .lab annotations, for a first look without music.

A chord is a random voicing of its notes over its root in the bass. A note has ten harmonics that
fall off at a rate of its own; the chord is up to ten cents out of tune and has one note that does
not belong to it, and white noise 0 to 20 dB below. N is noise alone. It says nothing of real songs.
"""

import io
from pathlib import Path

import numpy as np

from ..files import new_file
from .annotations import Segments, write_segments
from .fingerings import OPEN_PITCHES, choose_frets
from .vocabulary import QUALITIES, name_chords

SR_HZ = 22050
CHORD_S = 1.0
N_HARMONICS = 10
FADE_S = 0.02


def choose_pitches(index, rng):
    """Choose a voicing: the root in the bass, every note once or twice above it, one foreign note.

    Parameters
    ----------
    index : int
        12 * quality + root; no N.
    rng : np.random.RandomState

    Returns
    -------
    list of (int, float)
        Pitches, 69 is 440 Hz, and their amplitudes; the foreign note is last.
    """
    quality, root = divmod(index, 12)
    notes = list(QUALITIES.values())[quality]
    pitches = [36 + root + 12 * rng.randint(2)]
    for note in notes:
        octaves = rng.choice(3, 1 + rng.randint(2), replace=False)
        pitches += [48 + (root + note) % 12 + 12 * octave for octave in octaves]
    foreign = rng.choice([n for n in range(12) if n not in notes])
    pitches.append(48 + (root + foreign) % 12 + 12 * rng.randint(3))
    amplitudes = rng.uniform(0.4, 1.0, len(pitches))
    amplitudes[-1] *= 0.35
    return list(zip(pitches, amplitudes))


def choose_strings(index, rng):
    """Choose the notes of a chord on the guitar, as `fingerings.choose_frets` holds it.

    Parameters
    ----------
    index : int, 0 to 59
    rng : np.random.RandomState

    Returns
    -------
    list of (int, float)
        Pitches, 69 is 440 Hz, and their amplitudes.
    """
    frets = reversed(choose_frets(index))
    pitches = [o + f for o, f in zip(OPEN_PITCHES, frets) if f is not None]
    return list(zip(pitches, rng.uniform(0.5, 1.0, len(pitches))))


def synthesise_chord(pitches, rng, duration_s=CHORD_S, sr=SR_HZ):
    """Synthesise notes as sums of harmonics, with noise.

    Parameters
    ----------
    pitches : list of (float, float)
        Pitch and amplitude of every note; none: noise alone.
    rng : np.random.RandomState
    duration_s : float
    sr : int
        Hz.

    Returns
    -------
    np.ndarray [shape=(round(duration_s * sr),)], float64
        Of RMS 0.1.
    """
    t = np.arange(round(duration_s * sr)) / sr
    detuning = rng.uniform(-0.1, 0.1)  # semitones
    y = np.zeros(len(t))
    for pitch, amplitude in pitches:
        hz = 440 * 2 ** ((pitch + detuning - 69) / 12)
        decay = rng.uniform(0.3, 0.8)
        ratios = np.arange(N_HARMONICS)
        weights = decay**ratios * np.exp(2j * np.pi * rng.uniform(size=N_HARMONICS))
        weights[(ratios + 1) * hz > 0.45 * sr] = 0
        z = np.exp(2j * np.pi * hz * t)  # harmonic k is z^k: Horner's rule
        total = np.zeros(len(t), complex)
        for weight in weights[::-1]:
            total = (total + weight) * z
        y += amplitude * total.imag
    level = np.sqrt(np.mean(y**2)) or 1.0
    y += level * 10 ** (-rng.uniform(0, 20) / 20) * rng.normal(size=len(t))
    fade = np.minimum(1, np.minimum(t, t[-1] - t) / FADE_S)
    return 0.1 * fade * y / np.sqrt(np.mean(y**2))


def write_chord_corpus(out_dir, n_tracks, n_chords, seed, n_qualities=5, choose=choose_pitches):
    """Write tracks of random chords as ``track-001.flac`` with ``track-001.lab``.

    Parameters
    ----------
    out_dir : str or path
        Made if it is not there.
    n_tracks, n_chords : int
        Tracks, and chords of one second in each.
    seed : int
        The chords of a track follow from it and from the track's number alone.
    n_qualities : int
    choose : callable
        Index of a chord and RandomState -> its pitches and amplitudes.

    Returns
    -------
    Path
        `out_dir`.
    """
    import soundfile

    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    names = name_chords(n_qualities)
    for track in range(n_tracks):
        rng = np.random.RandomState([seed, track])
        indices = rng.randint(len(names), size=n_chords)
        sounds = [synthesise_chord([] if names[i] == "N" else choose(i, rng), rng) for i in indices]
        samples = np.rint(32767 * np.clip(np.concatenate(sounds), -1, 1)).astype("<i2")
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, SR_HZ, subtype="PCM_16", format="FLAC")
        name = f"track-{track + 1:03d}"
        with new_file(out_dir / f"{name}.flac") as file:
            file.write(buffer.getvalue())
        starts = np.arange(n_chords) * CHORD_S
        segments = Segments(np.array([starts, starts + CHORD_S]).T, [names[i] for i in indices])
        write_segments(segments, out_dir / f"{name}.lab")
    return out_dir
