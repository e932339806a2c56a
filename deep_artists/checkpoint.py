"""The state of a training run on disk, so that a run killed at any moment goes on.

A checkpoint is an .npz without pickle, written under a temporary name and renamed. The last two
are kept: if the newer one is damaged, the one before it serves. A resumed run makes the same
costs, lines and parameters as one never interrupted, to the last bit, because all that its future
depends on is the parameters, the counters of the loop and the recipe's seed.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np

from .model import DAMAGE, NAMES

FORMAT = 2
STATE = ("validation", "test_error", "best_validation_error", "best_iteration", "log", "patience",
         "seconds")


class Checkpoints:
    """The checkpoints of one run in a folder.

    Parameters
    ----------
    folder : str or path
    recipe : Recipe
    floatX : str
    splits : three (x, y)
        What is trained on: a checkpoint made of other data is refused.
    hashes : dict of split name to SHA-256 of x
    memory_mb : float, optional
        Where the order of the patches depends on it.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder, recipe, floatX, splits, hashes, memory_mb=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # n_epochs may grow: what was done stays what it was.
        self.run = {"recipe": recipe.replace(n_epochs=1).to_dict(), "floatX": floatX,
                    "data": fingerprint(splits, hashes), "memory_mb": memory_mb}

    def paths(self):
        """Return the checkpoints, newest first."""
        return sorted(self.folder.glob("checkpoint-*.npz"), reverse=True)

    def save(self, functions, result):
        """Write the state of a run; drop all but the last two."""
        path = self.folder / f"checkpoint-{len(result.costs):09d}.npz"
        about = {"format": FORMAT, "run": self.run, **{name: getattr(result, name) for name in STATE}}
        arrays = {f"last_{name}": a for name, a in functions.network.values().items()}
        arrays |= {f"best_{name}": a for name, a in (functions.best or {}).items()}
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                np.savez(file, about=np.array(json.dumps(about)), costs=np.array(result.costs), **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        for old in self.paths()[2:]:
            old.unlink(missing_ok=True)

    def restore(self, result, functions):
        """Bring a run to the newest state that can be read; return whether there was one.

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
                state = {name: about[name] for name in STATE}
                costs = list(arrays["costs"])
                last = {name: arrays[f"last_{name}"] for name in NAMES}
                found = (about["format"], about["run"])
            except DAMAGE as error:
                warnings.warn(f"{path} is damaged and passed over: {error}", RuntimeWarning)
                # Among those to be kept it would count as the newest.
                path.rename(path.with_suffix(".damaged"))
                continue
            if found != (FORMAT, json.loads(json.dumps(self.run))):
                raise ValueError(
                    f"{path} is the state of another run (recipe, floatX, data, memory_mb or format "
                    "differ); give another folder, or remove it"
                )
            for name, value in state.items():
                setattr(result, name, value)
            result.validation = [tuple(pair) for pair in result.validation]
            result.costs = costs
            functions.network.set_values(last)
            if "best_conv_W" in arrays:
                functions.best = {name: arrays[f"best_{name}"] for name in NAMES}
            return True
        return False


def fingerprint(splits, hashes):
    """Return a hash of all labels and patches."""
    digest = hashlib.sha256()
    for (x, y), x_hash in zip(splits, hashes.values()):
        digest.update(repr((x.shape, str(x.dtype), x_hash)).encode())
        digest.update(np.ascontiguousarray(y, np.int64))
    return digest.hexdigest()
