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

from ..data.arrays import open_npz
from ..data.files import (
    DamagedFileError,
    FolderError,
    check_fields,
    new_file,
    own_folder,
    parse_json,
    printable,
    remove_unfinished,
)

FORMAT = 2
WAIT_S = 60  # for another process that is writing a checkpoint
STATE = {
    "validation": list,
    "test_error": (int, float),
    "best_validation_error": (int, float),
    "best_iteration": int,
    "log": list,
    "patience": int,
    "seconds": (int, float),
}


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
    FolderError
        If the folder cannot be made or written to.
    """

    def __init__(self, folder, run, splits, hashes):
        self.folder = Path(folder)
        with own_folder(self.folder, WAIT_S):
            remove_unfinished(self.folder, "checkpoint-*")
        self.run = {**run, "data": fingerprint(splits, hashes)}

    def paths(self):
        """Return the checkpoints, newest first."""
        return sorted(self.folder.glob("checkpoint-*.npz"), reverse=True)

    def save(self, steps, result):
        """Write the state of a run; drop all but the last two.

        Warns
        -----
        RuntimeWarning
            If it cannot be written: the run goes on without.
        """
        path = self.folder / f"checkpoint-{len(result.costs):09d}.npz"
        about = {
            "format": FORMAT,
            "run": self.run,
            **{name: getattr(result, name) for name in STATE},
        }
        arrays = {f"last_{name}": a for name, a in steps.network.values().items()}
        arrays |= {f"best_{name}": a for name, a in (steps.best or {}).items()}
        try:
            with own_folder(self.folder, WAIT_S):
                with new_file(path) as file:
                    np.savez(
                        file,
                        about=np.array(json.dumps(about)),
                        costs=np.array(result.costs),
                        **arrays,
                    )
                    file.flush()
                    os.fsync(file.fileno())
                for old in self.paths()[2:]:
                    old.unlink(missing_ok=True)
        except (OSError, FolderError) as error:
            warnings.warn(f"the state of the run cannot be kept: {error}", RuntimeWarning)

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
                return self._read(path, list(names))
            except (OSError, DamagedFileError) as error:
                warnings.warn(
                    f"{printable(path)} is damaged and passed over: {printable(error)}",
                    RuntimeWarning,
                )
                # Among those to be kept it would count as the newest.
                path.rename(path.with_suffix(".damaged"))
        return None

    def _read(self, path, names):
        with open_npz(path) as file:
            about = parse_json(file.read_text("about"), path, format=int, run=dict)
            if (about["format"], about["run"]) != (FORMAT, json.loads(json.dumps(self.run))):
                raise ValueError(
                    f"{path} is the state of another run (recipe, floatX, data, memory_mb or "
                    "format differ); give another folder, or remove it"
                )
            check_fields(about, path, **STATE)
            file.check_names(
                {"about", "costs", *(f"{which}_{n}" for which in ("last", "best") for n in names)}
            )
            costs = file.read("costs")
            last = {name: file.read(f"last_{name}") for name in names}
            best = None
            if any(name.startswith("best_") for name in file.headers):
                best = {name: file.read(f"best_{name}") for name in names}
        pairs = all(isinstance(pair, list) and len(pair) == 2 for pair in about["validation"])
        lines = all(isinstance(line, str) for line in about["log"])
        if not pairs or not lines or costs.ndim != 1 or costs.dtype.kind != "f":
            raise DamagedFileError(f"{path}: is damaged, its costs, validations or log are none")
        return {name: about[name] for name in STATE}, list(costs), last, best


def restore(state, result, steps):
    """Bring a result and its steps to a state that `Checkpoints.read` returned.

    Raises
    ------
    ValueError
        If its parameters do not fit the network.
    """
    counters, costs, last, best = state
    for name, needed in steps.network.values().items():
        for found in (last[name], best[name] if best else last[name]):
            if (found.shape, found.dtype) != (needed.shape, needed.dtype):
                raise ValueError(
                    f"{name} of the checkpoint is {found.dtype} {found.shape}, not {needed.dtype} "
                    f"{needed.shape}; remove the checkpoint"
                )
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
