"""Sets larger than memory: a block of patches at a time, the next one read while one is in use.

A run is as few minibatches as hold 128 patches, about a track; a block is as many runs as its
share of the memory holds. In stored order the blocks follow each other as they lie in the file.
Shuffled, an epoch permutes the runs, then the patches inside every block: a permutation of all
patches that follows from the seed, the epoch, the number of patches, the batch size and the memory
alone. What it lacks beside a permutation drawn freely: a minibatch mixes the runs of one block, not
of the whole set, and patches of a run always share a block.

Files are read through their mapping. Pages are asked for a run at a time and given back once they
are copied, so what is resident stays within the memory allowed.
"""

import hashlib
import mmap
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

RUN = 128  # patches
PIECE = 256  # rows read at a time where all are read once, 2.6 MB of float32

# Of the memory, for one of a split's two blocks, and for pages on their way; they sum to 1.
SHARES = {"train": 5 / 16, "valid": 1 / 16, "test": 1 / 16}
PIECE_SHARE = 1 / 8


class Stream:
    """The minibatches of a split, of which a block at a time is in memory.

    Parameters
    ----------
    x : np.ndarray [shape=(n, 2560)], float32 or float64
        In C order; memory-mapped, or in memory but to be converted.
    y : np.ndarray [shape=(n,)]
    batch_size : int
    most : int
        Runs in a block, at the most; there are two blocks, the present one and the next.
    piece : int
        Runs that are copied at a time.
    floatX : {'float32', 'float64'}
        Of the labels; x keeps its own dtype.
    seed : int, optional
        Of the shuffling; stored order if not given.

    Attributes
    ----------
    x, y, order : shared variables
        Patches, labels and order of patches of the present block. Minibatch i of it is
        ``x[order[i * batch_size : (i + 1) * batch_size]]``, without the order if there is no seed.
    """

    def __init__(self, x, y, batch_size, most, piece, floatX, seed=None):
        import pytensor

        self.data, self.labels, self.batch_size, self.seed = x, y, batch_size, seed
        self.run, self.piece = count_run(batch_size), piece
        self.n_runs = len(x) // self.run  # whole ones; the rest of the patches ends the last block
        blocks = max(1, -(-self.n_runs // most))
        self.runs = max(1, -(-self.n_runs // blocks))  # of a block: blocks of about one length
        self.n_blocks = max(1, -(-self.n_runs // self.runs))
        self.x = pytensor.shared(np.empty((0, x.shape[1]), x.dtype), name="x")
        self.y = pytensor.shared(np.empty(0, floatX), name="y")
        self.order = None
        if seed is not None:
            self.order = pytensor.shared(np.empty(0, np.int64), name="order")
        self.epoch, self.present, self.coming = 0, None, None  # (epoch, block), with its future
        # Written by turns: the memory of a large array that is freed does not always come back.
        shape = min(len(x), (self.runs + 1) * self.run), x.shape[1]
        self.used, self.spare = np.empty(shape, x.dtype), np.empty(shape, x.dtype)
        self.reader = ThreadPoolExecutor(1)

    def start_epoch(self, epoch):
        """Go over to the order of an epoch."""
        self.epoch = 0 if self.seed is None else epoch

    def feed(self, function):
        """Return the function of a minibatch's index, given that of its index in the block."""
        return lambda index: function(self.find(index))

    def find(self, index):
        """Bring in the block of a minibatch; return the minibatch's index there."""
        in_block = self.runs * self.run // self.batch_size
        block = min(index // in_block, self.n_blocks - 1)
        if (self.epoch, block) != self.present:
            self.bring(self.epoch, block)
        return index - block * in_block

    def bring(self, *wanted):
        """Put the block (epoch, block) in place, and have the one after it read."""
        if self.coming is None or self.coming[0] != wanted:
            self.coming = wanted, self.reader.submit(self.read, *wanted)
        values = self.coming[1].result()
        for variable, value in zip((self.x, self.y, self.order), values):
            if variable is not None:
                variable.set_value(value, borrow=True)
        self.spare, self.used = self.used, self.spare
        self.present, self.coming, (epoch, block) = wanted, None, wanted
        following = (epoch, block + 1)
        if block + 1 == self.n_blocks:
            following = (epoch + (self.seed is not None), 0)
        if following != wanted:
            self.coming = following, self.reader.submit(self.read, *following)

    def read(self, epoch, block):
        """Return x and y of a block, run after run, and the order of its patches.

        Only `reader` may call this: x is the spare memory.
        """
        n = self.n_runs * self.run
        if self.seed is None:
            runs = np.arange(self.n_runs)
        else:
            runs = np.random.RandomState([self.seed, epoch]).permutation(self.n_runs)
        runs = runs[block * self.runs : (block + 1) * self.runs]
        rest = slice(n, len(self.data) if block == self.n_blocks - 1 else n)
        y = [self.labels[:n].reshape(-1, self.run)[runs].ravel(), self.labels[rest]]
        y = np.concatenate(y).astype(self.y.type.dtype)
        x = self.spare[: len(y)]
        source = self.data[:n].reshape(-1, self.run, x.shape[1])
        copied = x[: len(runs) * self.run].reshape(-1, *source.shape[1:])
        for i in range(0, len(runs), self.piece):
            some = runs[i : i + self.piece]
            for run in some:
                expect(source[run])
            # One call, in which other threads run.
            np.take(source, some, axis=0, out=copied[i : i + self.piece], mode="clip")
            release(self.data)
        x[len(runs) * self.run :] = self.data[rest]
        release(self.data)
        if self.seed is None:
            return x, y, None
        return x, y, np.random.RandomState([self.seed, epoch, block]).permutation(len(y))


def open_streams(splits, recipe, floatX, memory_mb):
    """Return a Stream for train, valid and test, or None if they fit into memory_mb, or it is None.

    Parameters
    ----------
    splits : three (x, y)
    recipe : Recipe
    floatX : {'float32', 'float64'}
    memory_mb : float or None
        Megabytes (10 ** 6 bytes) that patches may take.

    Raises
    ------
    ValueError
        If the memory is too little for runs of this batch size.

    Warns
    -----
    RuntimeWarning
        Where memory_mb is None and the set is larger than the machine's memory.
    """
    itemsize = np.dtype(floatX).itemsize
    needed = sum(x.nbytes + (x.dtype != floatX) * x.size * itemsize for x, _ in splits)
    if memory_mb is None:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > there:
            warnings.warn(
                f"the set takes {needed / 1e9:.3g} GB, this machine has {there / 1e9:.3g} GB of "
                "memory; give memory_mb (--memory) to read it in runs",
                RuntimeWarning,
                stacklevel=3,
            )
        return None
    if not memory_mb > 0:
        raise ValueError(f"memory_mb = {memory_mb}; a positive number is needed")
    if needed <= memory_mb * 1e6:
        return None
    for x, _ in splits:
        if not x.flags.c_contiguous or x.dtype not in (np.float32, np.float64):
            raise ValueError(f"x is {x.dtype} with strides {x.strides}; a set that takes more than "
                             f"memory_mb = {memory_mb} must be float32 or float64 in C order")
    run_bytes = count_run(recipe.batch_size) * max(x.strides[0] for x, _ in splits)
    # The last block holds the rest of a run as well.
    most = {name: int(memory_mb * 1e6 * share / run_bytes) - 1 for name, share in SHARES.items()}
    if min(most.values()) < 1:
        least = np.ceil(2 * run_bytes / min(SHARES.values()) / 1e6)
        raise ValueError(f"memory_mb = {memory_mb}; with minibatches of {recipe.batch_size} patches "
                         f"at least {least:.0f} is needed")
    piece = int(memory_mb * 1e6 * PIECE_SHARE / run_bytes)
    return [
        Stream(*split, recipe.batch_size, most[name], piece, floatX,
               recipe.seed if recipe.shuffle and name == "train" else None)
        for name, split in zip(SHARES, splits)
    ]


def count_run(batch_size):
    """Return the patches of a run."""
    return -(-RUN // batch_size) * batch_size


def read_pieces(x, rows=PIECE):
    """Yield the rows of an array, some at a time; give the pages of a mapped file back."""
    for i in range(0, len(x), rows):
        yield x[i : i + rows]
        release(x)


def check_values(splits, floatX, hashed, known):
    """Check that all x are finite in floatX, in one pass; return their SHA-256 where asked for.

    known : dict of split name to SHA-256 of an x that has been checked; it is not read.
    """
    hashes = {}
    for name, (x, *_) in zip(SHARES, splits):
        if name in known:
            hashes[name] = known[name]
            continue
        digest = hashlib.sha256()
        for i, some in enumerate(read_pieces(x)):
            with np.errstate(over="ignore"):
                finite = np.isfinite(some.astype(floatX, copy=False)).all()
            if not finite:
                raise ValueError(f"{name}: x has values that are not finite, near row "
                                 f"{i * PIECE}; remove them")
            if hashed:
                digest.update(np.ascontiguousarray(some))
        hashes[name] = digest.hexdigest()
    return hashes


def find_mapping(x):
    """Return the memory map that an array views, and its offset there; None, 0 if there is none."""
    root = x
    while isinstance(root, np.ndarray):
        if isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap):
            if root.mode == "c":  # copied on write: giving pages back would lose what was written
                break
            start = root.offset % mmap.ALLOCATIONGRANULARITY
            return root.base, start + x.ctypes.data - root.ctypes.data
        root = root.base
    return None, 0


def expect(x):
    """Have the file behind an array read, in the background, as one request."""
    mapping, offset = find_mapping(x)
    if mapping is not None:
        start = offset // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, start, offset + x.nbytes - start)


def release(x):
    """Take the file behind an array out of this process's memory; it stays in the page cache."""
    mapping, _ = find_mapping(x)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)
