"""Chords as classes: their names, pitch classes, templates and indices.

The index of a chord is 12 * quality + root, roots from C upwards; N, no chord, is last. With 2, 5
or 13 qualities there are 25, 61 or 157 classes. What is in no vocabulary has index -1.
"""

import json
from pathlib import Path

import numpy as np

ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
QUALITIES = {  # semitones above the root, in the order of 2013
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "7": (0, 4, 7, 10),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
}
UNKNOWN = -1
INSTALL = 'pip install "deep_artists[chords]"'


def name_chords(n_qualities):
    """Return the names of all classes in order, N last.

    Parameters
    ----------
    n_qualities : int, 1 to 13

    Returns
    -------
    list of str [12 * n_qualities + 1]

    Examples
    --------
    >>> names = name_chords(2)
    >>> len(names), names[0], names[12], names[-1]
    (25, 'C:maj', 'C:min', 'N')
    """
    check_qualities(n_qualities)
    qualities = list(QUALITIES)[:n_qualities]
    return [f"{root}:{quality}" for quality in qualities for root in ROOTS] + ["N"]


def check_qualities(n_qualities):
    if not 1 <= n_qualities <= len(QUALITIES):
        raise ValueError(f"n_qualities = {n_qualities}; 1 to {len(QUALITIES)} is needed")


def make_templates(n_qualities, shares=False):
    """Return a template of 12 pitch classes for every class.

    Parameters
    ----------
    n_qualities : int, 1 to 13
    shares : bool
        False: ones for the notes of the chord, and zeros for N, as until 2013-12-17. True: every
        row sums to 1, that of N to twelve twelfths, as from 2013-12-18 on.

    Returns
    -------
    np.ndarray [shape=(12 * n_qualities + 1, 12)], float64

    Examples
    --------
    >>> make_templates(2)[12 + 9].nonzero()[0].tolist()  # A:min has C, E and A
    [0, 4, 9]
    """
    check_qualities(n_qualities)
    templates = np.zeros((12 * n_qualities + 1, 12))
    for q, notes in enumerate(list(QUALITIES.values())[:n_qualities]):
        for root in range(12):
            templates[12 * q + root, (root + np.array(notes)) % 12] = 1
    if shares:
        templates[-1] = 1
        templates /= templates.sum(axis=1, keepdims=True)
    return templates


def read_label_map(path):
    """Read a label map of 2013: a JSON object, label -> its index as text.

    Raises
    ------
    ValueError
        If the file is something else.
    """
    try:
        return {label: int(index) for label, index in json.loads(Path(path).read_text()).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no JSON object of label and index: {error}") from error


def index_labels(labels, n_qualities=5, label_map=None):
    """Return the index of every label.

    Parameters
    ----------
    labels : sequence of str
        Harte's spelling: ``C:maj``, ``F#:min7/b3``, ``N``. X is in no vocabulary.
    n_qualities : int, 1 to 13
    label_map : dict, optional
        Label -> index (a number, or its text), as in 2013; nothing else is then looked up.

    Returns
    -------
    np.ndarray [shape=(len(labels),)], int32
        -1 for a label outside the vocabulary.

    Raises
    ------
    RuntimeError
        If a spelling other than that of `name_chords` is met and mir_eval is not installed.

    Examples
    --------
    >>> index_labels(["C:maj", "A:min", "N"], 2).tolist()
    [0, 21, 24]
    """
    labels = [str(label) for label in labels]
    if label_map is None:
        known = {name: i for i, name in enumerate(name_chords(n_qualities))}
        for label in {*labels} - {*known}:
            known[label] = _index_spelling(label, n_qualities)
    else:
        known = {label: int(index) for label, index in label_map.items()}
    return np.array([known.get(label, UNKNOWN) for label in labels], np.int32)


def _index_spelling(label, n_qualities):
    """The class of any spelling in Harte's syntax, by its root and its pitch classes."""
    if label in ("X", ""):
        return UNKNOWN
    chord = import_mir_eval().chord
    try:
        root, bits, _ = chord.encode(label)
    except chord.InvalidChordException:
        return UNKNOWN
    if root < 0:
        return 12 * n_qualities if label == "N" else UNKNOWN
    notes = tuple(np.flatnonzero(bits))
    of_notes = {notes: q for q, notes in enumerate(list(QUALITIES.values())[:n_qualities])}
    return 12 * of_notes[notes] + root if notes in of_notes else UNKNOWN


def import_mir_eval():
    """Return mir_eval with its module of chords, or say what to install."""
    try:
        import mir_eval.chord
    except ImportError as error:
        raise RuntimeError(
            f"mir_eval is not there, which reads and scores chord labels: {INSTALL}"
        ) from error
    return mir_eval


def rotate_index(index, shift, n_qualities):
    """Return the index of the same quality on a root so many semitones higher.

    Parameters
    ----------
    index, shift : int or np.ndarray of int
        Of N and of -1 nothing changes.
    n_qualities : int

    Returns
    -------
    int or np.ndarray of int

    Examples
    --------
    >>> rotate_index(np.array([11, 13, 24, -1]), 2, n_qualities=2).tolist()
    [1, 15, 24, -1]
    """
    index = np.asarray(index)
    is_chord = (index >= 0) & (index < 12 * n_qualities)
    return np.where(is_chord, index // 12 * 12 + (index % 12 + shift) % 12, index)[()]
