"""Sound files and a model -> their artists.

Tracks are audio files, named by the path they were found at. A track's probabilities are the
softmax of its mean log-probability over patches: the geometric mean of what the patches say, made
to sum to 1. A file that cannot be used is reported and left out.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ..artists.model import Model
from ..data.files import iterate_files, printable
from ..data.patches import AUDIO_SUFFIXES, CLIPS, PATCH_SIZE, AudioError, extract_file
from ..data.workers import check_jobs, run_tasks

Paths = str | os.PathLike | Sequence[str | os.PathLike]


@dataclass
class Prediction:
    """What a model says of a track.

    Attributes
    ----------
    path : str
    artists : list of (str, float)
        The likeliest first, with their probabilities; empty if the track failed.
    n_patches : int
    resampled_from_hz : int or None
        The file's sample rate, where it is not 22050 Hz.
    note : str
        What to know before trusting the answer: a short track, silence, another sample rate.
    failed : str or None
        Why there is no answer.
    """

    path: str
    artists: list = field(default_factory=list)
    n_patches: int = 0
    resampled_from_hz: int | None = None
    note: str = ""
    failed: str | None = None


def find_audio(paths: Paths) -> list[str]:
    """List the audio files meant by files and folders.

    Parameters
    ----------
    paths : list of str or path
        A file stands for itself, a folder for all audio under it, sorted; hidden files and
        linked sub-folders are left out. A sub-folder that cannot be read is listed after them,
        so that it is reported.

    Returns
    -------
    list of str
        Each path once, where it first came up.

    Raises
    ------
    AudioError
        If a path does not exist, or a folder holds no audio.
    """
    found: dict[str, str] = {}  # absolute path -> path
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        files = [os.fspath(path)]
        if os.path.isdir(path):
            files = [str(Path(path, name)) for name in _list_audio(path)]
            if not files:
                raise AudioError(f"{path}: holds no audio file ({' '.join(AUDIO_SUFFIXES)})")
        elif not os.path.exists(path):
            raise AudioError(f"{path}: no such file or folder; name audio files or their folders")
        for file in files:
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _list_audio(folder):
    unreadable = []
    names = list(
        iterate_files(folder, AUDIO_SUFFIXES, on_error=lambda name, _: unreadable.append(name))
    )
    return names + unreadable


def predict_tracks(
    model: Model, paths: Paths, top: int | None = 10, parameters: str = "best", jobs: int = 1
) -> list[Prediction]:
    """Name the artists of audio files.

    Parameters
    ----------
    model : Model
    paths : list of str or path
        Files and folders, see `find_audio`.
    top : int or None
        Artists to name for a track. None names all of them; with thousands of artists and tracks
        that can take more memory than there is.
    parameters : {'best', 'last'}
    jobs : int
        Processes that read audio, -1 for one a core. One is faster for fewer than a few
        hundred files, because each process imports SciPy anew.

    Returns
    -------
    list of Prediction
        One for each file, in the order of `find_audio`.

    Raises
    ------
    AudioError
        If a path does not exist, or a folder holds no audio.
    ValueError
        If `top` is less than 1, or the model has its first layer only.
    """
    if top is not None and top < 1:
        raise ValueError(f"top = {top}; at least 1 is needed")
    names = list(model.label_names)
    names += [f"output {i}" for i in range(len(names), model.recipe.n_out)]  # of no label
    predictions = []

    def predict(x):
        return model.predict_log_proba(x, parameters)

    for path, facts, log_p in compute_tracks(predict, paths, jobs, model.recipe.clip):
        if log_p is None:
            predictions.append(Prediction(path, failed=facts))
            continue
        if facts["silent"] == len(log_p):
            predictions.append(Prediction(path, failed="only silence: every patch is exactly zero"))
            continue
        mean = log_p.mean(axis=0, dtype=np.float64)
        p = np.exp(mean - mean.max())
        p /= p.sum()
        artists = [(names[i], float(p[i])) for i in np.argsort(-p, kind="stable")[:top]]
        sr = facts["source_sr_hz"] if facts["resampled"] else None
        notes = [f"resampled from {sr} Hz"] if sr else []
        if round(facts["used_s"], 1) < (CLIPS[model.recipe.clip] or 0):
            notes.append(f"{facts['used_s']:.1f} s only")
        if facts["silent"]:
            notes.append(f"{facts['silent']} of {len(log_p)} patches are silence")
        predictions.append(Prediction(path, artists, len(log_p), sr, ", ".join(notes)))
    return predictions


def compute_tracks(compute, paths, jobs, clip="last30"):
    """Yield (path, facts, compute(patches)), or (path, reason, None), for every audio file."""
    from tqdm import tqdm

    check_jobs(jobs)
    paths = find_audio(paths)
    compute(np.zeros((0, PATCH_SIZE)))  # compiles, and refuses, before any audio is read
    extracted = run_tasks(jobs, len(paths), extract_track, ((path, clip) for path in paths))
    # disable=None: on a terminal only; tqdm writes to stderr.
    extracted = tqdm(extracted, "tracks", len(paths), unit="track", disable=None)
    for path, (x, facts) in zip(paths, extracted):
        computed = None if x is None else compute(x)
        if computed is not None and not np.isfinite(computed).all():
            computed, facts = None, "the model gives values that are not finite"
        yield path, facts, computed


def extract_track(path, clip="last30"):
    """Return (patches, facts) of an audio file, or (None, reason).

    The facts have ``silent`` as well: the number of patches that are exactly zero.
    """
    try:
        if os.path.isdir(path):
            os.listdir(path)  # raises what keeps it from being read
        x, facts = extract_file(path, clip)
        return x, facts | {"silent": int(len(x) - x.any(axis=1).sum())}
    except (AudioError, OSError) as error:
        return None, str(error).removeprefix(f"{path}: ")


def format_predictions(predictions: list[Prediction], form: str = "text") -> str:
    """Write predictions as text, JSON or CSV.

    Parameters
    ----------
    predictions : list of Prediction
    form : {'text', 'json', 'csv'}
        A line for every track that has an answer; a list of objects, the fields of `Prediction`;
        a row for every artist named, and for every track that failed.

    Returns
    -------
    str
        In a name, what is not Unicode is written as a backslash escape; in text, all that is not
        printable is.

    Examples
    --------
    >>> prediction = Prediction("a b.ogg", [("ann", 0.75), ("bob", 0.25)], 129)
    >>> print(format_predictions([prediction]), end="")
    a b.ogg: ann 75.0 %, bob 25.0 %
    """
    if form == "json":
        return (
            json.dumps(
                [
                    asdict(p)
                    | {"artists": [dict(zip(("artist", "probability"), a)) for a in p.artists]}
                    for p in predictions
                ],
                indent=1,
            )
            + "\n"
        )
    text = io.StringIO(newline="")
    if form == "text":
        for p in predictions:
            if p.failed is None:
                artists = ", ".join(
                    f"{printable(artist)} {100 * share:.1f} %" for artist, share in p.artists
                )
                text.write(f"{printable(p.path)}: {artists}{p.note and f' ({p.note})'}\n")
    elif form == "csv":
        writer = csv.writer(text, lineterminator="\n")
        columns = "path rank artist probability n_patches resampled_from_hz note failed"
        writer.writerow(columns.split())
        for p in predictions:
            about = (p.n_patches, p.resampled_from_hz, p.note, p.failed)
            for rank, (artist, share) in enumerate(p.artists or [("", "")], 1):
                writer.writerow((p.path, rank if artist else "", artist, share, *about))
    else:
        raise ValueError(f"form = {form!r}; there are text, json, csv")
    return text.getvalue().encode(errors="backslashreplace").decode()
