"""Chord annotations beside sound files: read them, give every frame its label, write them.

``song.lab`` beside ``song.wav`` has a line for each segment: start and end in seconds, and a label
in Harte's syntax, with blanks between them. ``song.jams`` holds the same as JSON (namespaces
``chord`` and ``chord_harte``); it needs the package jams.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import find_files, new_file
from ..patches import AUDIO_SUFFIXES
from .vocabulary import INSTALL

ANNOTATION_SUFFIXES = (".lab", ".jams")
# By how much a last segment may outlast its audio: files lose their end when they are coded.
SLACK_S = 1.0
OVERLAP_S = 1e-3  # by which rounded times may overlap


class AnnotationError(ValueError):
    """An annotation that cannot be used; the message says why."""


class Segments(NamedTuple):
    """The segments of a track, in order of time."""

    intervals: np.ndarray  # (n, 2), seconds
    labels: list  # of str


def read_segments(path):
    """Read an annotation.

    Parameters
    ----------
    path : str or path
        Of a .lab or .jams file.

    Returns
    -------
    Segments

    Raises
    ------
    AnnotationError
        If it is damaged or empty, or if segments overlap or have no positive length.
    RuntimeError
        If it is a .jams file and jams is not installed.
    """
    path = Path(path)
    rows = _read_jams(path) if path.suffix.lower() == ".jams" else _read_lab(path)
    if not rows:
        raise AnnotationError(f"{path}: holds no chord segments")
    rows.sort(key=lambda row: row[:2])
    intervals = np.array([row[:2] for row in rows], np.float64)
    if not np.isfinite(intervals).all() or intervals.min() < 0:
        raise AnnotationError(f"{path}: holds a time that is negative, NaN or infinite")
    for start, end, label in rows:
        if end <= start:
            raise AnnotationError(
                f"{path}: the segment {start:g} - {end:g} s ({label}) has no length"
            )
    late = np.flatnonzero(intervals[1:, 0] < intervals[:-1, 1] - OVERLAP_S)
    if len(late):
        (start, end), (after, _) = intervals[late[0] : late[0] + 2]
        raise AnnotationError(
            f"{path}: segments overlap: one lasts from {start:g} to {end:g} s, the next starts at "
            f"{after:g} s"
        )
    return Segments(intervals, [row[2] for row in rows])


def _read_lab(path):
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.split(maxsplit=2)
        try:
            rows.append((float(parts[0]), float(parts[1]), parts[2].strip()))
        except (ValueError, IndexError) as error:
            raise AnnotationError(
                f"{path}: line {number} is {line.strip()!r}; start, end and label are needed"
            ) from error
    return rows


def _read_jams(path):
    jams = import_jams()
    try:
        found = jams.load(str(path), validate=False)
        annotations = [a for a in found.annotations if a.namespace in ("chord", "chord_harte")]
        # Several annotators: the first one counts.
        data = annotations[0].data if annotations else []
        return [(o.time, o.time + o.duration, str(o.value)) for o in data]
    except Exception as error:  # jams raises what its parts raise
        raise AnnotationError(f"{path}: cannot be read as JAMS ({error})") from error


def import_jams():
    """Return jams, or say what to install."""
    try:
        import jams
    except ImportError as error:
        raise RuntimeError(f"jams is not there, which reads and writes .jams: {INSTALL}") from error
    return jams


def check_length(segments, duration_s, path):
    """Raise AnnotationError where an annotation outlasts its audio: it is that of another piece."""
    end = segments.intervals[-1, 1]
    if end > duration_s + SLACK_S:
        raise AnnotationError(
            f"{path}: lasts until {end:.1f} s, its audio {duration_s:.1f} s: it is that of another "
            "piece, or the audio was cut"
        )


def label_frames(segments, times):
    """Return the label at each time: that of the segment that holds it, N outside all.

    Parameters
    ----------
    segments : Segments
    times : np.ndarray [shape=(n,)]
        Seconds.

    Returns
    -------
    list of str [n]

    Examples
    --------
    >>> segments = Segments(np.array([[0.0, 1.0], [2.0, 3.0]]), ["C:maj", "A:min"])
    >>> label_frames(segments, np.array([0.5, 1.5, 2.0, 3.0]))
    ['C:maj', 'N', 'A:min', 'N']
    """
    starts, ends = segments.intervals.T
    i = np.searchsorted(starts, times, side="right") - 1
    inside = (i >= 0) & (times < ends[np.maximum(i, 0)])
    return [segments.labels[k] if within else "N" for k, within in zip(i, inside)]


def pair_files(audio_dir):
    """List the sound files of a folder with the annotations beside them.

    Parameters
    ----------
    audio_dir : str or path

    Returns
    -------
    pairs : list of (str, str)
        Sound file and annotation, relative to the folder, in sorted order; .lab before .jams.
    left_out : list of (str, str)
        A sound file without annotation, or an annotation without a sound file, and the reason.

    Raises
    ------
    ValueError
        If the folder is none.
    """
    folder = Path(audio_dir)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; one with sound files and .lab files is needed")
    annotations = {}
    for suffix in reversed(ANNOTATION_SUFFIXES):
        annotations |= {name[: -len(suffix)]: name for name in find_files(folder, (suffix,))}
    pairs, left_out = [], []
    for name in find_files(folder, AUDIO_SUFFIXES):
        stem = name.rpartition(".")[0]
        if stem in annotations:
            pairs.append((name, annotations[stem]))
        else:
            left_out.append((name, "there is no .lab or .jams beside it"))
    used = {annotation for _, annotation in pairs}
    left_out += [
        (name, "there is no sound file beside it")
        for name in annotations.values()
        if name not in used
    ]
    return pairs, sorted(left_out)


def join_frames(labels, times, duration_s):
    """Return segments of equal labels, from the label at each time.

    Parameters
    ----------
    labels : sequence of str [n], n > 0
    times : np.ndarray [shape=(n,)]
        Centres of the frames in seconds, increasing.
    duration_s : float
        Where the last segment ends.

    Returns
    -------
    Segments
        From 0 on without gaps; a change lies half-way between two frames.

    Examples
    --------
    >>> segments = join_frames(["N", "N", "C:maj"], np.array([0.0, 1.0, 2.0]), 2.5)
    >>> segments.intervals.tolist(), segments.labels
    ([[0.0, 1.5], [1.5, 2.5]], ['N', 'C:maj'])
    """
    changes = [i for i in range(1, len(labels)) if labels[i] != labels[i - 1]]
    edges = [0.0, *((times[i - 1] + times[i]) / 2 for i in changes), float(duration_s)]
    intervals = np.array([edges[:-1], edges[1:]]).T
    return Segments(intervals, [labels[i] for i in (0, *changes)])


def write_segments(segments, path):
    """Write segments as .lab, or as .jams where the name ends so.

    Raises
    ------
    RuntimeError
        If .jams is asked for and jams is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".jams":
        jams = import_jams()
        annotation = jams.Annotation("chord")
        for (start, end), label in zip(segments.intervals, segments.labels):
            annotation.append(time=start, duration=end - start, value=label)
        document = jams.JAMS(annotations=[annotation])
        document.file_metadata.duration = float(segments.intervals[-1, 1])
        text = document.dumps(indent=1)
    else:
        lines = (
            f"{start:.6f}\t{end:.6f}\t{label}\n"
            for (start, end), label in zip(segments.intervals, segments.labels)
        )
        text = "".join(lines)
    with new_file(path) as file:
        file.write(text.encode())
