"""Sound files and a model -> features for another task.

A feature is a layer's output for every patch of a track, or its mean and standard deviation over
the track. The network never saw a label of the other task.
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

import numpy as np

from ..artists.model import Model
from ..data.files import new_file
from ..data.patches import AudioError
from .predict import Paths, compute_tracks

AGGREGATES = ("none", "mean", "meanstd")


class Features(NamedTuple):
    """What a layer makes of tracks."""

    features: np.ndarray  # (rows, k), of the model's dtype
    track: np.ndarray  # (rows,) int64, index into track_names
    track_names: list  # of str, the paths
    failed: list  # of (path, reason)


def extract_features(
    model: Model,
    paths: Paths,
    layer: str = "hidden",
    aggregate: str = "mean",
    parameters: str = "best",
    jobs: int = 1,
    scratch: str | os.PathLike | None = None,
) -> Features:
    """Compute what a layer makes of audio files: features for other tasks.

    Parameters
    ----------
    model : Model
    paths : list of str or path
        Files and folders, see `predict.find_audio`.
    layer : {'pool', 'hidden', 'proba'}
        See `Model.transform`.
    aggregate : {'none', 'mean', 'meanstd'}
        A row for every patch, in time order; or for every track the mean over its patches, or the
        mean followed by the standard deviation.
    parameters : {'best', 'last'}
    jobs : int
        See `predict.predict_tracks`.
    scratch : str or path, optional
        Keep the rows in an unnamed file in this folder instead of in memory. The features are then
        memory-mapped, and the file is deleted together with them.

    Returns
    -------
    Features

    Raises
    ------
    AudioError
        If a path does not exist, a folder holds no audio, or no file could be used.
    ValueError
        If the layer or the aggregate is unknown, or the model has no such layer.
    """
    if aggregate not in AGGREGATES:
        raise ValueError(f"aggregate = {aggregate!r}; there are {', '.join(AGGREGATES)}")
    rows, counts, names, failed = [], [], [], []
    file = None if scratch is None else tempfile.TemporaryFile(dir=os.fspath(scratch))

    def transform(x):
        return model.transform(x, layer, parameters)

    for path, facts, x in compute_tracks(transform, paths, jobs, model.recipe.clip):
        if x is None:
            failed.append((path, facts))
            continue
        if aggregate != "none":
            statistics = [x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)]
            x = np.concatenate(statistics[: 1 + (aggregate == "meanstd")])[None].astype(x.dtype)
        width = x.shape[1]
        if file is None:
            rows.append(x)
        else:
            file.write(np.ascontiguousarray(x).data)
        counts.append(len(x))
        names.append(path)
    if not names:
        raise AudioError(f"no file could be used; {failed[0][0]}: {failed[0][1]}")
    track = np.repeat(np.arange(len(names)), counts)
    if file is None:
        features = np.concatenate(rows)
    else:
        features = np.memmap(file, model.floatX, "r+", shape=(len(track), width))
    return Features(features, track, names, failed)


def save_features(features, path, **about):
    """Write features to an .npz file, under a temporary name first; nothing in it is pickled.

    Parameters
    ----------
    features : Features
        Saved as ``features``, ``track`` and ``track_names``, row i belonging to
        ``track_names[track[i]]``.
    path : str or path
    **about : str
        More to save, as ``layer="hidden"``.
    """
    x, track, track_names, _ = features
    with new_file(path) as file:
        np.savez(file, features=x, track=track, track_names=np.array(track_names, str), **about)
