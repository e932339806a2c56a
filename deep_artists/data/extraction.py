"""A folder of audio files -> a folder of patches: on all cores or a cluster, restartable.

The patches of ``a/b.ogg`` are stored in ``a/b.ogg.mel.npy``, and ``a/b.ogg.mel.json`` says which
audio, settings and versions made them; or many tracks share a file, see `shards`. Either way the
folder holds the patches of the audio as it is now: those of files that were removed, renamed or
spoilt since are deleted. What could not be used is listed in ``failed.csv``, with the reason.

Files are written under a temporary name first, and only one process at a time may write into the
folder. Memory does not grow with the number of tracks: names are listed as they are needed, a few
tasks are under way at a time, and only counts of what they did are kept.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .extraction_tasks import extract_files, extract_shard, patch_paths, remove_patches, run_task
from .files import (
    DamagedFileError,
    iterate_files,
    list_folder,
    new_file,
    own_folder,
    remove_unfinished,
)
from .patches import AUDIO_SUFFIXES, AudioError, make_settings
from .progress import Progress
from .shards import cut_shards, read_manifest, write_manifest
from .tracks import SUFFIX, UNFINISHED
from .workers import check_jobs, run_tasks

REPORT = "failed.csv"
TRACKS_PER_TASK = 16  # a second or two; a scheduler can hand out some thousand tasks a second


class Extraction(NamedTuple):
    """What `extract_folder` did, in numbers of tracks."""

    done: int
    reused: int  # there already, from the same audio and settings
    failed: int  # and folders that cannot be read
    report: Path  # a CSV file, see `read_failed`
    others: dict  # files that are no audio: suffix, in lower case, to their number


def extract_folder(
    audio_dir: str | os.PathLike,
    out_dir: str | os.PathLike,
    jobs: int = 1,
    shard_tracks: int | None = None,
    cluster: str | None = None,
    cluster_timeout_s: float = 600,
    clip: str = "last30",
) -> Extraction:
    """Extract the patches of every audio file under a folder.

    Patches already there, of the same audio (by SHA-256) and settings, are kept: a second call
    goes on where the first was stopped. Patches of audio that is no longer there are deleted. A
    file that fails, or a folder that cannot be read, is reported and left out, and tried again
    next time. What is written does not depend on `jobs` or `cluster`.

    Parameters
    ----------
    audio_dir : str or os.PathLike
        Searched with its sub-folders for `AUDIO_SUFFIXES`.
    out_dir : str or os.PathLike
        Gets ``<path in audio_dir>.mel.npy`` and ``.mel.json``, or shards, and ``failed.csv``; made
        if it is not there.
    jobs : int
        Processes, 1 to 1024, or -1 for one a core; no more are started than there is work for. A
        backend set by `joblib.parallel_config` is used.
    shard_tracks : int, optional
        Write shards of about so many tracks, at least 1, instead of a file for each. 256 tracks of
        30 s are 340 MB and half a minute's work for a core.
    cluster : str, optional
        Address of a Dask scheduler, ``tcp://HOST:PORT``: its workers do what `jobs` processes
        would do here. See `cluster`: all must see both folders under the same paths.
    cluster_timeout_s : float
        Seconds after which the run ends if the cluster has no worker left.
    clip : {'last30', 'all'}
        Take the last 30 s of each recording, as in 2013, or the whole.

    Returns
    -------
    Extraction

    Raises
    ------
    AudioError
        If `audio_dir` is missing, cannot be read or holds no audio file.
    ValueError
        If `out_dir` cannot be written to, holds patches in the other layout, or another process
        is writing into it; or if `jobs` or `shard_tracks` is out of range.
    OSError
        If the disk is full.
    cluster.ClusterError
        If there is no such cluster, a worker does not see the folders, or workers keep dying.
    """
    audio_dir, out_dir = Path(audio_dir), Path(out_dir)
    check_jobs(jobs)
    make_settings(clip)  # refuses
    n_tracks, others = _count_tracks(audio_dir)
    _check_layout(out_dir, shard_tracks)
    with own_folder(out_dir), _connect(cluster, cluster_timeout_s):
        audio_dir, out_dir = audio_dir.absolute(), out_dir.absolute()
        _tidy(audio_dir, out_dir, shard_tracks)
        counts: Counter = Counter()
        unreadable: dict[str, str] = {}
        tasks = _plan_tasks(audio_dir, shard_tracks, clip, counts, unreadable)
        n_tasks = -(-n_tracks // (shard_tracks or TRACKS_PER_TASK))
        with new_file(out_dir / REPORT) as report:
            # The temporary report is there as long as the run: workers look for it.
            marker = Path(report.name)
            tasks = ((*task, audio_dir, marker) for task in tasks)
            outcomes = run_tasks(jobs, n_tasks, run_task, tasks)
            shards = _write_report(report, outcomes, counts, unreadable, n_tracks)
        if shard_tracks:
            remove_unfinished(out_dir, "shard-*")  # of a worker that died; another did its task
            write_manifest(out_dir, shard_tracks=shard_tracks, shards=shards)
        (out_dir / UNFINISHED).unlink(missing_ok=True)
    numbers = counts["done"], counts["reused"], counts["failed"]
    return Extraction(*numbers, out_dir / REPORT, others)


def read_failed(report):
    """Yield (path in the audio folder, reason) of every track that failed.

    Parameters
    ----------
    report : Path
        Of an `Extraction`. The path of a folder, which could not be read, ends in a slash.
    """
    with open(report, encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from map(tuple, rows)


# --- before the work ---


def _count_tracks(audio_dir):
    """Return the number of audio files, and how many others there are of each suffix."""
    if not audio_dir.is_dir():
        raise AudioError(f"{audio_dir}: no such folder; a folder of audio files is needed")
    others, errors = Counter(), []

    def count_other(name):
        others[os.path.splitext(name)[1].lower()] += 1

    names = iterate_files(
        audio_dir,
        AUDIO_SUFFIXES,
        on_error=lambda *error: errors.append(error),
        on_other=count_other,
    )
    n_tracks = sum(1 for _ in names)
    if not n_tracks and errors:
        folder, error = errors[0]
        raise AudioError(f"{audio_dir / folder}: cannot be read ({error})")
    if not n_tracks:
        raise AudioError(f"{audio_dir}: holds no audio file ({' '.join(AUDIO_SUFFIXES)})")
    return n_tracks, dict(others)


def _check_layout(out_dir, shard_tracks):
    if shard_tracks is not None and shard_tracks < 1:
        raise ValueError(f"{shard_tracks} tracks a shard; at least 1 is needed, better 256")
    try:
        there = (read_manifest(out_dir) or {}).get("shard_tracks")
    except DamagedFileError:
        if not shard_tracks:
            raise
        there = shard_tracks  # it is written anew
    if there and there != shard_tracks:
        raise ValueError(
            f"{out_dir}: holds shards of about {there} tracks; ask for the same "
            f"('extract --shard-tracks {there}'), or name another folder"
        )
    if shard_tracks and not there and _holds_patches(out_dir):
        raise ValueError(f"{out_dir}: holds a file for each track; name another folder for shards")


def _holds_patches(folder):
    return folder.exists() and next(iterate_files(folder, (SUFFIX,)), None) is not None


def _tidy(audio_dir, out_dir, shard_tracks):
    """Remove files that are out of date, and what killed runs left; mark the run as begun."""
    (out_dir / REPORT).unlink(missing_ok=True)
    remove_unfinished(out_dir)
    if shard_tracks:
        write_manifest(out_dir, shard_tracks=shard_tracks)  # without a list: not all are there
        return
    (out_dir / UNFINISHED).touch()
    for name in _find_stale(audio_dir, out_dir):
        remove_patches(out_dir, name)


def _find_stale(audio_dir, out_dir, within=""):
    """Yield the tracks that have patches and a .json in `out_dir`, but no audio in `audio_dir`."""
    try:
        there = set(list_folder(audio_dir / within, AUDIO_SUFFIXES))
    except OSError:  # gone, or it cannot be read, which will be reported
        there = set()
    remove_unfinished(out_dir / within)
    for name in list_folder(out_dir / within, (SUFFIX,)):
        if name.endswith("/"):
            # Where the audio has no such folder, the names inside are not found either.
            yield from _find_stale(audio_dir, out_dir, within + name)
        elif (source := name.removesuffix(SUFFIX)) not in there:
            if os.path.lexists(patch_paths(out_dir, within + source)[1]):
                yield within + source


def _connect(cluster, timeout_s):
    if cluster is None:
        return nullcontext()
    from .cluster import connect

    return connect(cluster, lost_timeout_s=timeout_s)


# --- the tasks, listed and accounted for ---


def _plan_tasks(audio_dir, shard_tracks, clip, counts, unreadable):
    """Yield (function, shard, sources); count what is listed, note folders that are unreadable."""

    def note(folder, error):
        unreadable[folder] = f"cannot be read ({error.strerror or error})"

    sources = iterate_files(audio_dir, AUDIO_SUFFIXES, on_error=note)
    if shard_tracks:
        extract = partial(extract_shard, clip=clip)
        tasks = ((extract, *shard) for shard in cut_shards(sources, shard_tracks))
    else:
        batches = iter(lambda: list(itertools.islice(sources, TRACKS_PER_TASK)), [])
        tasks = ((partial(extract_files, clip=clip), "", batch) for batch in batches)
    for task in tasks:
        counts["listed"] += len(task[2])
        yield task


def _write_report(file, outcomes, counts, unreadable, n_tracks):
    """Write failed.csv as the outcomes come; return the names of the shards."""
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    report, shards = csv.writer(text), []
    report.writerow(("path", "reason"))
    with Progress("patches", n_tracks, "track") as bar:
        for shard, done, reused, failed in outcomes:
            report.writerows(failed)
            text.flush()
            shards.append(shard)
            counts.update(done=done, reused=reused, failed=len(failed))
            left_out = counts["failed"]
            bar.update(done + reused + len(failed), left_out and f"{left_out} left out" or "")
    n_accounted = counts["done"] + counts["reused"] + counts["failed"]
    if n_accounted != counts["listed"]:
        raise RuntimeError(
            f"{counts['listed']} tracks were listed, and {n_accounted} accounted for; what "
            "was done is kept, run again to go on"
        )
    report.writerows(sorted(unreadable.items()))
    counts["failed"] += len(unreadable)
    text.detach()  # else it would close the file
    return shards
