"""The artists of tracks, and the split into train, valid and test."""

import re

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_files import write_patches

from deep_artists.data.extraction import extract_folder
from deep_artists.data.tracks import SPLITS, Track, find_doubts, label_tracks, split_tracks


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
    assert Track("abba/live/9.ogg", "abba", "abba/live") in tracks
    assert Track("abba/0.ogg", "abba", "abba/0.ogg") in tracks
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
        ("song,artist\na,b\n", "path, artist"),
        ("path,artist\nno.ogg,b\n", "none of its 1 paths .* 'no.ogg', the tracks .* 'abba/0.ogg'"),
        (",album,artist\n,id,title\ntrack_id,,\n", "no artist/name and album/id"),
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
    with pytest.raises(ValueError, match="'genre'.*'folder', 'tags', 'filename' or a CSV"):
        label_tracks(patch_dir, "genre")


def test_columns_have_other_names_elsewhere(patch_dir, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("Album,Filename,LABEL\nGold,abba/1.ogg,ABBA\n\n,bach/0.ogg,Bach\n")
    assert label_tracks(patch_dir, file)[0] == [
        Track("abba/1.ogg", "ABBA", "Gold"),
        Track("bach/0.ogg", "Bach", "bach/0.ogg"),
    ]


FMA = """,album,album,artist,track
,id,title,name,title
track_id,,,,
2,1,AWOL - A Way Of Life,AWOL,Food
3,1,AWOL - A Way Of Life,AWOL,Electric Ave
10,-1,,Kurt Vile,Freeway
99,7,Gone,Nobody,Gone
"""


def test_labels_of_fma(tmp_path):
    names = ["000/000002.mp3", "000/000003.mp3", "000/000010.mp3", "000/000011.mp3"]
    for name in names:
        write_patches(tmp_path, name)
    (tmp_path / "tracks.csv").write_text(FMA)
    tracks, left_out = label_tracks(tmp_path, tmp_path / "tracks.csv")
    assert tracks == [
        Track(names[0], "AWOL", "album 1"),
        Track(names[1], "AWOL", "album 1"),
        Track(names[2], "Kurt Vile", names[2]),
    ]
    assert [name for name, _ in left_out] == names[3:]  # of the rows, those that are there


@pytest.mark.parametrize("shards", [False, True])
def test_labels_from_the_tags_of_the_files(tmp_path, shards):
    audio = tmp_path / "audio"
    audio.mkdir()
    for i, (artist, album) in enumerate([("Ann", "One"), ("Ann", ""), ("", "One"), ("Bob", "One")]):
        with soundfile.SoundFile(audio / f"{i}.flac", "w", 22050, 1) as file:
            for key, value in (("artist", artist), ("album", album)):
                if value:
                    setattr(file, key, value)
            file.write(np.random.RandomState(i).uniform(-0.1, 0.1, 6000))
    extract_folder(audio, tmp_path / "patches", shard_tracks=2 if shards else None)
    tracks, left_out = label_tracks(tmp_path / "patches", "tags")
    assert tracks == [
        Track("0.flac", "Ann", "Ann/One"),
        Track("1.flac", "Ann", "1.flac"),
        Track("3.flac", "Bob", "Bob/One"),
    ]
    assert left_out == [("2.flac", "its file names no artist")]


def test_patches_from_before_tags_were_kept_say_so(patch_dir):
    with pytest.raises(ValueError, match="abba/0.ogg: its patches were made before tags were kept"):
        label_tracks(patch_dir, "tags")


def test_the_extra_level_of_gtzan_and_artist20(tmp_path):
    write_patches(tmp_path / "gtzan", "genres_original/blues/blues.00000.wav")
    assert label_tracks(tmp_path / "gtzan")[0][0].artist == "blues"
    write_patches(tmp_path / "artist20", "mp3s-32k/u2/Boy/01.mp3")
    assert label_tracks(tmp_path / "artist20")[0][0][1:] == ("u2", "u2/Boy")
    write_patches(tmp_path / "one", "music/u2/01.mp3")
    with pytest.raises(ValueError, match="all 1 tracks lie in the folder 'music'"):
        label_tracks(tmp_path / "one")


def test_what_stays_together(tmp_path):
    write_patches(tmp_path, "bach/1.ogg")
    write_patches(tmp_path, "abba/gold/1.ogg")
    groups = {g: label_tracks(tmp_path, group=g)[0][0].group for g in ("folder", "none", "album")}
    assert groups == {"folder": "abba/gold", "none": "abba/gold/1.ogg", "album": "abba/gold"}
    with pytest.raises(ValueError, match="group = 'year'; there are album, folder, none"):
        label_tracks(tmp_path, group="year")


def test_artists_that_are_hardly_artists():
    tracks = [Track("a", "ABBA", ""), Track("b", "Abba", ""), Track("c", "Bach", "")]
    assert find_doubts(tracks) == ["'ABBA' and 'Abba' are taken for different artists"]
    assert "numbers (000, 001" in find_doubts([Track("a", "000", ""), Track("b", "001", "")])[0]


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
    assert [129 * len(splits[name]) for name in SPLITS] == [33024, 8256, 10320]


def test_split_is_stratified():
    for seed in range(20):
        counts = {"a": 5, "b": 10, "c": 40, "d": 7}
        splits = split_tracks(tracks_of(counts), seed)
        for artist, n in counts.items():
            train, valid, test = (
                sum(track.artist == artist for track in splits[name]) for name in SPLITS
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
    assert sorted(t.name for t in splits["test"]) == [
        "a/3",
        "a/7",
        "b/3",
        "b/7",
        "c/4",
        "c/7",
        "d/0",
        "d/1",
    ]


@pytest.mark.parametrize(
    "counts, message",
    [
        ({}, r"0 artist\(s\)"),
        ({"a": 50}, r"1 artist\(s\) and 50 track"),
        ({"a": 1, "b": 1}, r"2 artist\(s\) and 2 track"),
        ({"a": 1, "b": 1, "c": 1}, "train holds 1 label of 3"),
    ],
)
def test_too_few_tracks(counts, message):
    with pytest.raises(ValueError, match=message):
        split_tracks(tracks_of(counts), seed=0)


def test_the_split_of_thousands_of_artists_is_stratified():
    tracks = tracks_of({f"artist {i:04d}": 10 for i in range(3000)}, groups_of=2)
    splits = split_tracks(tracks, seed=1)
    sizes = {name: len(split) for name, split in splits.items()}
    assert sizes == {"train": 19200, "valid": 4800, "test": 6000}
    groups = [{track.group for track in split} for split in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    of_artist = np.unique([track.artist for track in splits["test"]], return_counts=True)[1]
    assert len(of_artist) == 3000 and (of_artist == 2).all()


FEW = settings(max_examples=40, deadline=None)


tracks = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=60, unique=True
)


@FEW
@given(tracks, st.integers(0, 2**32 - 1), st.booleans())
def test_a_split_keeps_groups_whole_and_loses_no_track(pairs, seed, grouped):
    listed = [
        Track(f"{a}/{t}", f"artist {a}", f"{a}-{t % 3}" if grouped else f"{a}/{t}")
        for a, t in pairs
    ]
    try:
        splits = split_tracks(listed, seed)
    except ValueError as error:
        assert re.search("artist|group|track", str(error))
        return
    assert sorted(t for split in splits.values() for t in split) == sorted(listed)
    groups = [{t.group for t in split} for split in splits.values()]
    assert all(groups) and sum(map(len, groups)) == len({t.group for t in listed})
    assert splits == split_tracks(listed[::-1], seed)  # the order of the list does not matter
