"""Read the recordings, after checking each against the manifest.

A recording is a file under ``golden/``, listed in ``golden/MANIFEST.json`` with its SHA-256 and
where it came from. Nothing here writes one. Names are relative: ``"program/last-float64.npz"``.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from .inputs import make_dataset

__all__ = ["load", "log", "make_dataset", "manifest", "path"]

GOLDEN = Path(__file__).resolve().parent / "golden"


class RecordingError(ValueError):
    """A recording is missing from the manifest or its bytes have changed."""


def manifest():
    """Return the manifest: recording name -> sha256, recorded_by and further provenance."""
    return json.loads((GOLDEN / "MANIFEST.json").read_text())["files"]


def path(name):
    """Return the path of a recording whose bytes are those of the manifest.

    Raises
    ------
    RecordingError
        If `name` is not in the manifest or its SHA-256 differs.
    """
    entry = manifest().get(name)
    if entry is None:
        raise RecordingError(f"{name!r} is not in {GOLDEN / 'MANIFEST.json'}")
    file = GOLDEN / name
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise RecordingError(
            f"{file} has SHA-256 {found}, the manifest says {entry['sha256']}: the recording has "
            "changed; restore it from the repository"
        )
    return file


def load(name):
    """Return an .npz recording as a dict of arrays, read without pickle."""
    with np.load(path(name), allow_pickle=False) as recording:
        return dict(recording)


def log(name):
    """Return the lines that the 2013 program printed, one string with its line ends."""
    return path(name).read_text()
