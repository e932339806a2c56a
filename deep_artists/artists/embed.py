"""Recordings and a model -> embeddings: a row for every recording, or one for every patch."""

import numbers
import os
import warnings

import numpy as np

from ..data.mel import HOP_LENGTH, SR_HZ
from ..data.patches import N_FRAMES, PATCH_SIZE, AudioError, cut_mel, read_mel
from ..data.progress import Progress
from ..data.workers import check_jobs, run_tasks

AGGREGATES = ("none", "mean", "meanstd")


def embed(model, x, layer, aggregate, clip, hop_s, on_error, parameters, jobs):
    """Do what `Model.embed` says."""
    if aggregate not in AGGREGATES:
        raise ValueError(f"aggregate = {aggregate!r}; there are {', '.join(AGGREGATES)}")
    if on_error not in ("raise", "nan"):
        raise ValueError(f"on_error = {on_error!r}; there are 'raise' and 'nan'")
    check_jobs(jobs)
    clip = model.recipe.clip if clip is None else clip
    hop_frames = count_hop_frames(hop_s)
    recordings, is_one = list_recordings(x)
    # Compiles, and refuses an unknown layer, before any audio is read.
    width = model.transform(np.zeros((0, PATCH_SIZE)), layer, parameters).shape[1]
    rows, times_s, failed = [], [], []

    def transform(patches):
        return model.transform(patches, layer, parameters)

    tasks = ((recording, clip) for recording in recordings)
    mels = run_tasks(jobs, len(recordings), read_recording, tasks)
    with Progress("embed", len(recordings), "recording", shown=not is_one, kept=False) as bar:
        for recording, (mel, start_s) in zip(recordings, mels):
            try:
                frames = compute_frames(transform, recording, mel, start_s, hop_frames)
            except AudioError as error:
                if on_error == "raise":
                    raise
                failed.append(str(error))
                frames, start_s = np.full((1, width), np.nan, model.floatX), np.nan
            rows.append(frames if aggregate == "none" else summarise(frames, aggregate))
            times_s.append(start_s + np.arange(len(frames)) * (hop_frames * HOP_LENGTH / SR_HZ))
            bar.update()
    if failed:
        warnings.warn(
            f"{len(failed)} of {len(recordings)} recordings could not be used, and are NaN; the "
            f"first: {failed[0]}",
            RuntimeWarning,
            stacklevel=3,
        )
    if aggregate == "none":
        return (rows[0], times_s[0]) if is_one else (rows, times_s)
    width *= 2 if aggregate == "meanstd" else 1
    return rows[0] if is_one else np.array(rows, model.floatX).reshape(-1, width)


def compute_frames(transform, recording, mel, start_s, hop_frames):
    """Return a row for every patch; AudioError with the reason if there are none."""
    if mel is None:
        raise AudioError(start_s)
    frames = np.concatenate([transform(patches) for patches in cut_mel(mel, hop_frames)])
    if not np.isfinite(frames).all():
        name = "audio array" if isinstance(recording, tuple) else os.fspath(recording)
        raise AudioError(f"{name}: the model gives values that are not finite")
    return frames


def summarise(frames, aggregate):
    """Return the mean over patches, or the mean followed by the standard deviation.

    >>> summarise(np.array([[0.0, 4.0], [2.0, 4.0]]), "meanstd")
    array([1., 4., 1., 0.])
    """
    statistics = [frames.mean(axis=0, dtype=np.float64)]
    if aggregate == "meanstd":
        statistics.append(frames.std(axis=0, dtype=np.float64))
    return np.concatenate(statistics).astype(frames.dtype)


def count_hop_frames(hop_s):
    """Return the whole frames, of 128 / 22050 s, between the beginnings of two patches.

    >>> count_hop_frames(None), count_hop_frames(0.1)
    (40, 17)
    """
    if hop_s is None:
        return N_FRAMES
    if not isinstance(hop_s, numbers.Real) or not 0 < hop_s < float("inf"):
        raise ValueError(f"hop_s = {hop_s!r}; a positive number of seconds is needed")
    return max(1, round(float(hop_s) * SR_HZ / HOP_LENGTH))


def list_recordings(x):
    """Return a list of paths and (y, sr), and whether x is one of them by itself.

    >>> list_recordings("a.wav"), list_recordings(["a.wav", "a.wav"])
    ((['a.wav'], True), (['a.wav', 'a.wav'], False))
    """
    if is_recording(x):
        return [x], True
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiu":
        raise ValueError("x is an array of numbers; give the sample rate too, as (y, sr)")
    try:
        recordings = list(x)
    except TypeError:
        recordings = [x]
    for recording in recordings:
        if not is_recording(recording):
            raise ValueError(
                f"{str(recording)[:60]!r}: a path, (y, sr) or a list of them is needed"
            )
    return recordings, False


def is_recording(x):
    if isinstance(x, tuple) and len(x) == 2:
        return isinstance(x[1], numbers.Real)  # else two paths
    return isinstance(x, (str, os.PathLike))


def read_recording(recording, clip):
    """Return (mel, start_s) of a recording, or (None, reason)."""
    audio, sr = recording if isinstance(recording, tuple) else (recording, None)
    try:
        return read_mel(audio, sr, clip)
    except (AudioError, OSError) as error:
        return None, str(error)
