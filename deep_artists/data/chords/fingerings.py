"""Chords on the guitar: which fret each of six strings is held at.

Strings are counted from the high e, 0, to the low E, 5. A string is in one of nine states: 0 is
not played, 1 + f is fret f, 0 to 7. The chord table of 2013 is lost; the shapes here are movable
ones of our own for the qualities maj, min, maj7, min7 and 7.
"""

import numpy as np

N_STRINGS, N_STATES = 6, 9
OPEN_PITCHES = (64, 59, 55, 50, 45, 40)  # of the strings, high e first; 69 is 440 Hz
SHAPES = {  # with its root on the open low string so named; low E string first, x: not played
    "E": ("022100", "022000", "021100", "020000", "020100"),
    "A": ("x02220", "x02210", "x02120", "x02010", "x02020"),
    "D": ("xx0232", "xx0231", "xx0222", "xx0211", "xx0212"),
}
N_QUALITIES = 5


def choose_frets(index):
    """Return the frets of a chord, low E string first; None is not played.

    The E shape where that needs no barre above the fifth fret, else the A shape, else, for Eb only,
    the D shape at the first fret. N plays nothing.

    Parameters
    ----------
    index : int, 0 to 60
        12 * quality + root, see `chords`.

    Returns
    -------
    tuple of int or None [6]

    Examples
    --------
    >>> choose_frets(9)  # A:maj
    (5, 7, 7, 6, 5, 5)
    >>> choose_frets(12 + 2)  # D:min
    (None, 5, 7, 7, 6, 5)
    """
    quality, root = divmod(index, 12)
    if quality == N_QUALITIES:
        return (None,) * N_STRINGS
    barres = {"E": (root - 4) % 12, "A": (root - 9) % 12, "D": (root - 2) % 12}
    shape = next(name for name, barre in barres.items() if barre <= 5)
    return tuple(None if c == "x" else barres[shape] + int(c) for c in SHAPES[shape][quality])


def make_fingerings():
    """Return the states of the strings for all 61 chords.

    Returns
    -------
    np.ndarray [shape=(61, 9, 6)], float64
        Chord, state, string: one 1 for every string.
    """
    return np.stack([mark_frets(choose_frets(i)) for i in range(12 * N_QUALITIES + 1)])


def mark_frets(frets):
    """Return the states of six frets as ones.

    Parameters
    ----------
    frets : sequence of int or None [6]
        Low E string first, as chord tables list them.

    Returns
    -------
    np.ndarray [shape=(9, 6)], float64
        State, string; string 0 is the last of `frets`.

    Raises
    ------
    ValueError
        If there are not six, or one is none of 0 to 7.
    """
    if len(frets) != N_STRINGS or not all(f is None or 0 <= f <= 7 for f in frets):
        raise ValueError(f"frets = {frets!r}; six of 0 to 7, or None, are needed")
    marks = np.zeros((N_STATES, N_STRINGS))
    for string, fret in enumerate(reversed(frets)):
        marks[0 if fret is None else fret + 1, string] = 1
    return marks


def name_frets(states):
    """Return the states of six strings as text, low E string first: ``x32010`` is an open C.

    Examples
    --------
    >>> name_frets([1, 2, 1, 3, 4, 0])
    'x32010'
    """
    return "".join("x" if state == 0 else str(state - 1) for state in reversed(states))
