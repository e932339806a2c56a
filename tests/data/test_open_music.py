"""Real music out of packages: as it is, as it was, and without what is missing."""

import csv
import hashlib
import io
import shutil
import struct
import tarfile
import zipfile

import pytest

from deep_artists.data import open_music
from deep_artists.data.open_music import FetchError, fetch_open_music, read_table

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb: not a Debian")


def pack_tar(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return data.getvalue()


def write_deb(path, files):
    """A package of these files; its script would fail."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": pack_tar({"./control": b"Package: x\n", "./preinst": b"exit 1\n"}),
        "data.tar.gz": pack_tar(files),
    }
    with open(path, "wb") as file:
        file.write(b"!<arch>\n")
        for name, contents in parts.items():
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(contents):<10}`\n".encode())
            file.write(contents + b"\n" * (len(contents) % 2))


def pack_wad(lumps):
    """A game's archive: a header, the lumps, their directory."""
    body, directory = b"", b""
    for name, contents in lumps.items():
        directory += struct.pack("<II8s", 12 + len(body), len(contents), name.encode())
        body += contents
    return struct.pack("<4sII", b"IWAD", len(lumps), 12 + len(body)) + body + directory


def pack_zip(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return data.getvalue()


MIDI = b"MThd a march"
ROWS = [
    ("Ann/a.ogg", "Ann", "wesnoth-1.16-music", "GPL-2+", b"battle", "/music/1.16/battle.ogg"),
    ("Ann/b.ogg", "Ann", "wesnoth-1.16-music", "GPL-2+", b"peace", "/music/1.16/peace.ogg"),
    ("Bob/c.ogg", "Bob", "ufoai-music", "CC-BY-3.0", b"aliens", "/base/music/c.ogg"),
    ("Cid/d.flac", "Cid", "freedoom", "BSD-3-Clause", MIDI, "/doom/one.wad/D_E1M1.mid"),
]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A small table, and its packages."""
    table = tmp_path / "table.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(open_music.Piece._fields)
        writer.writerows((*r[:4], hashlib.sha256(r[4]).hexdigest(), r[5]) for r in ROWS)
    monkeypatch.setattr(open_music, "TABLE", table)
    monkeypatch.setattr(open_music.Renderer, "__call__", lambda _, midi: b"played " + midi)
    folder = tmp_path / "packages"
    folder.mkdir()
    files = {f".{row[5]}": row[4] for row in ROWS[:2]} | {"./doc/copyright": b"free"}
    write_deb(folder / "wesnoth-1.16-music_1%3a1.16.9-1_all.deb", files)
    pk3 = pack_zip({"base/music/c.ogg": b"aliens", "base/sound/no.wav": b"bang"})
    write_deb(folder / "ufoai-music_2.5-2_all.deb", {"./games/0music.pk3": pk3})
    wad = pack_wad({"D_E1M1": MIDI, "E1M1": b"a map"})
    write_deb(folder / "freedoom_0.12_all.deb", {"./doom/one.wad": wad})
    return folder


def fetch(tmp_path, packages):
    lines = []
    return fetch_open_music(tmp_path / "music", packages, lines.append), lines


@needs_dpkg
def test_the_music_is_taken_out_of_the_packages(tmp_path, packages):
    fetched, lines = fetch(tmp_path, packages)
    out = tmp_path / "music"
    assert fetched == (sorted(row[0] for row in ROWS), [], [])
    assert [(out / row[0]).read_bytes() for row in ROWS[:3]] == [row[4] for row in ROWS[:3]]
    assert (out / "Cid" / "d.flac").read_bytes() == b"played " + MIDI
    rows = list(csv.DictReader(open(out / "tracks.csv")))
    assert rows[0]["version"] == "1:1.16.9-1" and rows[0]["game"] == "The Battle for Wesnoth"
    about = (out / "ATTRIBUTION.md").read_text()
    for words in ("## Bob\n\nUFO: Alien Invasion; CC-BY-3.0", "- peace.ogg", "- D_E1M1.mid *"):
        assert words in about
    assert (out / "licenses" / "wesnoth-1.16-music.txt").read_bytes() == b"free"
    assert not list(out.glob(".*ackages")) and len(list(packages.iterdir())) == 3


@needs_dpkg
def test_a_second_call_brings_what_is_missing(tmp_path, packages):
    fetch(tmp_path, packages)
    (tmp_path / "music" / "Bob" / "c.ogg").write_bytes(b"cut")
    (tmp_path / "music" / "Ann" / "b.ogg").unlink()
    fetched, lines = fetch(tmp_path, packages)
    assert lines == ["ufoai-music ...", "wesnoth-1.16-music ..."] and fetched.missing == []
    assert (tmp_path / "music" / "Bob" / "c.ogg").read_bytes() == b"aliens"
    assert fetch(tmp_path, packages)[1] == []


@needs_dpkg
def test_a_newer_package_is_used_and_what_it_changed_is_named(tmp_path, packages):
    [old] = packages.glob("wesnoth*")
    old.unlink()
    files = {"./games/1.16/battle.ogg": b"battle, longer", "./games/1.18/tune.ogg": b"peace"}
    write_deb(packages / "wesnoth-1.18-music_1.18.1_all.deb", files)
    fetched, _ = fetch(tmp_path, packages)
    assert fetched.changed == ["Ann/a.ogg"] and fetched.missing == []
    assert (tmp_path / "music" / "Ann" / "b.ogg").read_bytes() == b"peace"  # under another name


@needs_dpkg
def test_packages_that_are_missing_or_damaged_are_named(tmp_path, packages):
    [ufo] = packages.glob("ufoai*")
    ufo.write_bytes(ufo.read_bytes()[:-200])
    [wesnoth] = packages.glob("wesnoth*")
    wesnoth.unlink()
    fetched, _ = fetch(tmp_path, packages)
    assert fetched.there == ["Cid/d.flac"]
    reasons = dict(fetched.missing)
    assert "cannot be read" in reasons["Bob/c.ogg"]
    assert reasons["Ann/a.ogg"] == f"{packages}: holds no wesnoth-1.16-music_*.deb"
    with pytest.raises(FetchError, match="no track could be had"):
        fetch_open_music(tmp_path / "other", tmp_path, print)


def test_the_table_names_every_composer_and_license():
    pieces = read_table()
    assert len(pieces) == 236 and len({piece.artist for piece in pieces}) == 23
    assert pieces == sorted(pieces) and len({piece.sha256 for piece in pieces}) == 236
    assert {piece.package for piece in pieces} == set(open_music.GAMES)
    assert all(piece.license and len(piece.sha256) == 64 for piece in pieces)
    assert all(p.path.endswith(".flac") == p.is_midi for p in pieces)
    tails = {(piece.package, open_music.get_tail(piece.file)) for piece in pieces}
    assert len(tails) == 236  # so that a name means one piece
