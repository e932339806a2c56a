"""Files under a folder, and files that are there whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from deep_artists.data.files import (
    DamagedFileError,
    find_files,
    iterate_files,
    new_file,
    own_folder,
    printable,
    read_json,
    remove_unfinished,
)


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
    others = []
    iterated = iterate_files(tmp_path, (".wav",), on_other=others.append)
    assert list(iterated) == expected and others == ["x.txt"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    for name in ("a/x.wav", "b/y.wav", "b/c/z.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    scandir = os.scandir

    def scan(folder):
        if os.path.basename(os.path.normpath(folder)) == "c":
            raise OSError(errno.ESTALE, "Stale file handle")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(OSError, match="Stale"):
        find_files(tmp_path, (".wav",))
    errors = []
    names = iterate_files(tmp_path, (".wav",), on_error=lambda *error: errors.append(error))
    assert list(names) == ["a/x.wav", "b/y.wav"]
    assert [name for name, _ in errors] == ["b/c/"] and "Stale" in str(errors[0][1])
    with pytest.raises(FileNotFoundError):
        find_files(tmp_path / "nowhere", (".wav",))


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


def test_an_error_of_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left.*a.txt") as error:
        with new_file(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.errno == errno.ENOSPC


def test_a_folder_has_one_owner(tmp_path):
    with own_folder(tmp_path / "a"):
        with pytest.raises(ValueError, match="a: another process is writing there"):
            with own_folder(tmp_path / "a", wait_s=0.1):
                pass
        with own_folder(tmp_path / "b"):
            pass
    with own_folder(tmp_path / "a"):
        pass
    assert not list(tmp_path.glob("*/*"))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: cannot be written to"):
        with own_folder(tmp_path / "file"):
            pass


def test_an_owner_that_is_killed_leaves_the_folder(tmp_path):
    code = (
        "import sys, time\n"
        "from deep_artists.data.files import new_file, own_folder\n"
        "with own_folder(sys.argv[1]), new_file(sys.argv[1] + '/a.txt') as file:\n"
        "    print('owned', flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert owner.stdout.readline() == b"owned\n"
    with pytest.raises(ValueError, match="another process"):
        with own_folder(tmp_path):
            pass
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(list(tmp_path.glob(".a.txt.*.tmp"))) == 1
    with own_folder(tmp_path):
        remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [b"", b"[1, 2", b"[1, 2]", b"\xff", b"null", b"[" * 100_000, b'{"a": "text"}', b'{"b": 1}'],
)
def test_json_that_is_not_right_is_one_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(DamagedFileError, match="a.json: is damaged"):
        read_json(path, a=int)
    path.write_text('{"a": 1}')
    assert read_json(path, a=int) == {"a": 1}


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(DamagedFileError, match="no regular file"):
            read_json(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing")


def test_a_printed_name_is_one_harmless_line():
    name = "a\x1b]0;title\x07\r\n\u202egpj.\udcff ünï 音.wav"
    shown = printable(name)
    assert shown.isprintable() and shown.endswith(" ünï 音.wav") and shown.startswith("a\\x1b]")
