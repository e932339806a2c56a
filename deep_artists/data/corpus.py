"""The embedded corpus: clearly synthetic artists, written as sound files.

Nobody played any of this. It exists so that the whole experiment runs from nothing, with no
recordings to find and none to license. What it teaches about real music is nothing. `synthesis`
makes the sound; instrument, mode, tempo and key go to ``tracks.csv`` as labels the network never
sees.

Files are 16-bit FLAC: lossless, and 60 % of the size of WAV. Artists and tracks count from 0 here
and from 1 in file names. Rounding to 16 bits hides what another libm or NumPy changes, unless the
sample lies that close to a tie: for the whole default corpus the odds are below 1 in 100 that one
sample differs by one step.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

from .files import FolderError, new_file, own_folder, read_json, remove_unfinished
from .progress import Progress
from .synthesis import (
    INSTRUMENTS,
    N_ARTISTS_MAX,
    N_TRACKS_MAX,
    SAMPLE_RATE,
    CorpusError,
    check_duration_and_seed,
    check_integer,
    make_artist,
    make_track,
    synthesise_track,
)
from .workers import check_jobs, run_tasks

CORPUS_VERSION = 1  # raise it when the same arguments give other samples
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
LABELS = ("path", "artist", "instrument", "mode", "tempo_bpm", "tempo_class", "key")


NAME = "the synthetic corpus of deep_artists"
LICENCE = "CC0 1.0: computed by deep_artists, from no recording"


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
    check_integer("n_artists", n_artists, 1, N_ARTISTS_MAX)
    check_integer("n_tracks", n_tracks, 1, N_TRACKS_MAX)
    try:
        check_jobs(jobs)
    except ValueError as error:
        raise CorpusError(str(error)) from error
    check_duration_and_seed(duration_s, seed)
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


def _describe(artist, track, seed):
    """Return the row of a track in tracks.csv."""
    player = make_artist(artist, seed)
    piece, _ = make_track(player, artist, track, seed)
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
