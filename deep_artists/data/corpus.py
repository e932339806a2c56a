"""The embedded corpus: clearly synthetic artists, written as sound files.

Nobody played any of this. It exists so that the whole experiment runs from nothing, with no
recordings to find and none to license. What it teaches about real music is nothing.

An artist is a timbre: an instrument out of five, shared with other artists, and its own spectral
slope, formants, two drums, a room and a register. A track is a piece: mode, tempo, key, chords, a
random-walk melody, a drum pattern and a loudness. So a split by track asks for the artist, not the
tune. Instrument, mode, tempo and key go to ``tracks.csv`` as labels the network never sees.

Conventions: 22050 Hz, mono, float64 in [-1, 1], times in seconds, frequencies in Hz, pitches in
semitones where 69 is 440 Hz. Files are 16-bit FLAC: lossless, and 60 % of the size of WAV.
Artists and tracks count from 0 here and from 1 in file names. Random numbers come from RandomState
only, whose streams are frozen; the sums are float64, so another libm or NumPy may move a sample by
a few 1e-15, which rounding to 16 bits hides unless the sample lies that close to a tie: for the
whole default corpus the odds are below 1 in 100 that one sample differs by one step.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import numbers
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import FolderError, new_file, own_folder, read_json, remove_unfinished
from .progress import Progress
from .workers import check_jobs, run_tasks

SAMPLE_RATE = 22050
CORPUS_VERSION = 1  # raise it when the same arguments give other samples
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
TEMPI_BPM = {"slow": (60, 80), "medium": (92, 116), "fast": (132, 168)}
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
N_ARTISTS_MAX = N_TRACKS_MAX = 999
LABELS = ("path", "artist", "instrument", "mode", "tempo_bpm", "tempo_class", "key")


NAME = "the synthetic corpus of deep_artists"
LICENCE = "CC0 1.0: computed by deep_artists, from no recording"


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

    _check_integer("artist", artist, 0, N_ARTISTS_MAX - 1)
    _check_integer("track", track, 0, N_TRACKS_MAX - 1)
    _check_duration_and_seed(duration_s, seed)
    player = _make_artist(artist, seed)
    piece, rng = _make_track(player, artist, track, seed)

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


def write_corpus(
    out_dir: str | os.PathLike,
    n_artists: int = 20,
    n_tracks: int = 6,
    duration_s: float = 30.0,
    seed: int = 2013,
    jobs: int = 1,
) -> Path:
    """Write the corpus as ``out_dir/<artist>/<track>.flac``, with ``tracks.csv``.

    What is there already and unchanged is left alone, so a second call is quick and an interrupted
    one can be repeated. ``corpus.json`` holds the parameters and, per file, the SHA-256 of the
    16-bit samples.

    Parameters
    ----------
    out_dir : str or Path
        A folder that is missing, empty, or holds this same corpus.
    n_artists, n_tracks : int
        1 to 999 artists, and tracks of each. Six tracks have every mode and tempo class once.
    duration_s : float
        0.25 to 600 seconds a track.
    seed : int
        0 to 2**32 - 1.
    jobs : int
        Processes, or -1 for one per core. The samples do not depend on it.

    Returns
    -------
    Path
        `out_dir`, whose sub-folders are the labels.

    Raises
    ------
    CorpusError
        If an argument is out of range, the folder holds something else or cannot be written.
    """
    _check_integer("n_artists", n_artists, 1, N_ARTISTS_MAX)
    _check_integer("n_tracks", n_tracks, 1, N_TRACKS_MAX)
    try:
        check_jobs(jobs)
    except ValueError as error:
        raise CorpusError(str(error)) from error
    _check_duration_and_seed(duration_s, seed)
    out_dir = Path(out_dir)
    manifest: dict = {
        "version": CORPUS_VERSION,
        "n_artists": int(n_artists),
        "n_tracks": int(n_tracks),
        "duration_s": float(duration_s),
        "seed": int(seed),
    }
    pairs = [(a, t) for a in range(n_artists) for t in range(n_tracks)]
    try:
        with own_folder(out_dir):
            known = _open_folder(out_dir, manifest)
            rows = [_describe(a, t, seed) for a, t in pairs]
            for folder in {out_dir, *((out_dir / row[0]).parent for row in rows)}:
                remove_unfinished(folder)
            _replace(out_dir / "tracks.csv", _format_csv(rows))
            work = [
                (out_dir, row[0], a, t, duration_s, seed, known.get(row[0]))
                for row, (a, t) in zip(rows, pairs)
            ]
            hashes = run_tasks(jobs, len(work), _write_track, work)
            manifest["sha256"] = {}
            with Progress("corpus", len(work), "track") as bar:
                for row, digest in zip(rows, hashes):
                    manifest["sha256"][row[0]] = digest
                    bar.update()
            _replace(out_dir / "DATACARD.md", _format_card(manifest).encode())
            _replace(out_dir / "corpus.json", json.dumps(manifest, indent=1).encode())
    except (OSError, FolderError) as err:
        raise CorpusError(
            f"the corpus cannot be written to {out_dir}: {err}; "
            "choose a folder that can be written, with room for it"
        ) from err
    return out_dir


def _format_card(manifest):
    """Return what the corpus is, for a reader of its folder."""
    n_artists, n_tracks = manifest["n_artists"], manifest["n_tracks"]
    made_by = ", ".join(
        f"{name}={manifest[name]:g}" for name in ("n_artists", "n_tracks", "duration_s", "seed")
    )
    return f"""# Data card: {NAME}

{n_artists} synthetic artists, {n_tracks} tracks of each, {manifest["duration_s"]:g} s a track;
22050 Hz, mono, 16-bit FLAC, `<artist>/<track>.flac`. Version {manifest["version"]}.

**What it is.** Nobody played any of this. An artist is a timbre: one of {len(INSTRUMENTS)}
instruments, which other artists share, with a spectral slope, formants, two drums, a room and a
register of its own. A track is a piece: mode, tempo, key, chords, a random-walk melody, a drum
pattern and a loudness.

**What it is for.** To run a whole experiment from nothing, and to test it. An error on it says
nothing about real artists.

**Labels.** The folder is the artist. `tracks.csv` has instrument, mode, tempo and key as well:
labels that a network trained on artists never saw. No person is described.

**Splits.** None are fixed: `deep-artists dataset` draws one by track, from a seed.

**Licence.** {LICENCE}.

**Made by** `deep_artists.write_corpus(folder, {made_by})`.
`corpus.json` has the SHA-256 of every file's samples.
"""


def _make_artist(artist, seed):
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


def _make_track(player, artist, track, seed):
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


def _describe(artist, track, seed):
    """Return the row of a track in tracks.csv."""
    player = _make_artist(artist, seed)
    piece, _ = _make_track(player, artist, track, seed)
    return (
        f"{player.name}/track-{track + 1:02d}.flac",
        player.name,
        player.instrument,
        piece.mode,
        piece.tempo_bpm,
        piece.tempo_class,
        KEYS[piece.key],
    )


def _format_csv(rows):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([LABELS, *rows])
    return text.getvalue().encode()


def _open_folder(out_dir, manifest):
    """Return the hashes of the tracks that corpus.json lists; write one into an empty folder."""
    path = out_dir / "corpus.json"
    if not path.exists():
        found = sorted(p.name for p in out_dir.iterdir() if not p.name.startswith("."))
        if found:
            raise CorpusError(
                f"{out_dir} is not empty (it holds {found[0]!r}) and is no corpus; "
                "choose a new or empty folder"
            )
        _replace(path, json.dumps(manifest, indent=1).encode())
    try:
        found = read_json(path)
        known = {str(name): str(digest) for name, digest in dict(found.pop("sha256", {})).items()}
    except (ValueError, TypeError) as err:
        raise CorpusError(f"{path} is damaged: {err}; delete the folder or choose another") from err
    if found != manifest:
        raise CorpusError(
            f"{out_dir} holds another corpus, {found}, not {manifest}; "
            "delete the folder or choose another"
        )
    return known


def _write_track(out_dir, name, artist, track, duration_s, seed, known):
    """Write a track unless it is there already; return the SHA-256 of its samples."""
    import soundfile

    path = out_dir / name
    if known is not None and _hash_samples(path) == known:
        return known
    samples = np.rint(32767 * synthesise_track(artist, track, duration_s, seed)).astype("<i2")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    path.parent.mkdir(exist_ok=True)
    _replace(path, buffer.getvalue())
    return hashlib.sha256(samples).hexdigest()


def _hash_samples(path):
    import soundfile

    try:
        samples, _ = soundfile.read(path, dtype="int16")
    except soundfile.SoundFileError:  # missing or damaged: it is written again
        return None
    return hashlib.sha256(samples.astype("<i2")).hexdigest()


def _replace(path, data):
    with new_file(path) as file:
        file.write(data)


def _check_integer(name, value, low, high):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise CorpusError(f"{name} = {value!r}; needed: an integer from {low} to {high}")
    if not low <= value <= high:
        raise CorpusError(f"{name} = {value}; needed: {low} to {high}")


def _check_duration_and_seed(duration_s, seed):
    _check_integer("seed", seed, 0, 2**32 - 1)
    if not isinstance(duration_s, numbers.Real) or not 0.25 <= duration_s <= 600:
        raise CorpusError(f"duration_s = {duration_s!r}; needed: 0.25 to 600 seconds a track")
