"""A task of an extraction: some tracks, or a shard, in a worker process or on a cluster."""

import hashlib
import heapq
import itertools
import json
import os
import socket
from collections import Counter

from .arrays import map_array
from .files import DISK_FULL, DamagedFileError, new_file, read_json
from .patches import AudioError, extract_file, make_settings
from .shards import is_patches, read_shard, write_index, write_patches, write_shard
from .tracks import SUFFIX
from .versions import find_versions


def run_task(task, name, sources, audio_dir, marker):
    """Do a task: (its name, tracks done, tracks reused, [(failed source, reason)])."""
    # Without this check a machine that lacks the shared folders would report every track as
    # failed, or write patches to its own disk.
    folders = [] if marker.exists() else [marker.parent]
    if not any(os.path.lexists(audio_dir / source) for source in sources):
        folders.append(audio_dir)
    if folders:
        raise FileNotFoundError(
            f"{socket.gethostname()} does not see the files in {' and '.join(map(str, folders))}: "
            "they were removed, or are not on a file system shared under this path"
        )
    return name, *task(audio_dir, marker.parent, name, sources)


def extract_files(audio_dir, out_dir, _, sources, clip="last30"):
    """Write a file for each track: (tracks done, reused, [(failed source, reason)])."""
    counts, failed = Counter(), []
    for source in sources:
        try:
            counts[_extract_file(audio_dir, out_dir, source, clip)] += 1
        except (AudioError, OSError) as error:
            if getattr(error, "errno", None) in DISK_FULL:
                raise  # no fault of the track
            remove_patches(out_dir, source)  # of what the file was before
            failed.append((source, _give_reason(error, audio_dir / source)))
    return counts["done"], counts["reused"], failed


def _extract_file(audio_dir, out_dir, source, clip):
    settings, sha256 = make_settings(clip), _hash(audio_dir / source)
    patches_path, json_path = patch_paths(out_dir, source)
    if _is_extracted(patches_path, json_path, sha256, settings):
        return "reused"
    track, patches = _extract_track(audio_dir, source, sha256, clip)
    made_from = json.dumps(track | dict(settings=settings, versions=find_versions()), indent=1)
    patches_path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(patches_path) as file:
        write_patches(file, [patches])
        # In this order patches always have a .json that is theirs, also after a kill in between.
        patches_path.unlink(missing_ok=True)
        with new_file(json_path) as json_file:
            json_file.write(made_from.encode())
    return "done"


def _is_extracted(patches_path, json_path, sha256, settings):
    """Return whether good patches of this audio, made with these settings, are there."""
    try:
        made_from = read_json(json_path)
        patches = map_array(patches_path)
    except (OSError, DamagedFileError):
        return False
    same = made_from.get("settings") == settings and made_from.get("source_sha256") == sha256
    return same and is_patches(patches, made_from.get("n_patches"))


def extract_shard(audio_dir, out_dir, shard, sources, clip="last30"):
    """Bring a shard up to date: (tracks done, reused, [(failed source, reason)]).

    Tracks that are already there and unchanged are copied. The others are extracted, also those
    that failed before. If nothing changes, the shard is not written again.
    """
    path, settings = out_dir / f"shard-{shard}.npy", make_settings(clip)
    old = read_shard(path, settings)
    sha256, failed = _hash_all(audio_dir, sources)
    kept = [s for s in sources if old and s in sha256 and old.sha256(s) == sha256[s]]
    missing = sorted(sha256.keys() - set(kept))
    extracted = _extract_tracks(audio_dir, missing, sha256, failed, clip)
    first = list(itertools.islice(extracted, 1))
    if not old or len(kept) < len(old.tracks) or first:
        extracted = itertools.chain([first.pop()] if first else [], extracted)
        copied = (old.read(source) for source in kept)
        tracks = heapq.merge(copied, extracted, key=lambda track: track[0]["source"])
        write_shard(path, tracks, failed, settings)
    elif old.failed != failed:
        write_index(path, list(old.tracks.values()), failed, settings)
    return len(sources) - len(kept) - len(failed), len(kept), sorted(failed.items())


def _hash_all(audio_dir, sources):
    """Return the SHA-256 of every file, by its name, and the reasons for those without one."""
    sha256, failed = {}, {}
    for source in sources:
        try:
            sha256[source] = _hash(audio_dir / source)
        except (AudioError, OSError) as error:
            failed[source] = _give_reason(error, audio_dir / source)
    return sha256, failed


def _extract_tracks(audio_dir, sources, sha256, failed, clip):
    """Yield the facts about a track, and its patches; add tracks that fail to `failed`."""
    for source in sources:
        try:
            track, patches = _extract_track(audio_dir, source, sha256[source], clip)
        except (AudioError, OSError) as error:
            failed[source] = _give_reason(error, audio_dir / source)
        else:
            yield track | dict(versions=find_versions()), patches


def _hash(path):
    if not path.is_file():  # a broken link, or a pipe to be read for ever
        raise AudioError(f"{path}: no regular file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extract_track(audio_dir, source, sha256, clip):
    """Return the facts about a track, and its patches."""
    patches, facts = extract_file(audio_dir / source, clip)
    made_from = dict(source=source, source_sha256=sha256, **facts, n_patches=len(patches))
    return made_from, patches


def _give_reason(error, path):
    return str(error).removeprefix(f"{path}: ")


def remove_patches(out_dir, source):
    for path in patch_paths(out_dir, source):
        if not path.is_dir():  # a folder of that name holds no patches
            path.unlink(missing_ok=True)


def patch_paths(out_dir, source):
    return out_dir / f"{source}{SUFFIX}", out_dir / f"{source}.mel.json"
