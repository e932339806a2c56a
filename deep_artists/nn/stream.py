"""Sets larger than memory: a block of patches at a time, the next one read while one is in use.

A chunk is the fewest minibatches that hold at least 128 patches, about a track. A block is as many
chunks as fit into its share of the memory. In stored order the blocks follow each other as they lie
in the file. With shuffling, an epoch permutes the chunks, and then the patches inside every block.
The order follows from the seed, the epoch, the number of patches, the batch size and the memory
allowed, and from nothing else. Unlike a full shuffle, a minibatch mixes patches of one block only,
and the patches of a chunk always share a block.

Files are read through their mapping. Pages are prefetched a chunk at a time and dropped once they
are copied, so what is resident stays within the memory allowed.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytensor

from ..data.mapped import drop_pages, prefetch
from ..data.tracks import SPLITS

CHUNK = 128  # patches

# Of the memory, for one of a split's two blocks, and for pages on their way; they sum to 1.
SHARES = dict(zip(SPLITS, (5 / 16, 1 / 16, 1 / 16)))
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
        Chunks in a block, at the most; there are two blocks, the present one and the next.
    piece : int
        Chunks that are copied at a time.
    floatX : {'float32', 'float64'}
        Of the labels; x keeps its own dtype.
    seed : int, optional
        Of the shuffling; stored order if not given.
    transform : callable, optional
        What becomes of the x of a block before it is used: an array of the same shape and dtype.

    Attributes
    ----------
    n : int
        Patches of the split.
    x, y, order : shared variables
        Patches, labels and order of patches of the present block. Minibatch i of it is
        ``x[order[i * batch_size : (i + 1) * batch_size]]``, without the order if there is no seed.
    """

    def __init__(self, x, y, batch_size, most, piece, floatX, seed=None, transform=None):
        self.data, self.labels, self.batch_size, self.seed = x, y, batch_size, seed
        self.n, self.transform = len(x), transform
        self.chunk, self.piece = count_chunk(batch_size), piece
        # Whole ones; the rest of the patches ends the last block.
        self.n_chunks = len(x) // self.chunk
        blocks = max(1, -(-self.n_chunks // most))
        self.chunks = max(1, -(-self.n_chunks // blocks))  # of a block: blocks of about one length
        self.n_blocks = max(1, -(-self.n_chunks // self.chunks))
        self.x = pytensor.shared(np.empty((0, x.shape[1]), x.dtype), name="x")
        self.y = pytensor.shared(np.empty(0, floatX), name="y")
        self.order = None
        if seed is not None:
            self.order = pytensor.shared(np.empty(0, np.int64), name="order")
        self.epoch, self.present, self.coming = 0, None, None  # (epoch, block), with its future
        # Written by turns: the memory of a large array that is freed does not always come back.
        shape = min(len(x), (self.chunks + 1) * self.chunk), x.shape[1]
        self.used, self.spare = np.empty(shape, x.dtype), np.empty(shape, x.dtype)
        self.reader = ThreadPoolExecutor(1)

    def start_epoch(self, epoch):
        """Go over to the order of an epoch."""
        self.epoch = 0 if self.seed is None else epoch

    def wrap(self, function):
        """Return the function of a minibatch's index, given that of its index in the block."""
        return lambda index: function(self.locate(index))

    def locate(self, index):
        """Bring in the block of a minibatch; return the minibatch's index there."""
        in_block = self.chunks * self.chunk // self.batch_size
        block = min(index // in_block, self.n_blocks - 1)
        if (self.epoch, block) != self.present:
            self.load_block(self.epoch, block)
        return index - block * in_block

    def divide(self, indices):
        """Bring in each block of a range of minibatches; yield the range of their indices there."""
        in_block = self.chunks * self.chunk // self.batch_size
        while indices:
            first = self.locate(indices.start)
            last = self.present[1] == self.n_blocks - 1  # it holds the rest as well
            n = len(indices) if last else min(len(indices), in_block - first)
            yield range(first, first + n)
            indices = indices[n:]

    def load_block(self, *wanted):
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
        """Return x and y of a block, chunk after chunk, and the order of its patches.

        Only `reader` may call this: x is the spare memory.
        """
        n = self.n_chunks * self.chunk
        if self.seed is None:
            chunks = np.arange(self.n_chunks)
        else:
            chunks = np.random.RandomState([self.seed, epoch]).permutation(self.n_chunks)
        chunks = chunks[block * self.chunks : (block + 1) * self.chunks]
        rest = slice(n, len(self.data) if block == self.n_blocks - 1 else n)
        y = [self.labels[:n].reshape(-1, self.chunk)[chunks].ravel(), self.labels[rest]]
        y = np.concatenate(y).astype(self.y.type.dtype)
        x = self.spare[: len(y)]
        source = self.data[:n].reshape(-1, self.chunk, x.shape[1])
        copied = x[: len(chunks) * self.chunk].reshape(-1, *source.shape[1:])
        for i in range(0, len(chunks), self.piece):
            some = chunks[i : i + self.piece]
            for chunk in some:
                prefetch(source[chunk])
            # One call, in which other threads go on.
            np.take(source, some, axis=0, out=copied[i : i + self.piece], mode="clip")
            drop_pages(self.data)
        x[len(chunks) * self.chunk :] = self.data[rest]
        drop_pages(self.data)
        if self.transform is not None:
            for i in range(0, len(x), self.chunk):
                x[i : i + self.chunk] = self.transform(x[i : i + self.chunk])
        if self.seed is None:
            return x, y, None
        return x, y, np.random.RandomState([self.seed, epoch, block]).permutation(len(y))


def open_streams(splits, batch_size, floatX, memory_mb, seed=None, transform=None):
    """Return a Stream for train, valid and test, or None if they fit into memory_mb, or it is None.

    Parameters
    ----------
    splits : three (x, y)
    batch_size : int
    floatX : {'float32', 'float64'}
    memory_mb : float or None
        Megabytes (10 ** 6 bytes) that patches may take.
    seed : int, optional
        Of the shuffling of train; stored order if not given.
    transform : callable, optional
        See `Stream`.

    Raises
    ------
    ValueError
        If the memory is too little for chunks of this batch size.

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
                "memory; give memory_mb (--memory) to read it in chunks",
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
            raise ValueError(
                f"x is {x.dtype} with strides {x.strides}; a set that takes more than "
                f"memory_mb = {memory_mb} must be float32 or float64 in C order"
            )
    chunk_bytes = count_chunk(batch_size) * max(x.strides[0] for x, _ in splits)
    # The last block holds the rest of a chunk as well.
    most = {name: int(memory_mb * 1e6 * share / chunk_bytes) - 1 for name, share in SHARES.items()}
    if min(most.values()) < 1:
        least = np.ceil(2 * chunk_bytes / min(SHARES.values()) / 1e6)
        raise ValueError(
            f"memory_mb = {memory_mb}; with minibatches of {batch_size} patches "
            f"at least {least:.0f} is needed"
        )
    piece = int(memory_mb * 1e6 * PIECE_SHARE / chunk_bytes)
    seeds = {"train": seed}
    return [
        Stream(*split, batch_size, most[name], piece, floatX, seeds.get(name), transform)
        for name, split in zip(SHARES, splits)
    ]


def count_chunk(batch_size):
    """Return the patches of a chunk."""
    return -(-CHUNK // batch_size) * batch_size
