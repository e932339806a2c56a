"""Shards: the same set as of a file for each track."""

import json
import tracemalloc

import numpy as np
import pytest
from patch_files import write_patches

from deep_artists import make_dataset
from deep_artists.data import shards
from deep_artists.data.patches import SETTINGS


def write_shards(patch_dir, folder, n_tracks=4):
    """The patches of a folder of files, as shards."""
    folder.mkdir()
    names = sorted(p.relative_to(patch_dir).as_posix()[:-8] for p in patch_dir.rglob("*.mel.npy"))
    ids = []
    for shard, tracks in shards.cut_shards(names, n_tracks):
        about = [dict(source=name, source_sha256="", versions={}) for name in tracks]
        x = [np.load(patch_dir / f"{name}.mel.npy") for name in tracks]
        shards.write_shard(folder / f"shard-{shard}.npy", zip(about, x), {}, SETTINGS)
        ids.append(shard)
    shards.write_manifest(folder, shard_tracks=n_tracks, shards=ids)
    return folder


@pytest.mark.parametrize("labels", ["folder", "csv"])
def test_shards_and_files_make_the_same_set(patch_dir, tmp_path, labels):
    write_patches(patch_dir, "stray.ogg")
    if labels == "csv":
        labels = tmp_path / "labels.csv"
        rows = [
            f"{a}/{i}.ogg,{a},album {i // 2}\n" for a in ("bach", "abba", "cher") for i in range(6)
        ]
        labels.write_text("path,artist,group\n" + "".join(rows))
    shard_dir = write_shards(patch_dir, tmp_path / "shards")
    assert len(list(shard_dir.glob("*.npy"))) >= 3
    only = {f"{a}/{i}.ogg" for a in ("bach", "abba", "cher") for i in range(5)} - {"bach/2.ogg"}
    for some in (None, only):
        sets = [
            make_dataset(folder, tmp_path / "set", labels, seed=3, only=some)
            and {p.name: p.read_bytes() for p in (tmp_path / "set").iterdir()}
            for folder in (patch_dir, shard_dir)
        ]
        assert sets[0] == sets[1] and len(sets[0]) == 10


def test_shards_that_are_not_right(patch_dir, tmp_path):
    shard_dir = write_shards(patch_dir, tmp_path / "shards")
    path = sorted(shard_dir.glob("*.npy"))[0]
    whole, index = path.read_bytes(), path.with_suffix(".json").read_bytes()
    tracks = [track["source"] for track in json.loads(index)["tracks"]]
    path.write_bytes(whole[:-100])
    assert [n for n, _ in make_dataset(shard_dir, tmp_path / "set").info["left_out"]] == tracks
    np.save(path, np.load(patch_dir / f"{tracks[0]}.mel.npy"))  # of another shard
    assert [n for n, _ in make_dataset(shard_dir, tmp_path / "set").info["left_out"]] == tracks[1:]
    path.write_bytes(whole)
    changed = json.loads(index)
    changed["settings"]["hop_length"] = 256
    path.with_suffix(".json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="extract all alike"):
        make_dataset(shard_dir, tmp_path / "set")
    for text in ("", "{}", '{"format": 2}'):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(ValueError, match="not all shards are there.*extract again"):
            make_dataset(shard_dir, tmp_path / "set")
    path.with_suffix(".json").write_bytes(index)
    manifest = (shard_dir / "shards.json").read_text()
    shards.write_manifest(shard_dir, shard_tracks=4)  # as long as extraction goes on
    with pytest.raises(ValueError, match="not all shards are there"):
        make_dataset(shard_dir, tmp_path / "set")
    for text in ("", "[]", '{"format": 99}'):
        (shard_dir / "shards.json").write_text(text)
        with pytest.raises(ValueError, match="shards.json: is damaged"):
            make_dataset(shard_dir, tmp_path / "set")
    (shard_dir / "shards.json").write_text(manifest)
    write_patches(shard_dir, "abba/0.ogg")
    with pytest.raises(ValueError, match="holds shards, and the file abba/0.ogg.mel.npy"):
        make_dataset(shard_dir, tmp_path / "set")


def test_memory_does_not_grow_with_shards(tmp_path):
    for i in range(12):
        write_patches(tmp_path / "patches", f"{'ab'[i % 2]}/{i}", n=500)  # 5 MB each
    shard_dir = write_shards(tmp_path / "patches", tmp_path / "shards", n_tracks=12)
    tracemalloc.start()
    make_dataset(shard_dir, tmp_path / "set")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6  # of 61 MB
