"""The sound of the embedded corpus: artists and tracks, from oscillators and noise.

An artist is a timbre: an instrument out of five, shared with other artists, and its own spectral
slope, formants, two drums, a room and a register. A track is a piece: mode, tempo, key, chords, a
random-walk melody, a drum pattern and a loudness. So a split by track asks for the artist, not the
tune.

Conventions: 22050 Hz, mono, float64 in [-1, 1], times in seconds, frequencies in Hz, pitches in
semitones where 69 is 440 Hz. Artists and tracks count from 0. Random numbers come from RandomState
only, whose streams are frozen; the sums are float64, so another libm or NumPy may move a sample by
a few 1e-15.
"""

import numbers
from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 22050
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
TEMPI_BPM = {"slow": (60, 80), "medium": (92, 116), "fast": (132, 168)}
N_ARTISTS_MAX = N_TRACKS_MAX = 999


class CorpusError(ValueError):
    """A corpus that cannot be written where or as it was asked for."""


class Instrument(NamedTuple):
    harmonic_step: int  # 2 leaves the odd harmonics: a pipe closed at one end
    stiffness: float  # partial k lies at k * sqrt(1 + stiffness * k^2): 0 a flute, 0.03 a bar
    slope: float  # partial k has amplitude k^-slope before the formants
    attack_s: float
    decay_s: float  # of the lowest partial; the higher ones die sooner
    vibrato: float  # depth of the phase modulation of the lowest partial, radians


INSTRUMENTS = {
    "plucked": Instrument(1, 3e-4, 1.0, 0.003, 0.5, 0.0),
    "bowed": Instrument(1, 0.0, 1.1, 0.080, 6.0, 0.7),
    "reed": Instrument(2, 0.0, 0.8, 0.025, 8.0, 0.0),
    "bell": Instrument(1, 3e-2, 0.7, 0.002, 0.9, 0.0),
    "voice": Instrument(1, 0.0, 1.5, 0.050, 6.0, 1.2),
}


class Artist(NamedTuple):
    name: str
    instrument: str
    slope: float  # added to that of the instrument
    formants_hz: np.ndarray  # (3,)
    register: float  # lowest tonic, semitones
    drums: tuple  # two bursts of noise, (n,) each
    drum_level: float
    room: np.ndarray  # impulse response, (n,)
    pieces: np.ndarray  # the order of the six (mode, tempo class) pairs


class Track(NamedTuple):
    mode: str
    tempo_class: str
    tempo_bpm: int
    key: int  # 0 is C
    level_db: float  # mean power; 0 is full scale


def synthesise_track(
    artist: int, track: int, duration_s: float = 30.0, seed: int = 2013
) -> np.ndarray:
    """Synthesise one track of one artist.

    Parameters
    ----------
    artist, track : int
        Counted from 0, at most 998. The other artists and tracks have no influence.
    duration_s : float
        0.25 (one patch) to 600.
    seed : int
        0 to 2**32 - 1. Another seed gives other artists.

    Returns
    -------
    np.ndarray [shape=(round(22050 * duration_s),), dtype=float64]
        Samples in [-1, 1], not yet rounded to 16 bits.

    Raises
    ------
    CorpusError
        If an argument is out of range.

    Examples
    --------
    >>> y = synthesise_track(artist=0, track=0, duration_s=1.0)
    >>> y.shape, bool(abs(y).max() < 1)
    ((22050,), True)
    """
    from scipy.signal import oaconvolve

    check_integer("artist", artist, 0, N_ARTISTS_MAX - 1)
    check_integer("track", track, 0, N_TRACKS_MAX - 1)
    check_duration_and_seed(duration_s, seed)
    player = make_artist(artist, seed)
    piece, rng = make_track(player, artist, track, seed)

    eighth = int(SAMPLE_RATE * 30 / piece.tempo_bpm)  # samples in half a beat
    n = round(SAMPLE_RATE * duration_s)
    y = np.zeros(n)
    tones = {}  # each pitch is synthesised once and then played like a sample
    for start, length, degree, velocity in _compose(rng, n // eighth + 1):
        if degree not in tones:
            octave, step = divmod(degree, 7)
            tonic = player.register + (piece.key - player.register) % 12
            pitch = tonic + 12 * octave + MODES[piece.mode][step]
            tones[degree] = _make_tone(player, pitch, 4 * eighth)  # the longest note
        _add(y, start * eighth, velocity * _release(tones[degree][: length * eighth]))

    low, high = rng.uniform(size=(2, 8)) < [[0.35], [0.5]]  # a bar of eighths, for each drum
    for beat in range(n // eighth + 1):
        for drum, played in zip(player.drums, (low[beat % 8] or beat % 8 == 0, high[beat % 8])):
            if played:
                _add(y, beat * eighth, player.drum_level * rng.uniform(0.5, 1.0) * drum)

    y = oaconvolve(y, player.room)[:n]
    y *= 10 ** (piece.level_db / 20) / np.sqrt(np.mean(y**2))
    return y / max(1.0, np.abs(y).max() / 0.99)


def make_artist(artist, seed):
    rng = np.random.RandomState([seed, artist])
    kick_hz, snare_hz = 60 * 4 ** rng.uniform(), 900 * 7 ** rng.uniform()
    reverb_s = rng.uniform(0.15, 0.9)
    room = rng.uniform(0.05, 0.5) * _make_burst(rng, 500 * 6 ** rng.uniform(), 1.5, reverb_s)
    room[0] = 1.0  # the direct sound
    return Artist(
        name=f"synthetic-{artist + 1:02d}",
        instrument=list(INSTRUMENTS)[artist % len(INSTRUMENTS)],
        slope=rng.uniform(-0.4, 0.4),
        formants_hz=np.array([300, 900, 2200]) * np.array([3, 2.5, 2.5]) ** rng.uniform(size=3),
        register=rng.uniform(43, 60) // 1,
        drums=(_make_burst(rng, kick_hz, 0.4, 0.3), _make_burst(rng, snare_hz, 0.7, 0.25)),
        drum_level=rng.uniform(0.5, 2.0),
        room=room,
        pieces=rng.permutation(6),
    )


def make_track(player, artist, track, seed):
    """Return the track's piece, and the RandomState that plays it."""
    rng = np.random.RandomState([seed, artist, track])
    mode, tempo = divmod(player.pieces[track % 6], 3)
    tempo_class = list(TEMPI_BPM)[tempo]
    piece = Track(
        mode=list(MODES)[mode],
        tempo_class=tempo_class,
        tempo_bpm=int(rng.uniform(*TEMPI_BPM[tempo_class])),
        key=int(rng.uniform(0, 12)),
        level_db=rng.uniform(-25, -17),
    )
    return piece, rng


def _make_burst(rng, centre_hz, width_octaves, length_s):
    """Return noise around one frequency, of energy 1, that decays by 60 dB over its length."""
    n = int(SAMPLE_RATE * length_s)
    noise = np.fft.rfft(rng.uniform(-1, 1, n) * 10 ** (-3 * np.arange(n) / n))
    octaves = np.log2(np.fft.rfftfreq(n, 1 / SAMPLE_RATE).clip(1) / centre_hz)
    burst = np.fft.irfft(noise * np.exp(-0.5 * (octaves / width_octaves) ** 2), n)
    return burst / np.sqrt(np.sum(burst**2))


def _make_tone(artist, pitch, n):
    """Return a tone: the partials of a stiff string, weighted by the artist's formants."""
    model = INSTRUMENTS[artist.instrument]
    t = np.arange(n) / SAMPLE_RATE
    wobble = model.vibrato * np.sin(2 * np.pi * 5.5 * t)
    envelope = np.exp(-t / model.decay_s)
    fade = envelope ** (0.15 * model.harmonic_step)  # from one partial to the next
    tone, power = np.zeros_like(t), 0.0
    for k in range(1, 40, model.harmonic_step):
        ratio = k * np.sqrt(1 + model.stiffness * k**2)
        # Rounded, so that the last bit of libm's power cannot grow with the phase.
        hz = np.round(440 * 2 ** ((pitch - 69) / 12) * ratio * 64) / 64
        if hz > 9000:
            break
        distance = (hz - artist.formants_hz) / (0.1 * artist.formants_hz + 30)  # in half-widths
        weight = k ** -(model.slope + artist.slope) * (0.03 + np.sum(1 / (1 + distance**2)))
        tone += weight * envelope * np.sin(2 * np.pi * hz * t + ratio * wobble)
        envelope *= fade
        power += weight**2 / 2
    return tone * (1 - np.exp(-t / model.attack_s)) / np.sqrt(power) * 0.15


def _compose(rng, n_eighths):
    """Return notes: (start, length, degree of the scale, velocity), times in eighths."""
    notes = []
    for start in range(0, n_eighths, 4):  # a triad every two beats: I, IV, V or VI
        root = 0 if start == 0 else (0, 3, 4, 5)[int(rng.uniform(0, 4))]
        notes += [(start, 4, degree, 0.4) for degree in (root, root + 2, root + 4)]
    start, degree = 0, int(rng.uniform(5, 12))
    while start < n_eighths:  # the melody: a walk over two octaves of the scale
        length = (1, 1, 2, 2, 3, 4)[int(rng.uniform(0, 6))]
        if rng.uniform() < 0.9:
            notes.append((start, length, degree, rng.uniform(0.6, 1.2)))
        degree = min(max(degree + (-3, -2, -1, -1, 1, 1, 2, 3)[int(rng.uniform(0, 8))], 0), 14)
        start += length
    return notes


def _release(tone, fade=660):
    """Return a copy that ends in a fade of 30 ms."""
    tone = tone.copy()
    tone[-fade:] *= np.linspace(1, 0, fade)[-len(tone) :]
    return tone


def _add(y, start, sound):
    y[start : start + len(sound)] += sound[: max(0, len(y) - start)]


def check_integer(name, value, low, high):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise CorpusError(f"{name} = {value!r}; needed: an integer from {low} to {high}")
    if not low <= value <= high:
        raise CorpusError(f"{name} = {value}; needed: {low} to {high}")


def check_duration_and_seed(duration_s, seed):
    check_integer("seed", seed, 0, 2**32 - 1)
    if not isinstance(duration_s, numbers.Real) or not 0.25 <= duration_s <= 600:
        raise CorpusError(f"duration_s = {duration_s!r}; needed: 0.25 to 600 seconds a track")
