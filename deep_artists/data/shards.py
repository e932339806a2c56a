"""Patches of many tracks in one file: a million tracks in some thousand files.

``shard-<id>.npy`` holds the patches of some hundred tracks that follow each other in sorted
order, float32 (n, 2560), and ``shard-<id>.json`` beside it says where each track starts, from
which audio it was made (SHA-256), with which settings and versions, and what failed.
``shards.json`` lists the shards once all are there; a shard that it does not list is left over
from an earlier run and may be deleted.

Where a shard ends is decided by the hash of its last track's name, which also names the shard. So
adding or removing a track changes the shard it lies in, perhaps the next one, and no others.
"""

import bisect
import hashlib
import io
import json
import os

import numpy as np

from .arrays import map_array
from .files import DamagedFileError, new_file, read_json
from .patches import PATCH_SIZE

FORMAT = 1
MANIFEST = "shards.json"


def cut_shards(sources, n_tracks):
    """Group tracks into shards of about `n_tracks` tracks: at least half, at most twice as many.

    Parameters
    ----------
    sources : iterable of str
        Sorted.
    n_tracks : int

    Yields
    ------
    (str, list of str)
        Id of a shard, 16 hexadecimal digits, and its tracks. The last one may be smaller.

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


def write_shard(path, tracks, failed, settings):
    """Write a shard and its index.

    Parameters
    ----------
    path : Path
        Ends in ``.npy``.
    tracks : iterable of (dict, np.ndarray [shape=(n_patches, 2560), dtype=float32])
        The facts about a track (``source``, ``source_sha256``, ``versions`` and more), and its
        patches.
    failed : dict of str to str
        Source to reason. It is read when all tracks were taken, so the iterable may add to it.
    settings : dict
        See `patches.make_settings`.
    """
    index, n = [], 0

    def take_patches():
        nonlocal n
        for track, patches in tracks:
            index.append(track | dict(start=n, n_patches=len(patches)))
            n += len(patches)
            yield patches

    with new_file(path) as file:
        write_patches(file, take_patches())
        # Interrupted before the new index is there, the old one would vouch for other patches.
        path.with_suffix(".json").unlink(missing_ok=True)
    write_index(path, index, failed, settings)


def write_patches(file, parts):
    """Write patches that come in parts as one .npy file.

    Parameters
    ----------
    file : binary file
        Empty.
    parts : iterable of np.ndarray [shape=(n, 2560), dtype=float32]
    """
    n = 0
    file.write(_make_header(0))
    for patches in parts:
        file.write(np.ascontiguousarray(patches, np.float32).data)
        n += len(patches)
    file.seek(0)
    file.write(_make_header(n))


def _make_header(n):
    """Return the header of an .npy file of n patches; its length is the same for any n."""
    header = io.BytesIO()
    about = dict(descr="<f4", fortran_order=False, shape=(n, PATCH_SIZE))
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def is_patches(array, n):
    """Return whether an array has the dtype and the shape of n patches."""
    return array.dtype == np.float32 and array.shape == (n, PATCH_SIZE)


def write_index(path, tracks, failed, settings):
    """Write the index of a shard: its tracks, in the order of their patches, and what failed."""
    versions = []  # a few; in the file, a track has the index of its versions in this list
    for track in tracks:
        if track["versions"] not in versions:
            versions.append(track["versions"])
    tracks = [track | dict(versions=versions.index(track["versions"])) for track in tracks]
    index = dict(format=FORMAT, settings=settings, versions=versions, tracks=tracks)
    index |= dict(failed=sorted(failed.items()))
    with new_file(path.with_suffix(".json")) as file:
        file.write(json.dumps(index).encode())


def read_index(path):
    """Return the index of a shard.

    Raises
    ------
    DamagedFileError
        If it is damaged: a field is missing or of another type, or the tracks do not follow each
        other.
    OSError
        If it is missing or cannot be read.
    """
    path = path.with_suffix(".json")
    index = read_json(path, format=int, settings=dict, versions=list, tracks=list, failed=list)
    if index["format"] != FORMAT:
        raise DamagedFileError(
            f"{path}: its format is {index['format']}; this program reads {FORMAT}"
        )
    n = 0
    try:
        for track in index["tracks"]:
            start, n_patches = track["start"], track["n_patches"]
            texts = isinstance(track["source"] + track["source_sha256"], str)
            numbers = isinstance(start, int) and isinstance(n_patches, int)
            if not texts or not numbers or start != n or n_patches < 0:
                raise ValueError(f"its track {track['source']!r} is out of place")
            n += n_patches
            track["versions"] = index["versions"][track["versions"]]
        index["failed"] = {str(source): str(reason) for source, reason in index["failed"]}
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedFileError(f"{path}: is damaged ({error!r})") from error
    return index


class OldShard:
    """A shard that an earlier run wrote.

    Attributes
    ----------
    tracks : dict of str to dict
        The facts about every track, by its source, in the order of the patches.
    failed : dict of str to str
        Source to reason.
    """

    def __init__(self, tracks, patches, failed):
        self.tracks, self.failed, self._patches = tracks, failed, patches

    def sha256(self, source):
        """Return the SHA-256 of the audio that a track was made from; None if it is not there."""
        return self.tracks.get(source, {}).get("source_sha256")

    def read(self, source):
        """Return the facts about a track, and its patches."""
        track = self.tracks[source]
        return track, self._patches[track["start"] :][: track["n_patches"]]


def read_shard(path, settings):
    """Return an OldShard; None of one that is missing, damaged or was made with other settings."""
    try:
        index, patches = read_index(path), map_array(path)
    except (OSError, DamagedFileError):
        return None
    tracks = {track["source"]: track for track in index["tracks"]}
    n = sum(track["n_patches"] for track in index["tracks"])
    if index["settings"] != settings or not is_patches(patches, n):
        return None
    return OldShard(tracks, patches, index["failed"])


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
        If the extraction of the folder has not ended, or an index is damaged.
    """

    def __init__(self, folder):
        self.folder, self.shards, self.settings, tracks = folder, [], [], []
        shards = (read_manifest(folder) or {}).get("shards")
        if shards is None:
            raise ValueError(f"{folder}: not all shards are there; extract again")
        try:
            for shard in shards:
                path = folder / f"shard-{shard}.npy"
                index = read_index(path)
                places = [(t["source"], t["start"], t["n_patches"]) for t in index["tracks"]]
                tracks += [(name, len(self.shards), start, n) for name, start, n in places]
                self.shards.append(path)
                self.settings.append(index["settings"])
        except (OSError, DamagedFileError) as error:
            raise ValueError(
                f"{folder}: not all shards are there ({error}); extract again"
            ) from error
        tracks.sort()
        self.names = [name for name, *_ in tracks]
        self._places = np.array([place for _, *place in tracks], np.int64).reshape(-1, 3)

    def open(self, name):
        """Return (patches, settings) of a track; DamagedFileError if they are damaged."""
        shard, start, n = self._places[bisect.bisect_left(self.names, name)].tolist()
        path = self.shards[shard]
        patches = map_array(path)
        if patches.dtype != np.float32 or patches.shape[1:] != (PATCH_SIZE,):
            raise DamagedFileError(f"{path}: holds {patches.dtype} {patches.shape}")
        if len(patches) < start + n:
            raise DamagedFileError(f"{path}: holds {len(patches)} patches; {start + n} are needed")
        return patches[start : start + n], self.settings[shard]

    def read_tags(self):
        """Yield (name, what the audio file names: artist and album); None if it was not kept."""
        for path in self.shards:
            for track in read_index(path)["tracks"]:
                yield track["source"], track.get("tags")


def read_manifest(folder):
    """Read shards.json; None if the folder has none.

    Returns
    -------
    dict
        ``format`` int, ``shard_tracks`` int and, once all shards are there, ``shards``, a list of
        their ids.

    Raises
    ------
    DamagedFileError
        If it is damaged.
    ValueError
        If it is of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = read_json(path, format=int, shard_tracks=int)
        shards = manifest.get("shards", [])
        if not isinstance(shards, list) or not all(isinstance(name, str) for name in shards):
            raise DamagedFileError(f"{path}: is damaged, its shards are no list of names")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; extract again with --shard-tracks") from error
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path}: has format {manifest['format']}; this program reads {FORMAT}")
    return manifest


def write_manifest(folder, **about):
    """Write shards.json; `about` is ``shard_tracks`` and, at the end, ``shards``."""
    with new_file(folder / MANIFEST) as file:
        file.write(json.dumps(dict(format=FORMAT, **about), indent=1).encode())
