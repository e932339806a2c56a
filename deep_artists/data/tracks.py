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
GROUPS = ("album", "folder", "none")
# Of a CSV file of labels: names of the columns with path, artist and group, in lower case.
COLUMNS = (
    ("path", "filename", "file", "track"),
    ("artist", "label"),
    ("group", "album", "release"),
)
# Folders in which GTZAN and artist20 keep those of their labels.
EXTRA_LEVELS = {"genres_original", "genres", "mp3s-32k"}


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

    def read_tags(self):
        """Yield (name, what the audio file names: artist and album); None if it was not kept."""
        for name in self.names:
            try:
                yield name, read_json(self.folder / f"{name}.mel.json").get("tags")
            except FileNotFoundError:
                yield name, None


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


def label_tracks(patch_dir, labels="folder", only=None, group="album"):
    """Give every track that has patches its artist.

    Parameters
    ----------
    patch_dir : str, os.PathLike, PatchFiles or Shards
        Folder that `extraction.extract_folder` wrote, or what `open_patches` returned for it.
    labels : {"folder", "tags", "filename"} or path of a CSV file
        "folder": the first folder of the track's path is the artist, the second, where there is
        one, the album. "tags": the artist and the album that the file itself names. "filename": the
        first 18 characters of its name, as in 2013. CSV, UTF-8: columns path (of the audio file in
        its folder), artist and, optionally, group, such as the album, or other names for them
        (see `COLUMNS`); or the tracks.csv of FMA.
    only : container of str, optional
        Names of the tracks to take. Without it all are taken.
    group : {"album", "folder", "none"}
        What stays together: the tracks of an album, even if their artists differ, of the folder
        that a track lies in, or nothing.

    Returns
    -------
    tracks : list of Track
        Sorted by name.
    left_out : list of (str, reason)
        Tracks without an artist, and CSV rows without patches.
    """
    if isinstance(patch_dir, (str, os.PathLike)):
        patch_dir = open_patches(patch_dir)
    if group not in GROUPS:
        raise ValueError(f"group = {group!r}; there are {', '.join(GROUPS)}")
    names = patch_dir.names
    if only is not None:
        names = sorted(set(only).intersection(names))
    if not names:
        raise ValueError(
            f"{patch_dir.folder}: holds no patch file (*{SUFFIX}) and no shard of patches; extract "
            "the audio first"
        )
    if labels == "folder":
        rows, missing = _label_by_folder(names), "lies in no artist's folder"
    elif labels == "tags":
        rows, missing = _label_by_tags(patch_dir, set(names)), "its file names no artist"
    elif labels == "filename":
        files = {name: name.split("/")[-1] for name in names}
        rows = {n: (sys.intern(file[:18]), "") for n, file in files.items() if len(file) >= 18}
        missing = "its name is shorter than 18 characters"
    else:
        rows, missing = _read_labels(labels, names), f"no artist in {labels}"
    groups = {
        "album": lambda name: rows[name][1] or name,
        "folder": lambda name: posixpath.dirname(name) or name,
        "none": lambda name: name,
    }[group]
    tracks = [Track(n, rows[n][0], groups(n)) for n in names if n in rows and rows[n][0]]
    left_out = [(name, missing) for name in names if not rows.get(name, ("",))[0]]
    return tracks, left_out + [(n, "no patch file") for n in sorted(set(rows) - set(names))]


def _label_by_folder(names):
    """Return (artist, album or "") of the tracks that lie in a folder."""
    folders = {name: name.split("/")[:-1] for name in names}
    first = {path[0] if path else "" for path in folders.values()}
    if first <= EXTRA_LEVELS:
        folders = {name: path[1:] for name, path in folders.items()}
    elif len(first) == 1 and first != {""} and any(len(path) > 1 for path in folders.values()):
        [artist] = first
        raise ValueError(
            f"all {len(names)} tracks lie in the folder {artist!r}, which would be the only "
            "artist; if its sub-folders are the artists, extract the audio from there"
        )
    return {
        name: (sys.intern(path[0]), sys.intern("/".join(path[:2])) if len(path) > 1 else "")
        for name, path in folders.items()
        if path
    }


def _label_by_tags(patches, names):
    """Return (artist, album or "") of the tracks whose file names an artist."""
    rows = {}
    for name, tags in patches.read_tags():
        if name not in names:
            continue
        if tags is None:
            raise ValueError(
                f"{name}: its patches were made before tags were kept with them; extract the audio "
                "into a new folder"
            )
        artist, album = tags.get("artist", ""), tags.get("album", "")
        if artist:
            rows[name] = (sys.intern(artist), sys.intern(f"{artist}/{album}") if album else "")
    return rows


def _read_labels(path, names):
    """Read a CSV file of labels: a dict from path to (artist, group)."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header[:1] == [""] and "artist" in header:
                return _read_fma(reader, header, names)
            rows = _read_rows(reader, header)
    except OSError as error:
        raise ValueError(
            f"labels = {str(path)!r}: 'folder', 'tags', 'filename' or a CSV file is needed "
            f"({error})"
        ) from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    if rows and not rows.keys() & set(names):
        raise ValueError(
            f"{path}: none of its {len(rows)} paths is that of a track; it has "
            f"{next(iter(rows))!r}, the tracks are like {names[0]!r}"
        )
    return rows


def _read_rows(reader, header):
    found = [name.strip().lower() for name in header]
    places = [next((found.index(n) for n in names if n in found), None) for names in COLUMNS]
    if None in places[:2]:
        raise ValueError(
            f"its columns are {header}; path, artist[, group] are needed, or other names for them: "
            + "; ".join(" ".join(names) for names in COLUMNS)
        )
    rows = {}
    for row in reader:
        if not row:
            continue
        cells = [row[i].strip() if i is not None and i < len(row) else "" for i in places]
        name, label = posixpath.normpath(cells[0]), tuple(cells[1:])
        if rows.setdefault(name, label) != label:
            raise ValueError(f"line {reader.line_num}: {name!r} has another label above")
    return rows


def _read_fma(reader, header, names):
    """Read FMA's tracks.csv, whose columns have two names: those of the tracks that are there.

    A track is named by its number: 000/000002.mp3.
    """
    columns = list(zip(header, next(reader, [])))
    if ("artist", "name") not in columns or ("album", "id") not in columns:
        raise ValueError("has columns artist/... like FMA's, but no artist/name and album/id")
    artist, album = columns.index(("artist", "name")), columns.index(("album", "id"))
    numbers = {posixpath.splitext(posixpath.basename(name))[0]: name for name in names}
    rows = {}
    for row in reader:
        name = numbers.get(row[0].zfill(6)) if row else None
        if name is not None and len(row) == len(header):
            known = row[album].strip() not in ("", "-1")
            rows[name] = row[artist].strip(), f"album {row[album].strip()}" if known else ""
    return rows


def find_doubts(tracks):
    """Return what looks wrong about artists, in sentences.

    >>> find_doubts([Track("000/2.mp3", "000", ""), Track("001/9.mp3", "001", "")])[0][:42]
    'the names of all artists are numbers (000,'
    """
    artists = sorted({track.artist for track in tracks})
    doubts = []
    if all(artist.isdecimal() for artist in artists):
        doubts.append(
            f"the names of all artists are numbers ({', '.join(artists[:3])} ...); the folders of "
            "FMA are none: its fma_metadata/tracks.csv is a CSV file of labels"
        )
    spellings = {}
    for artist in artists:
        spellings.setdefault("".join(artist.casefold().split()), []).append(artist)
    doubts += [
        f"{' and '.join(map(repr, same))} are taken for different artists"
        for same in spellings.values()
        if len(same) > 1
    ]
    return doubts


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
        raise ValueError(
            f"train holds 1 label of {len(artists)}; add tracks of every artist or genre"
        )
    return splits


def _read_settings(path):
    """Return the settings the patches were made with; None if there is no .json, as in 2013."""
    try:
        return read_json(path.with_suffix(".json"), settings=dict)["settings"]
    except FileNotFoundError:
        return None
