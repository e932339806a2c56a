"""The file of a learned chroma or fretboard: .npz without pickle, with a JSON text `about`."""

import json
from contextlib import contextmanager

import numpy as np

from ..data.arrays import open_npz
from ..data.files import new_file, parse_json

FORMAT = 1


def write_learner(path, kind, about, arrays):
    """Write the arrays of a learner, and what else made it, under a temporary name first."""
    about = {"format": FORMAT, "kind": kind, **about}  # NumPy's numbers among it
    with new_file(path) as file:
        np.savez(
            file, about=np.array(json.dumps(about, default=lambda value: value.item())), **arrays
        )


@contextmanager
def read_learner(path, kind):
    """Yield (about, arrays) of a file; whatever its reader finds wrong is a ValueError."""
    try:
        with open_npz(path) as file:
            about = parse_json(file.read_text("about"), path, kind=str)
            arrays = {name: file.read(name) for name in file.headers if name != "about"}
        if (about["kind"], about["format"]) != (kind, FORMAT):
            raise ValueError(f"it is of kind {about['kind']!r}, format {about['format']}")
        yield about, arrays
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{path} is no model of {kind}, or is damaged: {error}") from error
