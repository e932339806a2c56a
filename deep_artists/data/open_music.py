"""Real music with artists that anyone may have: the soundtracks of free games, from Debian.

236 tracks of at least 30 s, 14 hours, by 23 artists with at least five each. ``open_music.csv`` has
of each: path, artist, package, license, SHA-256 and path in the package. Who made what stands in
the packages: in the files' tags, the credits, the copyright files.

Packages are read, never installed, and nothing in them is run. Two hold MIDI files, which are
rendered with fluidsynth and one sound font (TimGM6mb): the artists of these share every instrument.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .files import new_file, own_folder, remove_unfinished

TABLE = Path(__file__).with_name("open_music.csv")
GAMES = {
    "colobot-common-sounds": "Colobot",
    "freedoom": "Freedoom",
    "hyperrogue-music": "HyperRogue",
    "openclonk-data": "OpenClonk",
    "openttd-openmsx": "OpenMSX, for OpenTTD",
    "singularity-music": "Endgame: Singularity",
    "supertux-data": "SuperTux",
    "ufoai-music": "UFO: Alien Invasion",
    "warzone2100-music": "Warzone 2100",
    "wesnoth-1.16-music": "The Battle for Wesnoth",
}
LATER = {"wesnoth-1.16-music": "wesnoth-1.18-music"}  # the same in the next Debian
SOUNDFONT_PACKAGE, SOUNDFONT = "timgm6mb-soundfont", "TimGM6mb.sf2"
SOUNDFONTS = Path("/usr/share/sounds/sf2")
COLUMNS = ("path", "artist", "game", "package", "version", "license", "sha256", "file")


class FetchError(ValueError):
    """A package that cannot be had or read."""


class Fetched(NamedTuple):
    """What `fetch_open_music` has, by the paths of the tracks."""

    there: list  # of str, sorted
    changed: list  # of these, those whose package now has another recording under their name
    missing: list  # of (str, reason)


class Piece(NamedTuple):
    """A row of the table."""

    path: str
    artist: str
    package: str
    license: str
    sha256: str  # of the file in the package
    file: str

    @property
    def is_midi(self):
        return self.file.endswith(".mid")


def fetch_open_music(
    out_dir: str | os.PathLike, packages: str | os.PathLike | None = None, say=print
) -> Fetched:
    """Make a folder of real music, ``<artist>/<track>``, with tracks.csv and ATTRIBUTION.md.

    What is there already is kept, so that a second call goes on where the first was stopped. A
    newer package is used as it is: which tracks it has changed, and which it no longer has, is in
    the answer.

    Parameters
    ----------
    out_dir : str or os.PathLike
    packages : str or os.PathLike, optional
        Folder with the .deb files. Without it they come by ``apt-get download``, 900 MB, and are
        removed once they were read.
    say : callable
        Called with a line for every package.

    Returns
    -------
    Fetched

    Raises
    ------
    FetchError
        If there is no dpkg-deb, or no track could be had.
    ValueError
        If the folder cannot be written, or another process is writing there.
    """
    if shutil.which("dpkg-deb") is None:
        raise FetchError("dpkg-deb is needed to read packages; it is part of Debian's dpkg")
    out_dir = Path(out_dir)
    pieces, missing = read_table(), {}
    with own_folder(out_dir):
        downloads = out_dir / ".packages"
        downloads.mkdir(exist_ok=True)
        known = _read_known(out_dir)
        found = {p.path: known[p.path] for p in pieces if _is_there(out_dir, p, known)}
        render = Renderer(packages, downloads)
        for package in GAMES:
            wanted = [p for p in pieces if p.package == package and p.path not in found]
            if not wanted:
                continue
            try:
                say(f"{package} ...")
                deb = _find_package(package, packages, downloads)
                for piece, about in _take(deb, wanted, out_dir, render):
                    found[piece.path] = about
                    _write_table(out_dir, pieces, found)
                if packages is None:
                    deb.unlink()
                reason = f"{deb.name} does not hold it"
            except FetchError as error:
                reason = str(error)
            missing |= {p.path: reason for p in wanted if p.path not in found}
        shutil.rmtree(downloads)
        if not found:
            raise FetchError(f"no track could be had; {next(iter(missing.values()))}")
        _write_attribution(out_dir, [p for p in pieces if p.path in found], found)
    changed = [p.path for p in pieces if p.path in found and found[p.path][1] != p.sha256]
    return Fetched(sorted(found), changed, sorted(missing.items()))


def read_table():
    """Return the pieces of the collection, sorted by path.

    >>> len(read_table()), len({piece.artist for piece in read_table()})
    (236, 23)
    """
    with open(TABLE, newline="", encoding="utf-8") as file:
        return [Piece(**row) for row in csv.DictReader(file)]


def _read_known(out_dir):
    """Return what the tracks.csv of an earlier call says: path to (version, SHA-256)."""
    try:
        with open(out_dir / "tracks.csv", newline="", encoding="utf-8") as file:
            return {row["path"]: (row["version"], row["sha256"]) for row in csv.DictReader(file)}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise FetchError(f"{out_dir / 'tracks.csv'} is damaged ({error!r}); remove it") from error


def _is_there(out_dir, piece, known):
    """Return whether an earlier call brought a track, and it is as it was then."""
    path = out_dir / piece.path
    if piece.path not in known or not path.is_file():
        return False
    if piece.is_midi:  # the hash is that of the MIDI file
        return True
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == known[piece.path][1]


# --- packages ---


def _find_package(package, folder, downloads):
    """Return the path of a package's .deb, the newest in the folder, or downloaded."""
    names = [name for name in (package, LATER.get(package)) if name]
    for name in names:
        if folder is None and not list(downloads.glob(f"{name}_*.deb")):
            _download(name, downloads)
        there = sorted(Path(folder or downloads).glob(f"{name}_*.deb"), key=os.path.getmtime)
        if there:
            return there[-1]
    if folder is None:
        raise FetchError(
            f"apt-get download has no {' or '.join(names)}; run apt-get update, or give a folder "
            "with the .deb file"
        )
    raise FetchError(f"{folder}: holds no {package}_*.deb")


def _download(name, folder):
    """Ask apt for a package; leave nothing where it has none."""
    if shutil.which("apt-get") is None:
        raise FetchError(
            f"no apt-get, which Debian and Ubuntu have; download {name} elsewhere and give the "
            "folder with the .deb file"
        )
    subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, check=False)


def _read_package(deb):
    """Yield (path, contents) of the files in a package that may be wanted.

    Archives within it are opened: ufoai's .pk3, which are zip files, and freedoom's .wad.
    """
    kinds = (".ogg", ".opus", ".mid", ".pk3", ".wad", ".sf2", "/copyright")
    command = ["dpkg-deb", "--fsys-tarfile", deb]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(kinds):
                        path = member.name.removeprefix(".")
                        yield from _open(path, archive.extractfile(member).read())
        except (tarfile.TarError, zipfile.BadZipFile, struct.error) as error:
            raise FetchError(
                f"{deb}: cannot be read ({error}); remove it and fetch again"
            ) from error
        finally:
            process.stdout.close()


def _open(path, contents):
    if path.endswith(".pk3"):
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            for name in archive.namelist():
                if name.endswith(".ogg"):
                    yield f"/{name}", archive.read(name)
    elif path.endswith(".wad"):
        n, directory = struct.unpack_from("<II", contents, 4)
        for i in range(n):
            start, size, lump = struct.unpack_from("<II8s", contents, directory + 16 * i)
            if contents[start : start + 4] == b"MThd":
                name = lump.rstrip(b"\0").decode("ascii", "replace")
                yield f"{path}/{name}.mid", contents[start : start + size]
    else:
        yield path, contents


def get_tail(path):
    """Return the end of a path in a package, which a newer package is likely to share."""
    return "/".join(PurePosixPath(path).parts[-2:])


def _take(deb, wanted, out_dir, render):
    """Write what is wanted of a package; yield (piece, (version, SHA-256)) of each.

    A piece is known by its hash. One of the same name but another hash is taken too, unless the
    right one comes up.
    """
    version = deb.name.split("_")[1].replace("%3a", ":")
    by_hash = {piece.sha256: piece for piece in wanted}
    by_tail = {get_tail(piece.file): piece for piece in wanted}
    right = set()
    for path, contents in _read_package(deb):
        if path.endswith("/copyright"):
            _write(out_dir / "licenses" / f"{deb.name.split('_')[0]}.txt", contents)
            continue
        sha256 = hashlib.sha256(contents).hexdigest()
        piece = by_hash.get(sha256) or by_tail.get(get_tail(path))
        if piece is None or piece.path in right:
            continue
        if piece.sha256 == sha256:
            right.add(piece.path)
        _write(out_dir / piece.path, render(contents) if piece.is_midi else contents)
        yield piece, (version, sha256)


def _write(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path.parent)
    with new_file(path) as file:
        file.write(contents)


class Renderer:
    """MIDI file -> FLAC, by fluidsynth; the sound font is looked for when the first one comes."""

    def __init__(self, packages, folder):
        self.packages, self.folder, self.soundfont = packages, folder, None

    def __call__(self, midi):
        import soundfile

        self.soundfont = self.soundfont or self.find_soundfont()
        midi_path, wav = self.folder / "piece.mid", self.folder / "piece.wav"
        midi_path.write_bytes(midi)
        options = "-ni -q -r 44100 -g 0.5 -F".split()
        done = subprocess.run(
            ["fluidsynth", *options, wav, self.soundfont, midi_path], capture_output=True
        )
        if done.returncode or not wav.exists():
            raise FetchError(f"fluidsynth fails: {done.stderr.decode(errors='replace').strip()}")
        y, sr = soundfile.read(wav, dtype="int16")
        loud = (y > 32) | (y < -32)  # the piece ends with the last of these
        end = int(loud.any(axis=1).nonzero()[0].max(initial=-1)) + 1
        flac = io.BytesIO()
        soundfile.write(flac, y[:end], sr, subtype="PCM_16", format="FLAC")
        return flac.getvalue()

    def find_soundfont(self):
        """Return the path of the sound font: installed, or taken out of its package."""
        if shutil.which("fluidsynth") is None:
            raise FetchError("fluidsynth, which plays MIDI files, is not installed")
        if (SOUNDFONTS / SOUNDFONT).exists():
            return SOUNDFONTS / SOUNDFONT
        path = self.folder / SOUNDFONT
        if not path.exists():
            deb = _find_package(SOUNDFONT_PACKAGE, self.packages, self.folder)
            contents = dict(_read_package(deb)).get(f"{SOUNDFONTS}/{SOUNDFONT}")
            if contents is None:
                raise FetchError(f"{deb.name} does not hold {SOUNDFONT}")
            path.write_bytes(contents)
        return path


# --- what is written about them ---


def _write_table(out_dir, pieces, found):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for p in pieces:
        if p.path in found:
            game, (version, sha256) = GAMES[p.package], found[p.path]
            writer.writerow((p.path, p.artist, game, p.package, version, p.license, sha256, p.file))
    _write(out_dir / "tracks.csv", text.getvalue().encode())


def _write_attribution(out_dir, pieces, found):
    """Name every composer, what is theirs, and its license."""
    lines = [
        "# Who made this music",
        "",
        "Soundtracks of free games, taken out of Debian's packages as they are; those with a star",
        "are MIDI files, rendered with fluidsynth and the sound font TimGM6mb. `licenses/` holds",
        "the packages' own copyright files.",
    ]
    by_artist = {}
    for piece in pieces:
        by_artist.setdefault((piece.artist, piece.package, piece.license), []).append(piece)
    for (artist, package, license), theirs in sorted(by_artist.items()):
        version = found[theirs[0].path][0]
        lines += ["", f"## {artist}", ""]
        lines.append(f"{GAMES[package]}; {license}; Debian package {package} {version}:")
        lines += [f"- {PurePosixPath(p.file).name}{' *' if p.is_midi else ''}" for p in theirs]
    _write(out_dir / "ATTRIBUTION.md", "\n".join([*lines, ""]).encode())
