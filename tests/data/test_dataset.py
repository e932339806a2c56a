"""Sets on disk."""

import json
import tracemalloc

import numpy as np
import pytest
from patch_files import write_patches

from deep_artists import make_dataset, open_dataset
from deep_artists.data import dataset
from deep_artists.data.patches import SETTINGS
from deep_artists.data.tracks import label_tracks
from deep_artists.reference import golden


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
        "abba/cut.ogg",
        "abba/none.ogg",
        "abba/pickle",
        "abba/text",
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


def test_silence_is_counted_and_can_be_left_out(patch_dir, tmp_path):
    write_patches(patch_dir, "abba/fades.ogg", n=6, silent=2)
    write_patches(patch_dir, "bach/mute.ogg", n=4, silent=4)
    kept = make_dataset(patch_dir, tmp_path / "kept", seed=1)
    assert kept.info["silence"] == {
        "dropped": False,
        "tracks": {"abba/fades.ogg": 2, "bach/mute.ogg": 4},
    }
    dropped = make_dataset(patch_dir, tmp_path / "dropped", seed=1, drop_silence=True)
    assert dropped.info["silence"] == {**kept.info["silence"], "dropped": True}
    assert dropped.info["left_out"] == [["bach/mute.ogg", "only silence"]]
    assert sum(len(s.x) for s in kept) - sum(len(s.x) for s in dropped) == 6
    assert all(split.x.any(axis=1).all() for split in dropped)
    assert all(len(s.x) == len(s.y) == len(s.track) for s in dropped)


def test_artists_that_cannot_be_recognised_are_refused(tmp_path):
    for artist in "abcde":
        for i in range(3):
            write_patches(tmp_path / "patches", f"{artist}/album/{i}.ogg")
    with pytest.raises(ValueError, match="train has none of the artists of valid .*--group none"):
        make_dataset(tmp_path / "patches", tmp_path / "set")
    opened = make_dataset(tmp_path / "patches", tmp_path / "set", group="none")
    assert opened.info["group"] == "none" and opened.info["doubts"] == []
