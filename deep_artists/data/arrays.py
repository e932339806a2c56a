"""Read NumPy's files, .npy and .npz, that may be damaged or made to do harm.

Whatever is wrong inside a file is a `DamagedFileError`. Nothing is unpickled, and nothing is read
into memory before the names, dtypes and shapes in the headers were seen.
"""

import errno
import math
import os
import zipfile
from contextlib import contextmanager

import numpy as np

from .files import DamagedFileError, check_regular

MAX_PACKING = 20  # a zip bomb has a ratio of up to 1000; trained parameters hardly shrink


def map_array(path):
    """Map a .npy file into memory, read-only.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    np.memmap

    Raises
    ------
    DamagedFileError
        If it is no .npy file, is cut short, or has a header that makes no sense.
    OSError
        If the file is missing or cannot be read.
    """
    check_regular(path)
    with _one_error(path):
        with open(path, "rb") as file:
            _read_header(file, os.fstat(file.fileno()).st_size)
        return np.lib.format.open_memmap(path, mode="r")


def map_rows(path, dtype, row):
    """Map an array of rows, as `map_array`; ValueError if it is whole, but another array.

    Parameters
    ----------
    path : str or path
    dtype : type
    row : tuple of int
        Shape of a row.
    """
    array = map_array(path)
    if array.dtype != dtype or array.ndim != 1 + len(row) or array.shape[1:] != row:
        raise ValueError(
            f"{path}: holds {array.dtype} {array.shape}; {np.dtype(dtype)} {('n', *row)} is needed"
        )
    return array


class Npz:
    """The arrays in an .npz file that is open; see `open_npz`.

    Attributes
    ----------
    headers : dict of str to (np.dtype, tuple)
        Dtype and shape of every array, known before any is read.
    """

    def __init__(self, path, archive):
        self.path, self._archive, self.headers = path, archive, {}
        with _one_error(path):
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in self.headers or name == info.filename:
                    raise ValueError(f"it has a member {info.filename!r} twice, or that is none")
                if info.file_size > 2**20 and info.file_size > MAX_PACKING * info.compress_size:
                    raise ValueError(f"{name} unpacks to {info.file_size} bytes")
                with archive.open(info) as file:
                    self.headers[name] = _read_header(file, info.file_size)

    def check_names(self, names):
        """Raise DamagedFileError if there is an array of another name."""
        for name in self.headers:
            if name not in names:
                raise DamagedFileError(f"{self.path}: is damaged, has an array {name[:60]!r}")

    def read(self, name):
        """Return one array; DamagedFileError if it is missing or damaged."""
        if name not in self.headers:
            raise DamagedFileError(f"{self.path}: is damaged, has no array {name!r}")
        with _one_error(self.path), self._archive.open(f"{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def read_text(self, name):
        """Return an array of no dimension that holds a text; DamagedFileError if it is another."""
        dtype, shape = self.headers.get(name, (np.dtype(float), ()))
        if dtype.kind != "U" or shape:
            raise DamagedFileError(f"{self.path}: is damaged, has no text {name!r}")
        return str(self.read(name))


@contextmanager
def open_npz(path):
    """Open an .npz file and read the headers of its arrays.

    Parameters
    ----------
    path : str or path

    Yields
    ------
    Npz

    Raises
    ------
    DamagedFileError
        If it is no .npz file or is damaged, its arrays are other than their headers say, hold
        objects, or are packed as closely as only a file is that is meant to fill the memory.
    OSError
        If the file is missing or cannot be read.
    """
    check_regular(path)
    with _one_error(path):
        archive = zipfile.ZipFile(path)
    with archive:
        yield Npz(path, archive)


def _read_header(file, n_bytes):
    """Return the dtype and the shape of an .npy file of so many bytes; ValueError if it is none."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"its format is {version}")
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError(f"its header says {dtype} {shape}")
    if file.tell() + math.prod(shape) * dtype.itemsize != n_bytes:
        raise ValueError(f"{n_bytes} bytes are not as many as its header says: {dtype} {shape}")
    return dtype, shape


@contextmanager
def _one_error(path):
    """Turn what NumPy and zipfile raise for damaged files into one error."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        # EINVAL: a place in a zip that no file has. Others: it is missing, or the disk's fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedFileError(f"{path}: is damaged ({error})") from error
