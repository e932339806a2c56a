"""The state of a training run on disk, so that a run killed at any moment can resume.

A checkpoint is an .npz without pickle, written under a temporary name and renamed. The last two
are kept: if the newer one is damaged, the one before it serves. A resumed run makes the same
costs, lines and parameters as an uninterrupted one, to the last bit, because its future depends
only on the parameters, the counters of the loop and the recipe's seed.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np

from ..data.files import READ_ERRORS, new_file

FORMAT = 2
STATE = (
    "validation",
    "test_error",
    "best_validation_error",
    "best_iteration",
    "log",
    "patience",
    "seconds",
)


class Checkpoints:
    """The checkpoints of one run in a folder.

    Parameters
    ----------
    folder : str or path
    run : dict that JSON can hold
        All that decides the run beside its data: a checkpoint of another run is refused.
    splits : three (x, y)
    hashes : list of str
        SHA-256 of each x.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder, run, splits, hashes):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run = {**run, "data": fingerprint(splits, hashes)}

    def paths(self):
        """Return the checkpoints, newest first."""
        return sorted(self.folder.glob("checkpoint-*.npz"), reverse=True)

    def save(self, steps, result):
        """Write the state of a run; drop all but the last two."""
        path = self.folder / f"checkpoint-{len(result.costs):09d}.npz"
        about = {
            "format": FORMAT,
            "run": self.run,
            **{name: getattr(result, name) for name in STATE},
        }
        arrays = {f"last_{name}": a for name, a in steps.network.values().items()}
        arrays |= {f"best_{name}": a for name, a in (steps.best or {}).items()}
        with new_file(path, prefix="checkpoint-") as file:
            np.savez(
                file, about=np.array(json.dumps(about)), costs=np.array(result.costs), **arrays
            )
            file.flush()
            os.fsync(file.fileno())
        for old in self.paths()[2:]:
            old.unlink(missing_ok=True)

    def read(self, names):
        """Return the newest state that can be read, or None.

        Parameters
        ----------
        names : iterable of str
            The parameters of the network.

        Returns
        -------
        (dict, list, dict, dict or None)
            The counters of the loop, the costs, the last parameters and the best ones.

        Raises
        ------
        ValueError
            If the state is that of another run: other recipe, dtype, data, order or format.

        Warns
        -----
        RuntimeWarning
            For a damaged checkpoint, which is passed over.
        """
        for path in self.paths():
            try:
                with np.load(path, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
                about = json.loads(str(arrays["about"]))
                counters = {name: about[name] for name in STATE}
                costs = list(arrays["costs"])
                last = {name: arrays[f"last_{name}"] for name in names}
                best = None
                if any(name.startswith("best_") for name in arrays):
                    best = {name: arrays[f"best_{name}"] for name in names}
                found = (about["format"], about["run"])
            except READ_ERRORS as error:
                warnings.warn(f"{path} is damaged and passed over: {error}", RuntimeWarning)
                # Among those to be kept it would count as the newest.
                path.rename(path.with_suffix(".damaged"))
                continue
            if found != (FORMAT, json.loads(json.dumps(self.run))):
                raise ValueError(
                    f"{path} is the state of another run (recipe, floatX, data, memory_mb or "
                    "format differ); give another folder, or remove it"
                )
            return counters, costs, last, best
        return None


def restore(state, result, steps):
    """Bring a result and its steps to a state that `Checkpoints.read` returned."""
    counters, costs, last, best = state
    for name, value in counters.items():
        setattr(result, name, value)
    result.validation = [tuple(pair) for pair in result.validation]
    result.costs = costs
    steps.network.set_values(last)
    steps.best = best


def fingerprint(splits, hashes):
    """Return a hash of all labels and patches."""
    digest = hashlib.sha256()
    for (x, y), x_hash in zip(splits, hashes):
        digest.update(repr((x.shape, str(x.dtype), x_hash)).encode())
        digest.update(np.ascontiguousarray(y, np.int64))
    return digest.hexdigest()
