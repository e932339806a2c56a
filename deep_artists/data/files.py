"""Files: written whole or not at all, by one process at a time; found, read and named safely."""

import errno
import fcntl
import json
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = ".lock"


class DamagedFileError(ValueError):
    """A file that does not hold what it should; the message names the file."""


class FolderError(ValueError):
    """A folder that cannot be written to, or not now; the message names it."""


@contextmanager
def new_file(path):
    """Open a file for writing under a temporary name; rename it once it is complete.

    Parameters
    ----------
    path : str or path
        Whatever was there before is replaced, or left as it was if the block raises.

    Yields
    ------
    binary file
        Its ``name`` is the temporary path. A process that is killed leaves that behind, for
        `remove_unfinished`.

    Raises
    ------
    OSError
        With the path in its message, also where the disk is full.
    """
    path = Path(path)
    # Names have at most 255 bytes, and a character up to four.
    temporary = path.with_name(f".{path.name[:50]}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None and error.errno in (*DISK_FULL, errno.EFBIG):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder, name="*"):
    """Remove what killed processes left of new files in a folder; call it in `own_folder`.

    Parameters
    ----------
    folder : str or path
    name : str
        Of the file that was to be written, or a pattern of such names.
    """
    for path in Path(folder).glob(f".{name}.*.tmp"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def own_folder(folder, wait_s=0.2):
    """Let no other process that asks for the same folder write into it during the block.

    The lock is on a file in the folder. It ends with the process, however that ends. Where the
    file system knows no locks, there is none.

    Parameters
    ----------
    folder : str or path
        Made if it is not there.
    wait_s : float
        How long to wait for another process to finish.

    Raises
    ------
    FolderError
        If another process has the folder, or it cannot be written to.
    """
    path = Path(folder) / LOCK
    deadline = time.monotonic() + wait_s
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while (file := _try_to_lock(path)) is None:
            if time.monotonic() > deadline:
                raise FolderError(
                    f"{folder}: another process is writing there; wait for it, or name another "
                    "folder"
                )
            time.sleep(0.02)
    except OSError as error:
        raise FolderError(f"{folder}: cannot be written to ({error}); name another") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _try_to_lock(path):
    """Return the locked file, or None if another process has it."""
    file = open(path, "ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another, or removed by its last owner just now
    except OSError:
        return file  # no locks here
    file.close()
    return None


def iterate_files(folder, suffixes, on_error=None, on_other=None, within=""):
    """Yield the files under a folder whose names end in one of the suffixes, in any case.

    Hidden files are left out; linked folders are not entered. Only the names of one folder, and
    of those it lies in, are in memory.

    Parameters
    ----------
    folder : str or path
    suffixes : tuple of str
        Lower case.
    on_error : callable, optional
        Called with the name of a folder that cannot be read, which ends in a slash, and the
        OSError. Without it the error is raised.
    on_other : callable, optional
        Called with the name of every file that has none of the suffixes.
    within : str
        Begin in this sub-folder; it ends in a slash.

    Yields
    ------
    str
        Relative to `folder`, with forward slashes, in sorted order.
    """
    try:
        names = list_folder(os.path.join(folder, within), suffixes, on_other)
    except OSError as error:
        if on_error is None:
            raise
        on_error(within, error)
        return
    for name in names:
        if name.endswith("/"):
            yield from iterate_files(folder, suffixes, on_error, on_other, within + name)
        else:
            yield within + name


def list_folder(folder, suffixes, on_other=None):
    """List the sub-folders, each with a slash, and the files with a suffix of one folder.

    As `iterate_files` does, which sees to the folders below. The slash takes part in the sorting,
    so that the paths below come out sorted too.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                if not entry.is_symlink():
                    names.append(f"{entry.name}/")
            elif entry.name.lower().endswith(suffixes):
                names.append(entry.name)
            elif on_other is not None:
                on_other(entry.name)
    return sorted(names)


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def find_files(folder, suffixes):
    """List what `iterate_files` yields; OSError if a folder cannot be read."""
    return list(iterate_files(folder, suffixes))


def read_json(path, **fields):
    """Read a JSON object.

    Parameters
    ----------
    path : str or path
    **fields : type
        What it must hold, as ``format=int``.

    Returns
    -------
    dict

    Raises
    ------
    DamagedFileError
        If the file holds no JSON object, or one that lacks a field or has one of another type.
    OSError
        If the file is missing or cannot be read.
    """
    path = Path(path)
    check_regular(path)
    return parse_json(path.read_bytes(), path, **fields)


def parse_json(text, source, **fields):
    """Do what `read_json` does with a text that is already there; `source` names it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{source}: is damaged, no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DamagedFileError(f"{source}: is damaged, no JSON object")
    check_fields(found, source, **fields)
    return found


def check_fields(found, source, **fields):
    """Raise DamagedFileError if a field is missing from a dict, or of another type."""
    for name, kind in fields.items():
        if name not in found or not isinstance(found[name], kind):
            value = repr(found[name])[:60] if name in found else "missing"
            raise DamagedFileError(f"{source}: is damaged, its field {name!r} is {value}")


def check_regular(path):
    """Raise DamagedFileError for a folder, and for a pipe, whose opening may wait for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise DamagedFileError(f"{path}: is no regular file")


def printable(text):
    r"""Return a text with what a terminal might obey or hide written as an escape.

    Examples
    --------
    >>> print(printable("a\x1b[2J\n\udcff é.ogg"))
    a\x1b[2J\n\udcff é.ogg
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
