"""What a check is made of: rungs of the ladder, and differences from recorded arrays.

A difference is inf where the shape or dtype is another.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..reference import inputs

DTYPES = ("float32", "float64")


class Rung(NamedTuple):
    """One check of `verify`."""

    name: str  # its words choose it, see the `parts` of `verify`
    recorded_by: str
    check: Callable  # yields (quantity, bound, measured)
    arguments: tuple = ()
    slow: bool = False  # left out by --quick


def relative(ours, recorded):
    """Return the largest difference over the largest recorded entry."""
    return entrywise(ours, recorded, float(np.abs(recorded).max()))


def entrywise(ours, recorded, least=0.0):
    """Return the largest difference over its recorded entry, or over `least` if that is more."""
    if not alike(ours, recorded):
        return np.inf
    scale = np.maximum(np.abs(recorded.astype(np.float64)), max(least, 1e-100))
    return float(np.max(np.abs(np.subtract(ours, recorded, dtype=np.float64)) / scale))


def unequal(ours, recorded):
    """Return how many entries differ."""
    return int(np.sum(ours != recorded)) if alike(ours, recorded) else np.inf


def alike(ours, recorded):
    return (np.shape(ours), np.asarray(ours).dtype) == (recorded.shape, recorded.dtype)


def check_inputs(arrays, recorded, prefix=""):
    """See that inputs made here by rule have the bytes of those recorded."""
    for name, array in arrays.items():
        if inputs.sha256(array) != recorded[f"{prefix}{name}_sha256"].item().decode():
            raise ValueError(f"input {prefix}{name} as made here is not the recorded one")
