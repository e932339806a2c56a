"""Arrays that lie in files: read them piece by piece, without keeping their pages in memory."""

import hashlib
import mmap

import numpy as np

PIECE = 256  # rows in a piece, 2.6 MB of float32


def read_pieces(x, rows=PIECE):
    """Yield the rows of an array, some at a time.

    If it is a mapped file, the pages that were read are dropped from memory each time.
    """
    for i in range(0, len(x), rows):
        yield x[i : i + rows]
        drop_pages(x)


def check_finite(x, name, floatX, hashed=True):
    """Read an array once and check that it is finite in floatX.

    Parameters
    ----------
    x : np.ndarray
    name : str
        What the message calls it.
    floatX : {'float32', 'float64'}
    hashed : bool
        Whether to compute the hash.

    Returns
    -------
    str or None
        The SHA-256 of the values, if `hashed`.

    Raises
    ------
    ValueError
        If a value is not finite, or is too large for floatX.
    """
    digest = hashlib.sha256()
    for i, some in enumerate(read_pieces(x)):
        with np.errstate(over="ignore"):
            finite = np.isfinite(some.astype(floatX, copy=False)).all()
        if not finite:
            raise ValueError(
                f"{name}: x has values that are not finite, near row {i * PIECE}; remove them"
            )
        if hashed:
            digest.update(np.ascontiguousarray(some))
    return digest.hexdigest() if hashed else None


def find_mapping(x):
    """Return the memory map behind an array and the array's offset in it; or None and 0."""
    root = x
    while isinstance(root, np.ndarray):
        if isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap):
            if root.mode == "c":  # copy on write: dropping pages would lose what was written
                break
            start = root.offset % mmap.ALLOCATIONGRANULARITY
            return root.base, start + x.ctypes.data - root.ctypes.data
        root = root.base
    return None, 0


def prefetch(x):
    """Ask the system to read the file behind an array, in the background and as one request."""
    mapping, offset = find_mapping(x)
    if mapping is not None:
        start = offset // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, start, offset + x.nbytes - start)


def drop_pages(x):
    """Drop the file behind an array from this process's memory; it stays in the page cache."""
    mapping, _ = find_mapping(x)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)
