"""Labels, the split by track, and sets on disk."""

import json
import tracemalloc

import numpy as np
import pytest

from deep_artists import dataset, shards
from deep_artists.data.dataset import make_dataset, open_dataset
from deep_artists.data.patches import SETTINGS
from deep_artists.data.tracks import Track, label_tracks, split_tracks
from deep_artists.reference import golden


def write_patches(folder, name, n=3, value=None, settings=SETTINGS):
    path = folder / f"{name}.mel.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    value = sum(map(ord, name)) if value is None else value
    x = value + np.arange(n * 2560, dtype=np.float32).reshape(n, 2560)
    np.save(path, x)
    path.with_suffix(".json").write_text(json.dumps({"settings": settings}))
    return path


@pytest.fixture
def patch_dir(tmp_path):
    """3 artists of 5 tracks of 2 to 6 patches."""
    for artist in ("bach", "abba", "cher"):
        for i in range(5):
            write_patches(tmp_path / "patches", f"{artist}/{i}.ogg", n=2 + i)
    return tmp_path / "patches"


def tracks_of(counts, groups_of=1):
    names = [(f"{a}/{i}", a, i) for a, n in counts.items() for i in range(n)]
    return [Track(n, a, f"{a}:{i // groups_of}" if groups_of > 1 else n) for n, a, i in names]


# --- labels ---


def test_labels_from_folders(patch_dir):
    write_patches(patch_dir, "stray.ogg")
    write_patches(patch_dir, "abba/live/9.ogg")
    write_patches(patch_dir, "abba/.hidden.ogg")
    tracks, left_out = label_tracks(patch_dir)
    assert len(tracks) == 16 and tracks == sorted(tracks)
    assert Track("abba/live/9.ogg", "abba", "abba/live/9.ogg") in tracks
    assert left_out == [("stray.ogg", "lies in no artist's folder")]


def test_labels_from_file_names_as_in_2013(tmp_path):
    write_patches(tmp_path, "ARABCDE1187B9ABCDEF_1")
    write_patches(tmp_path, "sub/ARABCDE1187B9ABCDEG_2")
    write_patches(tmp_path, "short")
    tracks, left_out = label_tracks(tmp_path, "filename")
    assert [track.artist for track in tracks] == ["ARABCDE1187B9ABCDE"] * 2
    assert [name for name, _ in left_out] == ["short"]


def test_labels_from_csv(patch_dir, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(
        "\ufeffartist,year,path,group\n"
        '"Björk, G.",1993,bach/0.ogg,Debut\n'
        "ABBA,1976,./abba/1.ogg,\n"
        "ABBA,1976,abba/gone.ogg,Arrival\n"
        ",1976,abba/2.ogg,Arrival\n",
        encoding="utf-8",
    )
    tracks, left_out = label_tracks(patch_dir, file)
    assert tracks == [
        Track("abba/1.ogg", "ABBA", "abba/1.ogg"),
        Track("bach/0.ogg", "Björk, G.", "Debut"),
    ]
    assert ("abba/gone.ogg", "no patch file") in left_out
    assert ("abba/2.ogg", f"no artist in {file}") in left_out
    assert ("cher/0.ogg", f"no artist in {file}") in left_out and len(left_out) == 14


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "path, artist"),
        ("file,artist\na,b\n", "path, artist"),
        ("path,artist\na,b\na,c\n", "line 3: 'a' has another label"),
        ('path,artist\n"a,b\n', "labels.csv"),
        (b"path,artist\na,Bj\xf6rk\n", "utf-8"),
    ],
)
def test_csv_that_is_not_right(patch_dir, tmp_path, text, message):
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        label_tracks(patch_dir, tmp_path / "labels.csv")


def test_labels_that_are_no_rule(patch_dir):
    with pytest.raises(ValueError, match="'genre'.*'folder', 'filename' or a CSV"):
        label_tracks(patch_dir, "genre")


# --- split ---


@pytest.mark.parametrize("groups_of", [1, 3])
def test_no_group_is_in_two_splits(groups_of):
    for seed in range(60):
        rng = np.random.RandomState(seed)
        counts = {f"artist{i}": rng.randint(9, 30) for i in range(rng.randint(2, 12))}
        tracks = tracks_of(counts, groups_of)
        splits = split_tracks(tracks, seed)
        assert sorted(sum(splits.values(), [])) == sorted(tracks)
        groups = [{track.group for track in split} for split in splits.values()]
        assert all(groups) and sum(map(len, groups)) == len(set.union(*groups))


def test_a_group_of_several_artists_stays_together():
    tracks = tracks_of({a: 8 for a in "abcdef"})
    tracks = [t._replace(group="sampler") if t.name.endswith("/0") else t for t in tracks]
    for seed in range(20):
        splits = split_tracks(tracks, seed)
        together = [split for split in splits.values() if any(t.group == "sampler" for t in split)]
        assert len(together) == 1


def test_sizes_are_those_of_2013():
    splits = split_tracks(tracks_of({f"artist{i}": 20 for i in range(20)}), seed=0)
    assert [129 * len(splits[name]) for name in dataset.SPLITS] == [33024, 8256, 10320]


def test_split_is_stratified():
    for seed in range(20):
        counts = {"a": 5, "b": 10, "c": 40, "d": 7}
        splits = split_tracks(tracks_of(counts), seed)
        for artist, n in counts.items():
            train, valid, test = (
                sum(track.artist == artist for track in splits[name]) for name in dataset.SPLITS
            )
            assert n // 5 <= test <= -(-n // 5)
            assert (n - test) // 5 <= valid <= -(-(n - test) // 5)
            assert train >= 3


def test_split_depends_on_the_seed_and_not_on_the_order():
    tracks = tracks_of({a: 10 for a in "abcd"})
    splits = split_tracks(tracks, 1)
    assert split_tracks(tracks[::-1], 1) == splits
    assert split_tracks(tracks, 2) != splits
    assert splits["train"] != sorted(splits["train"])  # 2013: shuffled
    # RandomState's stream is frozen: the split of a seed is the same with every NumPy.
    assert sorted(t.name for t in splits["test"]) == ["a/3", "a/7", "b/3", "b/7", "c/4", "c/7", "d/0", "d/1"]


@pytest.mark.parametrize(
    "counts, message",
    [
        ({}, r"0 artist\(s\)"),
        ({"a": 50}, r"1 artist\(s\) and 50 track"),
        ({"a": 1, "b": 1}, r"2 artist\(s\) and 2 track"),
        ({"a": 1, "b": 1, "c": 1}, "train holds 1 artist of 3"),
    ],
)
def test_too_few_tracks(counts, message):
    with pytest.raises(ValueError, match=message):
        split_tracks(tracks_of(counts), seed=0)


# --- sets ---


def test_set_holds_every_patch_once_in_time_order(patch_dir, tmp_path):
    opened = make_dataset(patch_dir, tmp_path / "set", seed=3)
    assert opened.label_names == ["abba", "bach", "cher"]
    seen = []
    for name, split in zip(dataset.SPLITS, opened):
        assert split.x.dtype == np.float32 and split.x.flags.c_contiguous
        assert isinstance(split.x, np.memmap) and not split.x.flags.writeable
        assert split.y.dtype == split.track.dtype == np.int64
        assert np.all(np.diff(split.track) >= 0)  # a track's patches follow each other
        for i, track in enumerate(opened.track_names[name]):
            rows = split.track == i
            x = np.load(patch_dir / f"{track}.mel.npy")
            np.testing.assert_array_equal(split.x[rows], x)
            assert {opened.label_names[y] for y in split.y[rows]} == {track.split("/")[0]}
            seen.append(track)
    assert sorted(seen) == [track.name for track in label_tracks(patch_dir)[0]]
    info = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert info == opened.info
    assert info["settings"] == SETTINGS and info["split"]["seed"] == 3
    assert info["tracks"]["test"][0].keys() == {"name", "artist", "group"}
    assert info["absent"] == {"train": [], "valid": [], "test": []}


def test_the_same_seed_makes_the_same_files(patch_dir, tmp_path):
    for name in ("one", "two"):
        make_dataset(patch_dir, tmp_path / name, seed=5)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 10
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_absent_artists_are_named(patch_dir, tmp_path):
    write_patches(patch_dir, "dylan/0.ogg")
    info = make_dataset(patch_dir, tmp_path / "set").info
    assert sum("dylan" in absent for absent in info["absent"].values()) == 2


def test_bad_patch_files_are_left_out(patch_dir, tmp_path):
    path = write_patches(patch_dir, "abba/cut.ogg")
    path.write_bytes(path.read_bytes()[:-100])
    (patch_dir / "abba" / "text.mel.npy").write_text("no array")
    write_patches(patch_dir, "abba/none.ogg", n=0)
    np.save(patch_dir / "abba" / "pickle.mel.npy", np.array([{}], dtype=object), allow_pickle=True)
    left_out = make_dataset(patch_dir, tmp_path / "set").info["left_out"]
    assert [name for name, _ in left_out] == [
        "abba/cut.ogg", "abba/none.ogg", "abba/pickle", "abba/text"
    ]


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((3, 2561), np.float32), r"odd.mel.npy: holds float32 \(3, 2561\).*2560"),
        (np.zeros((3, 2560)), "odd.mel.npy: holds float64"),
        (np.zeros(2560, np.float32), "odd.mel.npy: holds float32"),
        (np.full((3, 2560), np.nan, np.float32), "abba/odd: holds NaN"),
    ],
)
def test_patches_of_another_front_end(patch_dir, tmp_path, x, message):
    np.save(patch_dir / "abba" / "odd.mel.npy", x)
    with pytest.raises(ValueError, match=message):
        make_dataset(patch_dir, tmp_path / "set")
    assert not list((tmp_path / "set").glob("*"))  # and no temporary files


def test_settings_must_agree(patch_dir, tmp_path):
    write_patches(patch_dir, "cher/odd.ogg", settings={**SETTINGS, "hop_length": 256})
    with pytest.raises(ValueError, match="odd.ogg.*extract all alike"):
        make_dataset(patch_dir, tmp_path / "set")


def test_patches_of_2013_have_no_settings(patch_dir, tmp_path):
    for path in patch_dir.rglob("*.json"):
        path.unlink()
    assert make_dataset(patch_dir, tmp_path / "set").info["settings"] is None


def test_a_failure_leaves_the_old_set(patch_dir, tmp_path):
    make_dataset(patch_dir, tmp_path / "set", seed=1)
    (tmp_path / "set" / "notes.txt").write_text("mine")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    write_patches(patch_dir, "abba/0.ogg", value=np.nan)
    with pytest.raises(ValueError, match="NaN"):
        make_dataset(patch_dir, tmp_path / "set", seed=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()} == kept
    write_patches(patch_dir, "abba/0.ogg")
    make_dataset(patch_dir, tmp_path / "set", seed=2)
    assert open_dataset(tmp_path / "set").info["split"]["seed"] == 2
    assert (tmp_path / "set" / "notes.txt").read_text() == "mine"


def test_a_set_half_replaced_does_not_open(patch_dir, tmp_path, monkeypatch):
    make_dataset(patch_dir, tmp_path / "set", seed=1)
    replace, renamed = dataset.os.replace, []

    def replace_two(source, target):
        if len(renamed) == 2:
            raise OSError("disk pulled")
        renamed.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(dataset.os, "replace", replace_two)
        with pytest.raises(ValueError, match="disk pulled"):
            make_dataset(patch_dir, tmp_path / "set", seed=2)
    with pytest.raises(ValueError, match="cannot be opened as a set .*dataset.json"):
        open_dataset(tmp_path / "set")
    make_dataset(patch_dir, tmp_path / "set", seed=2)
    assert not list((tmp_path / "set").glob(".*"))


def test_folders_that_cannot_be_used(patch_dir, tmp_path):
    with pytest.raises(ValueError, match="missing: holds no patch file"):
        make_dataset(tmp_path / "missing", tmp_path / "set")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file.*cannot be written"):
        make_dataset(patch_dir, tmp_path / "file" / "set")


def test_memory_does_not_grow_with_the_set(tmp_path):
    for i in range(12):
        write_patches(tmp_path / "patches", f"{'ab'[i % 2]}/{i}", n=500)  # 5 MB each
    tracemalloc.start()
    make_dataset(tmp_path / "patches", tmp_path / "set")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6  # of 61 MB


# --- shards ---


def write_shards(patch_dir, folder, n_tracks=4):
    """The patches of a folder of files, as shards."""
    folder.mkdir()
    names = sorted(p.relative_to(patch_dir).as_posix()[:-8] for p in patch_dir.rglob("*.mel.npy"))
    ids = []
    for shard, tracks in shards.cut_shards(names, n_tracks):
        about = [dict(source=name, source_sha256="", versions={}) for name in tracks]
        x = [np.load(patch_dir / f"{name}.mel.npy") for name in tracks]
        shards.write_shard(folder / f"shard-{shard}.npy", zip(about, x), {})
        ids.append(shard)
    shards.write_manifest(folder, shard_tracks=n_tracks, shards=ids)
    return folder


@pytest.mark.parametrize("labels", ["folder", "csv"])
def test_shards_and_files_make_the_same_set(patch_dir, tmp_path, labels):
    write_patches(patch_dir, "stray.ogg")
    if labels == "csv":
        labels = tmp_path / "labels.csv"
        rows = [f"{a}/{i}.ogg,{a},album {i // 2}\n" for a in ("bach", "abba", "cher") for i in range(6)]
        labels.write_text("path,artist,group\n" + "".join(rows))
    shard_dir = write_shards(patch_dir, tmp_path / "shards")
    assert len(list(shard_dir.glob("*.npy"))) >= 3
    only = {f"{a}/{i}.ogg" for a in ("bach", "abba", "cher") for i in range(5)} - {"bach/2.ogg"}
    for some in (None, only):
        sets = [make_dataset(folder, tmp_path / "set", labels, seed=3, only=some)
                and {p.name: p.read_bytes() for p in (tmp_path / "set").iterdir()}
                for folder in (patch_dir, shard_dir)]
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


def replace_array(folder, name, change):
    array = change(np.load(folder / name))
    np.save(folder / name, array)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("train_x.npy", lambda x: x[:, :-1], "2559"),
        ("train_x.npy", lambda x: x.astype(np.float64), "float64"),
        ("train_x.npy", lambda x: x[:-1], "rows"),
        ("test_y.npy", lambda y: y.astype(np.int32), "int32"),
        ("test_y.npy", lambda y: y + 3, "for 3 names"),
        ("valid_y.npy", lambda y: y - 9, "for 3 names"),
        ("valid_track.npy", lambda t: t + 99, "valid_track.npy holds"),
        ("test_x.npy", lambda x: x[:0], "test"),
    ],
)
def test_arrays_that_do_not_belong(patch_dir, tmp_path, name, change, message):
    make_dataset(patch_dir, tmp_path / "set")
    replace_array(tmp_path / "set", name, change)
    with pytest.raises(ValueError, match=message):
        open_dataset(tmp_path / "set")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', '{"format": 1, "label_names": 3}']
)
def test_dataset_json_that_is_not_right(patch_dir, tmp_path, text):
    make_dataset(patch_dir, tmp_path / "set")
    (tmp_path / "set" / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match="set: cannot be opened as a set"):
        open_dataset(tmp_path / "set")


def test_sets_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="missing: cannot be opened as a set"):
        open_dataset(tmp_path / "missing")


def test_pickled_set_of_2013():
    opened = open_dataset(golden.path("legacy/dataset.pkl"))
    assert [split.x.shape for split in opened] == [(6, 2560)] * 3
    assert opened.train.track is None and opened.track_names is None
    assert opened.label_names == [str(i) for i in range(len(opened.label_names))]
    assert max(split.y.max() for split in opened) == len(opened.label_names) - 1
