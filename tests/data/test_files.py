"""Files under a folder, and files that are there whole or not at all."""

import os

import pytest

from deep_artists.data.files import iterate_files, new_file


def test_names_are_listed_in_sorted_order(tmp_path):
    names = [
        "a/x.wav",
        "a-b/y.wav",
        "a.wav",
        "a/b/c.WAV",
        "ab/z.wav",
        "a/b.ogg/d.wav",
        "e.wav",
        "a!b.wav",
        "Z/1.wav",
    ]
    names += ["a/\udcff.wav"]  # no UTF-8
    for name in [*names, "a/.hidden.wav", ".hidden/x.wav", "a/x.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "itself.wav").symlink_to("itself.wav")
    (tmp_path / "link.wav").symlink_to("a.wav")
    expected = sorted([*names, "itself.wav", "link.wav"])
    assert list(iterate_files(tmp_path, (".wav",))) == expected
    assert list(iterate_files(tmp_path / "nowhere", (".wav",))) == []


def test_a_new_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), new_file(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
    with new_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]
