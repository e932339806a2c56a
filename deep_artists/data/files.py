"""Write files so that they are there whole or not at all; find files under a folder."""

import os
import uuid
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

# What reading a damaged .npy, .npz or JSON file may raise.
READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def new_file(path, prefix=""):
    """Open a file for writing under a temporary name; rename it once it is complete.

    Parameters
    ----------
    path : str or path
        Whatever was there before is replaced, or left as it was if the block raises.
    prefix : str
        Starts the temporary name, so that its owner can find what a killed run left.

    Yields
    ------
    binary file
        Its ``name`` is the temporary path.
    """
    path = Path(path)
    temporary = path.with_name(f".{prefix}{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def iterate_files(folder, suffixes):
    """Yield the files under a folder whose names end in one of the suffixes, in any case.

    Hidden files are left out; linked folders are not entered. Held in memory are the names of one
    folder, and of those it lies in.

    Yields
    ------
    str
        Relative to `folder`, with forward slashes, in sorted order.
    """
    names = []  # a folder's with its slash: so sorted, as the paths below it are
    try:
        for entry in os.scandir(folder):
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                names += [entry.name] * entry.name.lower().endswith(suffixes)
            elif not entry.is_symlink():
                names.append(f"{entry.name}/")
    except OSError:  # a folder that may not be read
        pass
    for name in sorted(names):
        if name.endswith("/"):
            for below in iterate_files(os.path.join(folder, name), suffixes):
                yield name + below
        else:
            yield name


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def find_files(folder, suffixes):
    """List what `iterate_files` yields."""
    return list(iterate_files(folder, suffixes))
