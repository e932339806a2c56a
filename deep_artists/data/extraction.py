"""A folder of audio files -> a folder of patches: on all cores or a cluster, restartable.

The patches of ``a/b.ogg`` are stored as ``a/b.ogg.mel.npy``, and what made them beside it, as
``a/b.ogg.mel.json``; or those of many tracks together, as `shards` says. What could not be used
is listed in ``failed.csv``, with the reason.

Everything is written under a temporary name first. Memory does not grow with the number of
tracks: names are listed as they are needed, a few tasks are under way at a time, and of what they
did only counts are kept.
"""

import csv
import errno
import hashlib
import io
import itertools
import json
import os
import socket
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import iterate_files, new_file
from .patches import AUDIO_SUFFIXES, PATCH_SIZE, SETTINGS, AudioError, extract_file
from .shards import cut_shards, read_manifest, read_shard, write_index, write_manifest, write_shard
from .versions import find_versions

REPORT = "failed.csv"
TRACKS_PER_TASK = 16  # a second or two; a scheduler can hand out some thousand tasks a second


class Extraction(NamedTuple):
    """What `extract_folder` did, in numbers of tracks."""

    done: int
    reused: int  # there already, from the same audio and settings
    failed: int
    report: Path  # a CSV file, see `read_failed`


def extract_folder(audio_dir, out_dir, jobs=1, shard_tracks=None, cluster=None):
    """Extract the patches of every audio file under a folder.

    Patches already there, of the same audio (by SHA-256) and settings, are kept: a second call
    goes on where the first was stopped. A file that fails is reported and left out, and tried
    again next time. What is written does not depend on `jobs` or `cluster`.

    Parameters
    ----------
    audio_dir : str or os.PathLike
        Searched with its sub-folders for `AUDIO_SUFFIXES`.
    out_dir : str or os.PathLike
        Gets ``<path in audio_dir>.mel.npy`` and ``.mel.json``, or shards, and ``failed.csv``; made
        if it is not there.
    jobs : int
        Processes, -1 for one a core. A backend set by `joblib.parallel_config` is used.
    shard_tracks : int, optional
        Write shards of about so many tracks, at least 1, instead of a file for each. 256 tracks of
        30 s are 340 MB and half a minute's work for a core.
    cluster : str, optional
        Address of a Dask scheduler, ``tcp://HOST:PORT``: its workers do what `jobs` processes
        would do here. See `cluster`: all must see both folders under the same paths.

    Returns
    -------
    Extraction

    Raises
    ------
    AudioError
        If `audio_dir` is missing or holds no audio file.
    ValueError
        If `out_dir` cannot be written to, or holds patches in the other layout.
    cluster.ClusterError
        If there is no such cluster, a worker does not see the folders, or workers keep dying.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    audio_dir, out_dir = Path(audio_dir), Path(out_dir)
    if not audio_dir.is_dir():
        raise AudioError(f"{audio_dir}: no such folder; a folder of audio files is needed")
    n_tracks = sum(1 for _ in iterate_files(audio_dir, AUDIO_SUFFIXES))
    if not n_tracks:
        raise AudioError(f"{audio_dir}: holds no audio file ({' '.join(AUDIO_SUFFIXES)})")
    _check_layout(out_dir, shard_tracks)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out_dir).close()
    except OSError as error:
        raise ValueError(f"{out_dir}: cannot be written to ({error}); name another") from error
    audio_dir, out_dir = audio_dir.absolute(), out_dir.absolute()
    sources, shards = iterate_files(audio_dir, AUDIO_SUFFIXES), []
    if shard_tracks:
        tasks = ((_extract_shard, *shard) for shard in cut_shards(sources, shard_tracks))
    else:
        batches = iter(lambda: list(itertools.islice(sources, TRACKS_PER_TASK)), [])
        tasks = ((_extract_files, "", batch) for batch in batches)

    done = reused = failed = listed = 0

    def make_tasks():
        nonlocal listed
        for task, name, some in tasks:
            listed += len(some)
            yield delayed(_run)(task, name, some, audio_dir, marker)

    with _connect(cluster), new_file(out_dir / REPORT) as file:
        if shard_tracks:
            write_manifest(out_dir, shard_tracks=shard_tracks)  # without a list: not all are there
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        report = csv.writer(text)
        report.writerow(("path", "reason"))
        marker = Path(file.name)
        outcomes = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(make_tasks())
        # disable=None: on a terminal only; tqdm writes to stderr.
        with tqdm(desc="patches", total=n_tracks, unit="track", disable=None) as bar:
            for shard, n_done, n_reused, reasons in outcomes:
                report.writerows(reasons)
                text.flush()
                shards.append(shard)
                done, reused, failed = done + n_done, reused + n_reused, failed + len(reasons)
                bar.update(n_done + n_reused + len(reasons))
        text.detach()
        if done + reused + failed != listed:
            raise RuntimeError(
                f"{listed} tracks were listed, and {done + reused + failed} accounted for; what "
                "was done is kept, run again to go on"
            )
        if shard_tracks:
            write_manifest(out_dir, shard_tracks=shard_tracks, shards=shards)
    return Extraction(done, reused, failed, out_dir / REPORT)


def read_failed(report):
    """Yield (path in the audio folder, reason) of every track that failed.

    Parameters
    ----------
    report : Path
        Of an `Extraction`.
    """
    with open(report, encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from map(tuple, rows)


def _check_layout(out_dir, shard_tracks):
    if shard_tracks is not None and shard_tracks < 1:
        raise ValueError(f"{shard_tracks} tracks a shard; at least 1 is needed, better 256")
    manifest = read_manifest(out_dir)
    there = manifest and manifest["shard_tracks"]
    if there and there != shard_tracks:
        raise ValueError(
            f"{out_dir}: holds shards of about {there} tracks; ask for the same "
            f"('extract --shard-tracks {there}'), or name another folder"
        )
    if shard_tracks and not there and next(iterate_files(out_dir, (".mel.npy",)), None):
        raise ValueError(f"{out_dir}: holds a file for each track; name another folder for shards")


def _connect(cluster):
    if cluster is None:
        return nullcontext()
    from .cluster import connect

    return connect(cluster)


def _run(task, name, sources, audio_dir, marker):
    """Do a task, wherever this is: (its name, tracks done, reused, [(failed source, reason)])."""
    folders = [] if marker.exists() else [marker.parent]
    if not any(os.path.lexists(audio_dir / source) for source in sources):
        folders.append(audio_dir)
    if folders:  # else it would report every track as failed, or hide patches on its own disk
        raise FileNotFoundError(
            f"{socket.gethostname()} does not see the files in {' and '.join(map(str, folders))}: "
            "they were removed, or are not on a file system shared under this path"
        )
    return name, *task(audio_dir, marker.parent, name, sources)


def _extract_files(audio_dir, out_dir, _, sources):
    count, failed = dict(done=0, reused=0), []
    for source in sources:
        try:
            count[_extract_file(audio_dir, out_dir, source)] += 1
        except (AudioError, OSError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise  # no fault of the track
            failed.append((source, str(error).removeprefix(f"{audio_dir / source}: ")))
    return *count.values(), failed


def _extract_file(audio_dir, out_dir, source):
    sha256 = _hash(audio_dir / source)
    patches_path, json_path = (out_dir / f"{source}.mel.{kind}" for kind in ("npy", "json"))
    if _is_extracted(patches_path, json_path, sha256):
        return "reused"
    track, patches = _extract_track(audio_dir, source, sha256)
    made_from = json.dumps(track | dict(settings=SETTINGS, versions=find_versions()), indent=1)
    patches_path.parent.mkdir(parents=True, exist_ok=True)
    json_path.unlink(missing_ok=True)  # or, interrupted, it would vouch for other patches
    with new_file(patches_path) as file:
        np.save(file, patches, allow_pickle=False)
    with new_file(json_path) as file:
        file.write(made_from.encode())
    return "done"


def _is_extracted(patches_path, json_path, sha256):
    try:
        made_from = dict(json.loads(json_path.read_bytes()))
        patches = np.load(patches_path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, TypeError):
        return False
    same = made_from.get("settings") == SETTINGS and made_from.get("source_sha256") == sha256
    return same and patches.shape == (made_from.get("n_patches"), PATCH_SIZE)


def _extract_shard(audio_dir, out_dir, shard, sources):
    path = out_dir / f"shard-{shard}.npy"
    old, old_patches, old_failed = read_shard(path) or ({}, None, None)
    failed = {}  # source -> reason

    def attempt(function, *arguments, source):
        try:
            return function(*arguments)
        except (AudioError, OSError) as error:
            failed[source] = str(error).removeprefix(f"{audio_dir / source}: ")

    def extract(source):
        return attempt(_extract_track, audio_dir, source, sha256[source], source=source)

    def make_tracks():
        for source in sources:
            if source in kept:
                start, n = old[source]["start"], old[source]["n_patches"]
                yield old[source], old_patches[start : start + n]
            elif source not in failed and (extracted := extract(source)):
                track, patches = extracted
                yield track | dict(versions=find_versions()), patches

    sha256 = {s: attempt(_hash, audio_dir / s, source=s) for s in sources}
    kept = {s for s, track in old.items() if track["source_sha256"] == sha256.get(s)}
    new = [s for s in sources if s not in kept and s not in failed]
    # What failed before is tried again, and only if it succeeds is the shard another.
    if old_patches is None or len(kept) < len(old) or any(map(extract, new)):
        write_shard(path, make_tracks(), failed)
    elif old_failed != [list(row) for row in sorted(failed.items())]:
        write_index(path, list(old.values()), failed)
    return len(sources) - len(kept) - len(failed), len(kept), sorted(failed.items())


def _hash(path):
    if not path.is_file():  # a broken link, or a pipe to be read for ever
        raise AudioError(f"{path}: no regular file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extract_track(audio_dir, source, sha256):
    """Return (what is said of a track, its patches)."""
    patches, facts = extract_file(audio_dir / source)
    made_from = dict(source=source, source_sha256=sha256, **facts, n_patches=len(patches))
    return made_from, patches
