"""Folders of sound files with chord annotations: read them as frames, train on them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.chords import cqt
from ..data.chords.annotations import (
    AnnotationError,
    check_length,
    label_frames,
    pair_files,
    read_segments,
)
from ..data.patches import AudioError
from .chroma_learner import ChromaLearner


@dataclass
class Frames:
    """The frames of a folder, and what of it could not be used.

    Attributes
    ----------
    x : np.ndarray [shape=(frames, 192)]
    labels : np.ndarray of str [shape=(frames,)]
    track : np.ndarray of int [shape=(frames,)]
        Position in `names`.
    times : np.ndarray [shape=(frames,)]
        Seconds.
    names : list of str
        Sound files used.
    left_out : list of (str, str)
        File and reason.
    """

    x: np.ndarray = None
    labels: np.ndarray = None
    track: np.ndarray = None
    times: np.ndarray = None
    names: list = field(default_factory=list)
    left_out: list = field(default_factory=list)


def read_frames(audio_dir, n_middle=None, n_frames=None, seed=0):
    """Read the annotated sound files of a folder as labelled constant-Q frames.

    Parameters
    ----------
    audio_dir : str or path
        Sound files, each with its .lab or .jams beside it.
    n_middle : int, optional
        Take so many frames from the middle of every segment instead of all; odd.
    n_frames : int, optional
        Take at most so many random frames of a track; 2013: 250.
    seed : int
        Of that choice.

    Returns
    -------
    Frames

    Raises
    ------
    ValueError
        If no file could be used.
    """
    pairs, left_out = pair_files(audio_dir)
    frames, x, labels, all_times = Frames(left_out=left_out), [], [], []
    for audio, annotation in pairs:
        try:
            segments = read_segments(Path(audio_dir, annotation))
            y = cqt.read_audio(Path(audio_dir, audio))
            check_length(segments, len(y) / cqt.SR_HZ, annotation)
            some = cqt.extract_cqt(y)
        except (AudioError, AnnotationError) as error:
            frames.left_out.append((audio, str(error)))
            continue
        times = np.arange(len(some)) * cqt.HOP_LENGTH / cqt.SR_HZ
        rows = np.arange(len(some))
        if n_middle is not None:
            middle = np.rint(segments.intervals.mean(axis=1) * cqt.SR_HZ / cqt.HOP_LENGTH)
            rows = middle.astype(int)[:, None] + np.arange(n_middle) - n_middle // 2
            rows = np.clip(rows, 0, len(some) - 1).ravel()
        if n_frames is not None and len(rows) > n_frames:
            rng = np.random.RandomState([seed, len(frames.names)])
            rows = np.sort(rng.choice(rows, n_frames, replace=False))
        x.append(some[rows])
        labels += label_frames(segments, times[rows])
        all_times.append(times[rows])
        frames.names.append(audio)
    if not x:
        reasons = "; ".join(reason for _, reason in frames.left_out[:3])
        raise ValueError(f"none of the files in {audio_dir} could be used: {reasons or 'no sound'}")
    frames.x, frames.labels = np.concatenate(x), np.array(labels)
    frames.times = np.concatenate(all_times)
    frames.track = np.repeat(np.arange(len(x)), [len(some) for some in x])
    return frames


def train_folder(audio_dir, n_frames=250, **options):
    """Train on a folder of sound files with annotations beside them.

    Parameters
    ----------
    audio_dir : str or path
    n_frames : int or None
        Random frames of a track, 250 as in 2013; None: all.
    **options
        Of `ChromaLearner`.

    Returns
    -------
    learner : ChromaLearner
    frames : Frames
        What it was trained on, and what was left out.
    """
    learner = ChromaLearner(**options)
    frames = read_frames(audio_dir, n_frames=n_frames, seed=learner.random_state)
    return learner.fit(frames.x, frames.labels), frames
