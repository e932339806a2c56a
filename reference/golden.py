"""Read the recordings, after checking each against the manifest.

A recording is a file under ``golden/``, listed in ``golden/MANIFEST.json`` with its SHA-256 and
where it came from. Nothing here writes one. Names are relative: ``"program/last-float64.npz"``.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

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


def make_dataset(seed=2013, n_classes=20):
    """Make the set that the recorded runs were trained on.

    Products of uniform draws only, so every NumPy gives the same bits. Every sixteenth row is
    silent and every 37th constant: both make ties.

    Returns
    -------
    list of (x, y)
        train, valid, test: x float32 (60 | 15 | 15 per class, 2560), y int64.
    """
    rng = np.random.RandomState(seed)
    envelope = rng.uniform(size=(n_classes, 64, 1)) * rng.uniform(size=(n_classes, 64, 1))
    datasets = []
    for n in (60, 15, 15):
        x = np.empty((n_classes, n, 64, 40))
        for c in range(n_classes):
            u = rng.uniform(size=(n, 64, 40))
            v = rng.uniform(size=(n, 1, 40))
            x[c] = ((8.0 * envelope[c]) * u) * v
        x = x.reshape(-1, 2560)
        x[5::16] = 0.0
        x[11::37] = x[11::37, :1]
        datasets.append((x.astype(np.float32), np.repeat(np.arange(n_classes), n)))
    return datasets
