"""The inputs of the recordings of Humphrey's programs (2013), made by rule.

Products and sums of RandomState uniforms only, so that every NumPy makes the same bits. The sizes
of every recorded run stand in `CHROMA`, `SLIDES` and `FRET`.
"""

import numpy as np

ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
CHORDS = {  # quality: semitones above the root
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
FLOOR = 0.25  # weight of a bin that is not in the chord


def name_chords(n_qualities):
    """Return the names in the order of their index: qualities, in each the roots, then N."""
    qualities = list(CHORDS)[:n_qualities]
    return [f"{root}:{quality}" for quality in qualities for root in ROOTS] + ["N"]


def mark_chords(n_qualities):
    """Return the pitch classes of every chord as ones, (12 * n_qualities + 1, 12); N has none."""
    bits = np.zeros((12 * n_qualities + 1, 12))
    for q, notes in enumerate(list(CHORDS.values())[:n_qualities]):
        for root in range(12):
            bits[12 * q + root, [(root + note) % 12 for note in notes]] = 1.0
    return bits


def silence(x):
    """Make every sixteenth row silent."""
    x[5::16] = 0.0
    return x


def make_spectra(seed, n, n_bins, scale, spacing_hz, n_qualities=13):
    """Return magnitudes (n, n_bins) and labels; the last class, X, is in no label map.

    A bin counts in full where the pitch nearest to it is in the chord.
    """
    names = [*name_chords(n_qualities), "X"]
    rng = np.random.RandomState(seed)
    pitch = np.zeros(n_bins, int)
    hz = np.arange(1, n_bins) * spacing_hz
    pitch[1:] = np.round(12 * np.log2(hz / 440.0)) + 69
    bits = np.vstack([mark_chords(n_qualities), np.zeros(12)])
    weights = scale * (FLOOR + (1 - FLOOR) * bits[:, pitch % 12])
    k = np.arange(n) % len(names)
    x = weights[k] * rng.uniform(size=(n, n_bins))
    x = x * rng.uniform(size=(n, 1))
    return silence(x), np.array(names)[k]


def make_instruments(seed, n, scale):
    """Return magnitudes (n, 120) of ten random timbres, and the timbre of each row."""
    rng = np.random.RandomState(seed)
    timbres = scale * rng.uniform(size=(10, 120))
    k = np.arange(n) % 10
    return silence(timbres[k] * rng.uniform(size=(n, 120))), k


def make_cqt(seed, n, scale, bins_per_semitone=2, n_octaves=8, start=9, n_frames=None):
    """Return constant-Q magnitudes of 61 chords in turn, and their indices, int32.

    Parameters
    ----------
    start : int
        Pitch class of row 0.
    n_frames : int, optional
        Then (n, 1, n_frames, bins) instead of (n, bins).
    """
    rng = np.random.RandomState(seed)
    bins = np.arange(12 * bins_per_semitone * n_octaves)
    y = np.arange(n) % 61
    centre = bins % bins_per_semitone == 0
    on = mark_chords(5)[:, (start + bins // bins_per_semitone) % 12] * centre
    weights = scale * (FLOOR + (1 - FLOOR) * on)[y]
    if n_frames is None:
        x = weights * rng.uniform(size=(n, len(bins)))
        x = x * rng.uniform(size=(n, 1))
    else:
        x = weights[:, None, None, :] * rng.uniform(size=(n, 1, n_frames, len(bins)))
    return silence(x), y.astype(np.int32)


def make_values(seed, shapes_and_scales):
    """Return initial values: (u v - 1/4) * scale of two uniform arrays, or zeros for scale 0."""
    rng, values = np.random.RandomState(seed), []
    for shape, scale in shapes_and_scales:
        if scale:
            u, v = rng.uniform(size=shape), rng.uniform(size=shape)
            values.append((u * v - 0.25) * scale)
        else:
            values.append(np.zeros(shape))
    return values


# What was called: run -> rows, labels.
CHROMA = {
    "2013-11-18": lambda: make_spectra(2014, 1000, 1025, 8.0, 44100 / 2048.0),
    "2013-12-17": lambda: make_part(800, 1 / 16.0),
    "2013-12-18": lambda: make_spectra(2013, 1599, 4097, 64.0, 11025 / 8192.0),
    "instrument": lambda: make_instruments(2015, 600, 16.0),
}
SLIDES = lambda: make_cqt(2016, 610, 4.0)  # noqa: E731
FRET = {
    "small": lambda: make_cqt(
        2017, 122, 1.0, bins_per_semitone=1, n_octaves=4, start=4, n_frames=16
    ),
    "full": lambda: make_cqt(2018, 8, 1.0, n_frames=80),
}
SHA256 = {  # of x, float64
    "2013-11-18": "930b485f628790bc6a7cf0c298426b8c02f721aa4317d8787d8703023455d5dc",
    "2013-12-17": "b8fa4e08fed4ea72d8a9a1b8dd7895c036cb6e80e696f6d1e2a3ea94f5f349ee",
    "2013-12-18": "52fac09126781ce51070198a460020cb34a0a8de54cee0a87e109692258b833c",
    "instrument": "29b203fc2fcd55328eae6d01ffe5c4b2ce8150ca980577feb7b42dc4a29ae576",
    "slides": "ad383037b8ae8380dd7c7f03585c17126adea82e5b1544ad7a69f36a1bb2ea83",
    "small": "02ffa42458bf55b97835e974b9984d28f747c9149f8a1ce4edfc20abd7043b7b",
    "full": "0e07d6c5961e2c51b2d5fd7cf5af16afc89d5413b1690fe66c748f7723ea838e",
}


def make_part(n, scale):
    """Return the first rows of the spectra of 2013-12-18, scaled."""
    x, labels = CHROMA["2013-12-18"]()
    return x[:n] * scale, labels[:n]
