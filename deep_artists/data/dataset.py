"""Patch files -> a labelled set: train, valid and test, split by track.

A set is a folder: ``train_x.npy`` float32 (n, 2560), ``train_y.npy`` int64, the index into the
sorted label names, ``train_track.npy`` int64, the index into the tracks of train; the same for
valid and test; and ``dataset.json``, which holds the names and says how the set was made. It also
holds the SHA-256 of each x, whose values were checked when it was written. As long as the
modification times of the files match, training relies on that and does not read x beforehand.

As in 2013 the tracks are shuffled and the patches of a track are in time order, so a minibatch
of patches that follow each other comes from one or two tracks.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import map_rows
from .files import DamagedFileError, own_folder, read_json, remove_unfinished
from .patches import PATCH_SIZE
from .tracks import SPLITS, find_doubts, label_tracks, open_patches, split_tracks

FORMAT = 1


class Split(NamedTuple):
    """One of train, valid, test."""

    x: np.ndarray  # (n, 2560) float32, read-only and memory-mapped
    y: np.ndarray  # (n,) int64, index into Dataset.label_names
    track: np.ndarray | None  # (n,) int64, index into Dataset.track_names of this split


@dataclass(frozen=True)
class Dataset:
    """An opened set; iterating gives the three splits in order."""

    train: Split
    valid: Split
    test: Split
    label_names: list  # of str, sorted
    track_names: dict | None  # split name -> list of str; None for a set of 2013
    info: dict  # dataset.json
    # Split name -> SHA-256 of x, where x is unchanged since it was made. Not copied by
    # dataclasses.replace, whose arrays may be others.
    sha256: dict = field(default_factory=dict, init=False)

    def __iter__(self):
        return iter((self.train, self.valid, self.test))


def make_dataset(
    patch_dir: str | os.PathLike,
    out_dir: str | os.PathLike,
    labels: str | os.PathLike = "folder",
    seed: int = 23455,
    only: Container[str] | None = None,
    group: str = "album",
    drop_silence: bool = False,
) -> Dataset:
    """Make a labelled set from patches, split by track.

    Parameters
    ----------
    patch_dir : str or os.PathLike
        Folder that `extraction.extract_folder` wrote. A file for each track and shards make the
        same set.
    out_dir : str or os.PathLike
        Folder of the set. A set that is already there is replaced once the new one is complete.
    labels : {"folder", "tags", "filename"} or path of a CSV file
    only : container of str, optional
    group : {"album", "folder", "none"}
        See `tracks.label_tracks` for these three.
    seed : int
        Seed of the split and of the order of the tracks, 0 to 2**32 - 1.
    drop_silence : bool
        Leave out the patches that are exactly zero.

    Returns
    -------
    Dataset
        ``info["left_out"]`` lists what was left out, ``info["absent"]`` the artists without a
        track in train, valid or test, ``info["doubts"]`` what looks wrong, and ``info["silence"]``
        the tracks with patches that are exactly zero, and their number.

    Raises
    ------
    ValueError
        If there are no patch files, they are not finite float32 (n, 2560), or their settings
        differ; if the labels are neither a rule nor a well-formed CSV file; if there are fewer than
        2 artists or 3 groups, train gets 1 artist only, or valid or test none that train has; or
        if `out_dir` cannot be written, or another process is writing there.
    """
    patches, out_dir = open_patches(patch_dir), Path(out_dir)
    tracks, left_out = label_tracks(patches, labels, only, group)
    silence = {"dropped": drop_silence, "tracks": {}}
    n_patches, settings = _count_patches(patches, tracks, left_out, silence)
    if not n_patches and left_out:
        name, reason = left_out[0]
        raise ValueError(f"{patch_dir}: all {len(left_out)} tracks are left out; {name}: {reason}")
    splits = split_tracks(list(n_patches), seed)
    _check_artists(splits)
    info = _describe(splits, seed, labels, left_out, settings)
    info |= {"group": group, "doubts": find_doubts(list(n_patches)), "silence": silence}
    with own_folder(out_dir):
        remove_unfinished(out_dir)
        temporary = out_dir / f".set.{uuid.uuid4().hex}.tmp"
        try:
            temporary.mkdir()
            _write_set(temporary, patches, splits, n_patches, info)
            (out_dir / "dataset.json").unlink(missing_ok=True)  # a set half replaced must not open
            for path in sorted(temporary.iterdir(), key=lambda path: path.suffix == ".json"):
                os.replace(path, out_dir / path.name)
        except OSError as error:
            raise ValueError(f"{out_dir}: the set cannot be written ({error})") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_dataset(out_dir)


def _count_patches(patches, tracks, left_out, silence):
    """Return the number of patches of every track, and the settings they were made with.

    Tracks that cannot be read or have no patches are added to `left_out`. Where silence is to be
    dropped, its patches do not count, and are counted in `silence`.
    """
    n_patches, settings = {}, None
    for track in tracks:
        try:
            x, made_with = patches.open(track.name)
        except (OSError, DamagedFileError) as error:
            left_out.append((track.name, f"cannot be read: {error}"))
            continue
        if not len(x):
            left_out.append((track.name, "no patches"))
            continue
        settings = settings or made_with
        if made_with and made_with != settings:
            raise ValueError(
                f"{track.name}: has the settings {made_with}, others have {settings}; extract all "
                "alike"
            )
        if silence["dropped"] and (n_silent := _count_silent(silence, track.name, x)) == len(x):
            left_out.append((track.name, "only silence"))
            continue
        n_patches[track] = len(x) - (n_silent if silence["dropped"] else 0)
    return n_patches, settings


def _count_silent(silence, name, x):
    """Return the number of patches that are exactly zero, after noting it."""
    n = int(len(x) - x.any(axis=1).sum())
    if n:
        silence["tracks"][name] = n
    return n


def _check_artists(splits):
    """Raise ValueError if valid or test has no artist that could be learned from train."""
    artists = {name: {track.artist for track in split} for name, split in splits.items()}
    for name in ("valid", "test"):
        if not artists[name] & artists["train"]:
            some = ", ".join(sorted(artists[name])[:5])
            raise ValueError(
                f"train has none of the artists of {name} ({some} ...), so none could be "
                "recognised; every artist needs several tracks, in several groups: give "
                "group='none' (--group none) if it is the albums that are too few"
            )


def _describe(splits, seed, labels, left_out, settings):
    """Return the contents of dataset.json, without the hashes, which `_write_set` adds."""
    artists = {name: {track.artist for track in split} for name, split in splits.items()}
    label_names = sorted(set.union(*artists.values()))
    return {
        "format": FORMAT,
        "label_names": label_names,
        "tracks": {name: [track._asdict() for track in split] for name, split in splits.items()},
        "split": {"by": "group", "test": 0.2, "valid_of_rest": 0.2, "seed": seed},
        "labels": os.fspath(labels),
        "absent": {name: sorted(set(label_names) - artists[name]) for name in SPLITS},
        "left_out": left_out,
        "settings": settings,
        "sha256": {},
        "versions": {"numpy": np.__version__},
    }


def _write_set(folder, patches, splits, n_patches, info):
    """Write the arrays of a set and its dataset.json; add the hashes of x to `info`."""
    label = {artist: y for y, artist in enumerate(info["label_names"])}
    for name, split in splits.items():
        counts = [n_patches[track] for track in split]
        shape = (sum(counts),)
        y = (np.full(n, label[track.artist]) for n, track in zip(counts, split))
        track = (np.full(n, i) for i, n in enumerate(counts))
        x = (_read_track(patches, track.name, info["silence"]) for track in split)
        _write_array(folder / f"{name}_y.npy", np.int64, shape, y)
        _write_array(folder / f"{name}_track.npy", np.int64, shape, track)
        info["sha256"][name] = _write_array(
            folder / f"{name}_x.npy", np.float32, (*shape, PATCH_SIZE), x
        )
    with open(folder / "dataset.json", "w") as file:
        json.dump(info, file, indent=1)
    now = time.time_ns()
    for path in folder.iterdir():
        os.utime(path, ns=(now, now))  # equal times: no file was changed since


def _read_track(patches, name, silence):
    x, _ = patches.open(name)
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: holds NaN or infinity; extract it anew")
    if silence["dropped"]:
        return x[x.any(axis=1)]
    _count_silent(silence, name, x)
    return x


def _write_array(path, dtype, shape, parts):
    """Write an array part by part and return the SHA-256 of its values."""
    digest = hashlib.sha256()
    # Written, not mapped: where the disk is full, a mapping kills the process (SIGBUS).
    with open(path, "wb") as file:
        about = dict(descr=np.dtype(dtype).str, fortran_order=False, shape=shape)
        np.lib.format.write_array_header_1_0(file, about)
        for part in parts:
            part = np.ascontiguousarray(part, dtype)
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def open_dataset(path: str | os.PathLike) -> Dataset:
    """Open a set, memory-mapped and checked, or load a pickled one of 2013.

    Parameters
    ----------
    path : str or os.PathLike
        Folder written by `make_dataset`, or a file of 2013 (.pkl, .pkl.gz, .gz), whose labels
        become the names "0", "1", ... and whose tracks are not known.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If it is no set or a damaged one, has another format, or its arrays do not fit together.
    OSError
        If a file of 2013 cannot be opened.
    """
    path = Path(path)
    if path.suffix in (".pkl", ".gz"):
        from . import legacy

        splits = [Split(x, y, None) for x, y in legacy.load_dataset(path)]
        label_names = [str(i) for i in range(1 + max(int(split.y.max()) for split in splits))]
        train, valid, test = splits
        info = {"format": "2013", "source": str(path)}
        return Dataset(train, valid, test, label_names, None, info)
    try:
        info = read_json(path / "dataset.json", format=int, label_names=list, tracks=dict)
        if info["format"] != FORMAT:
            raise ValueError(f"its format is {info['format']}; this program reads {FORMAT}")
        label_names = info["label_names"]
        if not all(isinstance(name, str) for name in label_names):
            raise ValueError("its label names are no texts")
        track_names = {name: [t["name"] for t in info["tracks"][name]] for name in SPLITS}
        train, valid, test = (
            _open_split(path, name, label_names, track_names[name]) for name in SPLITS
        )
        made_ns = (path / "dataset.json").stat().st_mtime_ns
        sha256 = {
            name: digest
            for name, digest in dict(info.get("sha256", {})).items()
            if (path / f"{name}_x.npy").stat().st_mtime_ns == made_ns
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path}: cannot be opened as a set ({error}); make it (anew) from the patch files"
        ) from error
    datasets = Dataset(train, valid, test, label_names, track_names, info)
    datasets.sha256.update(sha256)
    return datasets


def _open_split(path, name, label_names, track_names):
    arrays = {"x": map_rows(path / f"{name}_x.npy", np.float32, (PATCH_SIZE,))}
    arrays |= {key: map_rows(path / f"{name}_{key}.npy", np.int64, ()) for key in ("y", "track")}
    split = Split(**arrays)
    if not 0 < len(split.x) == len(split.y) == len(split.track):
        lengths = [len(array) for array in split]
        raise ValueError(f"x, y, track of {name} have {lengths} rows; one number, not 0, is needed")
    for key, names in (("y", label_names), ("track", track_names)):
        low, high = arrays[key].min(), arrays[key].max()
        if low < 0 or high >= len(names):
            raise ValueError(f"{name}_{key}.npy holds {low} .. {high} for {len(names)} names")
    return split
