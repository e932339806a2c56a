"""Tracks that have patches -> their artists, and their parts: train, valid and test.

A track is named by the path of its audio file, with forward slashes.
"""

import csv
import os
import posixpath
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import map_rows
from .files import find_files, read_json
from .patches import PATCH_SIZE
from .shards import MANIFEST, Shards

SPLITS = ("train", "valid", "test")
SUFFIX = ".mel.npy"
UNFINISHED = ".unfinished"  # in a folder of patch files as long as not all are there


class Track(NamedTuple):
    """A track that has patches and a label."""

    name: str  # path of the audio file in its folder
    artist: str
    group: str  # tracks of one group go to the same part; a track without group is its own


class PatchFiles:
    """The tracks of a folder that holds a ``.mel.npy`` for each; see also `shards.Shards`.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    names : list of str
        Of the audio files, sorted; none if the folder is not there.

    Raises
    ------
    ValueError
        If a folder cannot be read: its tracks would go missing without a word.
    """

    def __init__(self, folder):
        self.folder = folder
        names = []
        if os.path.exists(folder):
            try:
                names = find_files(folder, (SUFFIX,))
            except OSError as error:
                raise ValueError(f"{folder}: cannot be read ({error})") from error
        self.names = [name.removesuffix(SUFFIX) for name in names]

    def open(self, name):
        """Return (patches, settings) of a track; DamagedFileError if they are damaged."""
        path = self.folder / f"{name}{SUFFIX}"
        return map_rows(path, np.float32, (PATCH_SIZE,)), _read_settings(path)


def open_patches(patch_dir):
    """Open what `extraction.extract_folder` wrote: PatchFiles or Shards.

    Raises
    ------
    ValueError
        If the extraction has not ended, the folder cannot be read, or holds both.
    """
    patch_dir = Path(patch_dir)
    if (patch_dir / UNFINISHED).exists():
        raise ValueError(f"{patch_dir}: not all patches are there; extract again")
    files = PatchFiles(patch_dir)
    if not (patch_dir / MANIFEST).exists():
        return files
    if files.names:
        raise ValueError(
            f"{patch_dir}: holds shards, and the file {files.names[0]}{SUFFIX}; keep one of the two"
        )
    return Shards(patch_dir)


def label_tracks(patch_dir, labels="folder", only=None):
    """Give every track that has patches its artist.

    Parameters
    ----------
    patch_dir : str, os.PathLike, PatchFiles or Shards
        Folder that `extraction.extract_folder` wrote, or what `open_patches` returned for it.
    labels : {"folder", "filename"} or path of a CSV file
        "folder": the first folder of the track's path. "filename": the first 18 characters of its
        name, as in 2013. CSV, UTF-8: columns path (of the audio file in its folder), artist and,
        optionally, group, such as the album; tracks of one group stay together even if their
        artists differ.
    only : container of str, optional
        Names of the tracks to take. Without it all are taken.

    Returns
    -------
    tracks : list of Track
        Sorted by name.
    left_out : list of (str, reason)
        Tracks without an artist, and CSV rows without patches.
    """
    if isinstance(patch_dir, (str, os.PathLike)):
        patch_dir = open_patches(patch_dir)
    names = patch_dir.names
    if only is not None:
        names = sorted(set(only).intersection(names))
    if not names:
        raise ValueError(
            f"{patch_dir.folder}: holds no patch file (*{SUFFIX}) and no shard of patches; extract "
            "the audio first"
        )
    if labels == "folder":
        rows = {name: (sys.intern(name.split("/")[0]), "") for name in names if "/" in name}
        missing = "lies in no artist's folder"
    elif labels == "filename":
        files = {name: name.split("/")[-1] for name in names}
        rows = {n: (sys.intern(file[:18]), "") for n, file in files.items() if len(file) >= 18}
        missing = "its name is shorter than 18 characters"
    else:
        rows, missing = _read_labels(labels), f"no artist in {labels}"
    tracks = [Track(n, rows[n][0], rows[n][1] or n) for n in names if n in rows and rows[n][0]]
    left_out = [(name, missing) for name in names if not rows.get(name, ("",))[0]]
    return tracks, left_out + [(n, "no patch file") for n in sorted(set(rows) - set(names))]


def _read_labels(path):
    """Read a CSV file of labels: a dict from path to (artist, group)."""
    rows = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if not {"path", "artist"} <= set(columns):
                raise ValueError(f"its columns are {columns}; path, artist[, group] are needed")
            for row in reader:
                name, artist, group = (row.get(c) or "" for c in ("path", "artist", "group"))
                name = posixpath.normpath(name.strip())
                label = artist.strip(), group.strip()
                if rows.setdefault(name, label) != label:
                    raise ValueError(f"line {reader.line_num}: {name!r} has another label above")
    except OSError as error:
        raise ValueError(
            f"labels = {str(path)!r}: 'folder', 'filename' or a CSV file is needed ({error})"
        ) from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    return rows


def split_tracks(tracks, seed):
    """Split by track, or group: 20 % test, then 20 % of the rest valid, as in 2013.

    The groups are shuffled, then put in order of their artists, and every fifth is taken. So the
    share of each artist is right to within one group, and an artist of fewer than five groups may
    be absent from valid or test.

    Returns
    -------
    dict of str to list of Track
        "train", "valid" and "test", each shuffled.

    Examples
    --------
    >>> tracks = [Track(f"{a}/{i}", a, f"{a}/{i}") for a in "abcd" for i in range(25)]
    >>> {name: len(split) for name, split in split_tracks(tracks, seed=0).items()}
    {'train': 64, 'valid': 16, 'test': 20}
    """
    tracks, artists = sorted(tracks), sorted({track.artist for track in tracks})
    groups = {}  # group -> its artist, or the first of its artists
    for track in tracks:
        groups.setdefault(track.group, track.artist)
    if len(artists) < 2 or len(groups) < 3:
        raise ValueError(
            f"{len(artists)} artist(s) and {len(groups)} track(s), or groups of tracks, are "
            "labelled; at least 2 artists and 3 tracks are needed, better 5 tracks of each artist"
        )
    rng = np.random.RandomState(seed)
    rank = dict(zip(artists, rng.permutation(len(artists))))
    names = list(groups)
    names = [names[i] for i in rng.permutation(len(names))]
    names.sort(key=lambda name: rank[groups[name]])
    # scikit-learn's StratifiedKFold would do, but refuses artists of four groups; its
    # train_test_split refuses a valid set with fewer tracks than artists.
    part = dict.fromkeys(names[::5], "test")
    rest = [name for name in names if name not in part]
    part |= dict.fromkeys(rest, "train") | dict.fromkeys(rest[::5], "valid")
    splits = {name: [] for name in SPLITS}
    for i in rng.permutation(len(tracks)):
        splits[part[tracks[i].group]].append(tracks[i])
    if len({track.artist for track in splits["train"]}) < 2:
        raise ValueError(f"train holds 1 artist of {len(artists)}; add tracks of every artist")
    return splits


def _read_settings(path):
    """Return the settings the patches were made with; None if there is no .json, as in 2013."""
    try:
        return read_json(path.with_suffix(".json"), settings=dict)["settings"]
    except FileNotFoundError:
        return None
