"""A chain of blocks: their names, shapes and parameters."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from .layers import share


class Block(NamedTuple):
    """A block of a network: what went in, what comes out, its parameters."""

    name: str
    input: object  # a Block, or the tensor that the network begins with
    output: object  # a tensor
    params: tuple  # of shared variables, or what was given for them


def as_tensor(input):
    """Return the output of a block; a tensor as it is."""
    return input.output if isinstance(input, Block) else pt.as_tensor_variable(input)


def list_blocks(last):
    """Return the blocks that lead to the last one, in order, and it."""
    blocks = []
    while isinstance(last, Block):
        blocks.insert(0, last)
        last = last.input
    return blocks


def list_params(last):
    """Return the parameters of the blocks that lead to the last one, and its own."""
    return [p for block in list_blocks(last) for p in block.params]


def describe(last):
    """Return a table of the blocks that lead to the last one: shapes and parameter counts.

    Parameters
    ----------
    last : Block

    Returns
    -------
    str
        Shapes are of one clip; ? where the graph does not know a length.

    Examples
    --------
    >>> x = pt.tensor("x", shape=(None, 1, 4, 6), dtype="float64")
    >>> print(describe(Block("flatten", x, x.reshape((-1, 24)), ())))
    block    output  parameters
    input    1x4x6            0
    flatten  24               0
    total                     0
    """
    if not isinstance(last, Block):
        raise TypeError(f"describe: a Block is needed, found {type(last).__name__}")
    blocks = list_blocks(last)
    counts = [sum(map(count, block.params)) for block in blocks]
    rows = [("block", "output", "parameters"), ("input", blocks[0].input, 0)]
    rows += [(block.name, block.output, n) for block, n in zip(blocks, counts)]
    rows += [("total", "", sum(counts))]
    rows = [(name, x if isinstance(x, str) else format_shape(x), n) for name, x, n in rows]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return "\n".join(
        f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {n:>10}" for name, shape, n in rows
    )


def format_shape(x):
    return "x".join("?" if n is None else str(n) for n in x.type.shape[1:])


def count(param):
    """Return how many numbers a parameter has."""
    return int(np.prod(param.type.shape))


def refuse(name, reason):
    raise ValueError(f"block {name} does not fit: {reason}")


@contextmanager
def named(name):
    """Put the block's name before what an Op finds wrong with its arguments."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"block {name} does not fit: {error}") from error


def fit_params(name, x, draw, **given):
    """Return a block's parameters: those given, after a look at their shapes, or drawn ones.

    draw : dict of str to (shape, function of no argument that draws the values)
    """
    if x.dtype not in ("float32", "float64"):
        refuse(name, f"the input is {x.dtype} {x.type.shape}; float32 or float64 is needed")
    for key in given.keys() - draw.keys():
        if given[key] is not None:
            refuse(name, f"{key} is given, but the block is made without (bias=False)")
    params = {}
    for key, (shape, make) in draw.items():
        if given.get(key) is None:
            params[key] = share(make(), x.dtype, f"{name}_{key}")
            continue
        param = pt.as_tensor_variable(given[key])
        found = param.type.shape
        if len(found) != len(shape) or any(n not in (None, k) for n, k in zip(found, shape)):
            refuse(name, f"the input is {x.type.shape}, {key} is {found}; {key} {shape} is needed")
        if param.dtype != x.dtype:
            refuse(name, f"the input is {x.dtype}, {key} is {param.dtype}: one is needed")
        params[key] = param if found == shape else pt.specify_shape(param, shape)
    return params


def need_rng(name, rng):
    """Return the generator that a block draws its initial values from."""
    if rng is None:
        raise ValueError(
            f"block {name} lacks parameters: give rng=np.random.RandomState(seed), or all that "
            "it has (W=, ...)"
        )
    return rng


def to_sequence(x):
    """Return maps (B, N, F, T) as the sequence of their frames, (B, T, N F)."""
    b, n, f, t = (x.shape[i] if k is None else k for i, k in enumerate(x.type.shape))
    return x.dimshuffle(0, 3, 1, 2).reshape((b, t, n * f))


def take_frames(name, input):
    """Return a sequence, made from maps if need be."""
    x = as_tensor(input)
    x = to_sequence(x) if x.type.ndim == 4 else x
    if x.type.ndim != 3 or x.type.shape[2] is None:
        refuse(
            name,
            f"a sequence (B, T, D) or maps (B, N, F, T) of known size are needed, "
            f"found an input of {x.type.shape}",
        )
    return x


def take_maps(name, input):
    """Return the maps that a block takes."""
    x = as_tensor(input)
    if x.type.ndim != 4:
        refuse(name, f"maps (B, N, F, T) are needed, found an input of {x.type.shape}")
    return x
