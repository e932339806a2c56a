"""Patches of many tracks in one file: a million tracks in some thousand files.

``shard-<id>.npy`` holds the patches of some hundred tracks that follow each other in sorted
order, float32 (n, 2560), and ``shard-<id>.json`` beside it says where each track starts, from
which audio it was made (SHA-256), with which settings and versions, and what failed.
``shards.json`` lists the shards once all are there; any other shard in the folder is not part of
it, and may be deleted.

A shard ends where the hash of a track's name says so, and is named by that hash. So tracks that
are added or removed alter the shards they lie in, and no others.
"""

import bisect
import hashlib
import io
import json
import os

import numpy as np

from .files import new_file
from .patches import PATCH_SIZE, SETTINGS

FORMAT = 1
MANIFEST = "shards.json"


def cut_shards(sources, n_tracks):
    """Yield (id, sources) of shards of about `n_tracks` tracks: half of it at least, at most twice.

    Examples
    --------
    >>> names = [f"{i:03}.ogg" for i in range(200)]
    >>> [len(shard) for _, shard in cut_shards(names, 40)]
    [24, 30, 64, 27, 36, 19]
    >>> [len(shard) for _, shard in cut_shards(["000a.ogg", *names], 40)]
    [25, 30, 64, 27, 36, 19]
    """
    half, shard = max(1, n_tracks // 2), []
    for source in sources:
        shard.append(source)
        digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
        if len(shard) >= half and (int(digest, 16) % half == 0 or len(shard) >= 2 * n_tracks):
            yield digest, shard
            shard = []
    if shard:
        yield digest, shard


def write_shard(path, tracks, failed):
    """Write a shard and its index.

    Parameters
    ----------
    path : Path
        Ends in ``.npy``.
    tracks : iterable of (dict, np.ndarray [shape=(n_patches, 2560), dtype=float32])
        What is to be said of a track: ``source``, ``source_sha256``, ``versions`` and more; and
        its patches.
    failed : dict of str to str
        Source to reason. Read after the tracks, which may add to it.
    """
    index, n = [], 0
    for unfinished in path.parent.glob(f".{path.stem}.*.tmp"):  # of a process that was killed
        unfinished.unlink(missing_ok=True)
    with new_file(path, f"{path.stem}.") as file:
        file.write(make_header(0))
        for track, patches in tracks:
            index.append(track | dict(start=n, n_patches=len(patches)))
            file.write(np.ascontiguousarray(patches, np.float32).data)
            n += len(patches)
        file.seek(0)
        file.write(make_header(n))
        path.with_suffix(".json").unlink(missing_ok=True)  # or, interrupted, it vouches for others
    write_index(path, index, failed)


def make_header(n):
    """Return the start of an .npy file of n patches, as long for any n."""
    header = io.BytesIO()
    about = dict(descr="<f4", fortran_order=False, shape=(n, PATCH_SIZE))
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def write_index(path, tracks, failed):
    """Write what vouches for a shard: its tracks, in the order of their patches."""
    versions = []  # a few, which the tracks name by their place
    for track in tracks:
        if track["versions"] not in versions:
            versions.append(track["versions"])
    tracks = [track | dict(versions=versions.index(track["versions"])) for track in tracks]
    index = dict(format=FORMAT, settings=SETTINGS, versions=versions, tracks=tracks)
    index |= dict(failed=sorted(failed.items()))
    with new_file(path.with_suffix(".json")) as file:
        file.write(json.dumps(index).encode())


def read_index(path):
    """Return the index of a shard.

    Raises
    ------
    EOFError
        If it is missing or damaged.
    """
    try:
        index = json.loads(path.with_suffix(".json").read_bytes())
        if index["format"] != FORMAT:
            raise ValueError(f"its format is {index['format']}; this program reads {FORMAT}")
        for track in index["tracks"]:
            track["versions"] = index["versions"][track["versions"]]
            track["source"], track["source_sha256"], track["start"] + track["n_patches"]
        index["settings"], index["failed"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EOFError(f"{path.with_suffix('.json')}: {error!r}") from error
    return index


def read_shard(path):
    """Return what a shard holds that is good today: (tracks by source, patches, failed).

    Nothing of a shard that is missing, damaged or of other settings.
    """
    try:
        index = read_index(path)
        patches = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    tracks = index["tracks"]
    n = sum(track["n_patches"] for track in tracks)
    if index["settings"] != SETTINGS or patches.shape != (n, PATCH_SIZE):
        return None
    return {track["source"]: track for track in tracks}, patches, index["failed"]


class Shards:
    """The tracks of a folder of shards.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    names : list of str
        Of the audio files, sorted.

    Raises
    ------
    ValueError
        If the extraction that writes the folder has not ended, or an index is damaged.
    """

    def __init__(self, folder):
        self.folder, self.shards, self.settings, tracks = folder, [], [], []
        try:
            for shard in (read_manifest(folder) or {})["shards"]:
                path = folder / f"shard-{shard}.npy"
                index = read_index(path)
                places = [(t["source"], t["start"], t["n_patches"]) for t in index["tracks"]]
                tracks += [(name, len(self.shards), start, n) for name, start, n in places]
                self.shards.append(path)
                self.settings.append(index["settings"])
        except (EOFError, LookupError) as error:
            raise ValueError(
                f"{folder}: not all shards are there ({error}); extract again"
            ) from error
        tracks.sort()
        self.names = [name for name, *_ in tracks]
        self._places = np.array([place for _, *place in tracks], np.int64).reshape(-1, 3)

    def open(self, name):
        """Return (patches, settings) of a track; EOFError if they are damaged."""
        shard, start, n = self._places[bisect.bisect_left(self.names, name)].tolist()
        path = self.shards[shard]
        try:
            patches = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise EOFError(f"{path}: {error}") from error
        if patches.dtype != np.float32 or patches.shape[1:] != (PATCH_SIZE,):
            raise EOFError(f"{path}: holds {patches.dtype} {patches.shape}")
        if len(patches) < start + n:
            raise EOFError(f"{path}: holds {len(patches)} patches; {start + n} are needed")
        return patches[start : start + n], self.settings[shard]


def read_manifest(folder):
    """Return what is said of all the shards of a folder; None if it holds none.

    Returns
    -------
    dict
        ``format`` int, ``shard_tracks`` int and, once all are there, ``shards``: list of str, ids.
    """
    path = folder / MANIFEST
    try:
        manifest = dict(json.loads(path.read_bytes()))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}; this program reads {FORMAT}")
        manifest["shard_tracks"]
    except OSError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: is damaged ({error!r}); delete it and extract again") from error
    return manifest


def write_manifest(folder, **about):
    with new_file(folder / MANIFEST) as file:
        file.write(json.dumps(dict(format=FORMAT, **about), indent=1).encode())
