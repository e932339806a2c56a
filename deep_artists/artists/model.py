"""A trained model: its arrays, what made them, and what it predicts.

The file is an .npz without pickle, the exchange format: the last parameters under the names of
`recipe.NAMES` (what 2013 saved), the best ones under ``best_`` and the same names, and one JSON
text, ``about``: format number, recipe, label names, versions.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.arrays import open_npz
from ..data.compression import compress
from ..data.files import DamagedFileError, new_file, parse_json
from ..data.mapped import read_pieces
from ..ops.device import check_device
from .recipe import IMAGE_SHAPE, NAMES, Recipe, expected_shapes, from_dict

BATCH = 512  # patches that are computed at once

FORMAT = 1


class ModelError(ValueError):
    """A model file that cannot be read, or whose arrays do not fit its recipe."""


@dataclass
class Model:
    """A trained network as plain arrays.

    Attributes
    ----------
    last, best : dict of str to np.ndarray
        The parameters after the last update, and after the one of lowest validation error (the
        last ones where no validation was reached), by the names in `recipe.NAMES`. conv_W (filters,
        1, rows, columns) is not flipped: the network flips it, as Theano did. A model that
        holds the first layer only, as 2013 pickled it, has conv_W and conv_b.
    recipe : Recipe
        With the number of outputs in `n_out`.
    label_names : list of str
        One per output that has a label.
    about : dict
        Versions and whatever else made the model. ``input``, where the recipe compresses: the
        ``mean`` and ``deviation`` of train, see `data.compression`. ``diverged_at``, where the
        run diverged: the first iteration whose cost was not finite.
    device : {'cpu', 'cuda'}
        Where it computes: may be set, is not saved.
    """

    last: dict
    best: dict
    recipe: Recipe
    label_names: list
    about: dict = field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self):
        check_arrays(get_headers(self.last), get_headers(self.best), self.recipe)
        names = self.label_names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ModelError(f"label names {names!r}; a list of texts is needed")
        if len(self.label_names) > self.recipe.n_out:
            raise ModelError(f"{len(self.label_names)} label names for {self.recipe.n_out} outputs")
        check_input(self.about, self.recipe)
        self._functions = {}

    @property
    def floatX(self) -> str:
        """The dtype of the arrays."""
        return str(self.last["conv_W"].dtype)

    def __getattr__(self, name):
        if name in NAMES and "last" in self.__dict__:
            return self.last[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getstate__(self):
        # Compiled functions cannot be pickled; a copy compiles its own.
        return {**self.__dict__, "_functions": {}}

    def save(self, path: str | os.PathLike) -> Path:
        """Write the model to an .npz file, under a temporary name first.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Path

        Raises
        ------
        OSError
            If the file cannot be written; one that was there is left as it was.
        """
        path = Path(path)
        about = {
            **self.about,
            "format": FORMAT,
            "recipe": self.recipe.to_dict(),
            "label_names": list(self.label_names),
        }
        arrays = {**self.last, **{f"best_{name}": a for name, a in self.best.items()}}
        with new_file(path) as file:
            np.savez(file, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Model:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Model

        Raises
        ------
        ModelError
            If the file is no model, is damaged, comes from a later format, or its arrays do not
            fit its recipe.
        FileNotFoundError
        """
        best_names = {f"best_{name}": name for name in NAMES}
        try:
            with open_npz(path) as file:
                text = file.read_text("about")
                about = parse_json(text, path, format=int, recipe=object, label_names=object)
                number, recipe = about.pop("format"), about.pop("recipe")
                if number != FORMAT:
                    raise ModelError(
                        f"{path} has model format {number}, this version reads {FORMAT}: update "
                        "deep_artists"
                    )
                file.check_names({"about", *NAMES, *best_names})
                last = {name: file.headers[name] for name in NAMES if name in file.headers}
                best = {n: file.headers[b] for b, n in best_names.items() if b in file.headers}
                recipe = from_dict(recipe)
                check_arrays(last, best, recipe)  # before any is read
                return cls(
                    last={name: file.read(name) for name in last},
                    best={name: file.read(f"best_{name}") for name in best},
                    recipe=recipe,
                    label_names=about.pop("label_names"),
                    about=about,
                )
        except DamagedFileError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise ModelError(f"{path} is no model of deep_artists, or damaged: {reason}") from error
        except ValueError as error:
            raise ModelError(f"{path}: {str(error).removeprefix(f'{path} ')}") from error

    @property
    def is_whole(self) -> bool:
        """Whether the model has all three layers, not the first only."""
        return len(self.last) == len(NAMES)

    def _need_whole(self):
        if not self.is_whole:
            raise ModelError("the model holds the first layer only; it has layer='pool' to give")

    def _compute(self, x, parameters, layer, order=None):
        """Yield what a layer makes of the patches, some at a time, with no more in memory.

        layer : index of pooled maps, and of a whole model hidden units, logits, probabilities
        order : int array, optional, of the patches
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != np.prod(IMAGE_SHAPE):
            raise ValueError(f"x has shape {x.shape}; (n, {np.prod(IMAGE_SHAPE)}) is needed")
        if parameters not in ("best", "last"):
            raise ValueError(f"parameters = {parameters!r}; there are 'best' and 'last'")
        which = parameters, self.device
        if which not in self._functions:
            check_device(self.device)
            self._functions[which] = compile_forward(self, getattr(self, parameters))
        forward = self._functions[which]
        if not len(x):  # no row gives an array of no row
            yield np.asarray(forward(np.zeros((1, x.shape[1]), self.floatX))[layer])[:0]
        if order is None:
            pieces = read_pieces(x, BATCH)
        else:
            pieces = (x[order[i : i + BATCH]] for i in range(0, len(order), BATCH))
        for some in pieces:
            if not np.isfinite(some).all():
                raise ValueError("x has values that are not finite; remove those patches")
            if self.recipe.compression == "log":
                some = compress(np.asarray(some), **self.about["input"])
            # A row may begin at any address of a file: the compiled code needs it aligned.
            yield np.asarray(forward(np.require(np.asarray(some), self.floatX, "A"))[layer])

    def predict_log_proba(self, x: np.ndarray, parameters: str = "best") -> np.ndarray:
        """Return the log-probability of every output for every patch.

        Parameters
        ----------
        x : np.ndarray [shape=(n, 2560)], float
        parameters : {'best', 'last'}

        Returns
        -------
        np.ndarray [shape=(n, n_out)], of the model's dtype
        """
        self._need_whole()
        return np.concatenate(list(self._compute_log_p(x, parameters)))

    def _compute_log_p(self, x, parameters, order=None):
        from scipy.special import log_softmax

        for logits in self._compute(x, parameters, 2, order):
            yield log_softmax(logits, axis=1)

    def transform(
        self, x: np.ndarray, layer: str = "hidden", parameters: str = "best"
    ) -> np.ndarray:
        """Return what a layer makes of every patch: features for other tasks.

        Parameters
        ----------
        x : np.ndarray [shape=(n, 2560)], float
        layer : {'pool', 'hidden', 'proba'}
            The pooled and rectified maps, flattened; the rectified linear layer; probabilities.
        parameters : {'best', 'last'}

        Returns
        -------
        np.ndarray [shape=(n, n_in) or (n, n_hidden) or (n, n_out)]
        """
        layers = {"pool": 0, "hidden": 1, "proba": 3}
        if layer not in layers:
            raise ValueError(f"layer = {layer!r}; there are {', '.join(layers)}")
        if layer != "pool":
            self._need_whole()
        return np.concatenate(list(self._compute(x, parameters, layers[layer])))

    def predict(self, x: np.ndarray, parameters: str = "best") -> np.ndarray:
        """Return the likeliest output for every patch: an int array [shape=(n,)]."""
        self._need_whole()
        return np.concatenate([p.argmax(axis=1) for p in self._compute(x, parameters, 3)])

    def predict_by_track(
        self, x: np.ndarray, track: np.ndarray, parameters: str = "best"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the likeliest output for every track: mean log-probability over its patches.

        Parameters
        ----------
        x : np.ndarray [shape=(n, 2560)], float
        track : np.ndarray [shape=(n,)], int
            Which track a patch is from.

        Returns
        -------
        tracks : np.ndarray
            The different values of `track`, sorted.
        predicted : int np.ndarray
            An output for each.
        """
        self._need_whole()
        tracks, row = np.unique(track, return_inverse=True)
        order = None
        if (row[1:] < row[:-1]).any():
            order = np.argsort(row, kind="stable")
            row = row[order]
        predicted = np.empty(len(tracks), int)
        for r, total in sum_by_track(self._compute_log_p(x, parameters, order), row):
            predicted[r] = total.argmax()
        return tracks, predicted

    def evaluate(self, split: tuple, parameters: str = "best") -> dict[str, float | None]:
        """Return the error of the patches, and of the tracks where they are known.

        Parameters
        ----------
        split : (x, y) or (x, y, track)
        parameters : {'best', 'last'}

        Returns
        -------
        dict
            ``patch_error`` and ``track_error``, shares between 0 and 1 (None: tracks unknown).
        """
        x, y, *track = split
        errors = {
            "patch_error": float(np.mean(self.predict(x, parameters) != y)),
            "track_error": None,
        }
        if track and track[0] is not None:
            tracks, predicted = self.predict_by_track(x, track[0], parameters)
            _, first = np.unique(track[0], return_index=True)
            errors["track_error"] = float(np.mean(predicted != np.asarray(y)[first]))
        return errors


def get_headers(arrays):
    """Return the dtype and the shape of arrays, by their names."""
    return {name: (a.dtype, a.shape) for name, a in arrays.items()}


def check_arrays(last, best, recipe):
    """Raise ModelError unless parameters are those of a recipe's network, or its first layer's.

    last, best : dict of str to (np.dtype, tuple)
    """
    if "conv_W" not in last:
        raise ModelError("last conv_W: found nothing")
    floatX, shapes = str(last["conv_W"][0]), expected_shapes(recipe)
    if floatX not in ("float32", "float64"):
        raise ModelError(f"arrays of {floatX}; float32 or float64 is needed")
    names = NAMES[:2] if set(last) <= set(NAMES[:2]) else NAMES
    for which, headers in (("last", last), ("best", best)):
        for name in names:
            dtype, shape = headers.get(name, ("nothing", ""))
            if (str(dtype), shape) != (floatX, shapes[name]):
                found = f"{dtype} {shape}".strip()
                raise ModelError(
                    f"{which} {name}: found {found}, its recipe needs {floatX} {shapes[name]}"
                )
        if more := sorted(headers.keys() - set(names)):
            raise ModelError(f"{which} {', '.join(more)}: found beside {', '.join(names)}")


def check_input(about, recipe):
    """Raise ModelError unless a model with compression knows the mean and deviation of train."""
    if recipe.compression == "none":
        return
    found = about.get("input")
    names = sorted(found) if isinstance(found, dict) else []
    numbers = names == ["deviation", "mean"] and all(type(n) is float for n in found.values())
    if not numbers or not np.isfinite(list(found.values())).all() or found["deviation"] <= 0:
        raise ModelError(
            f"about['input'] = {found!r}; with compression = {recipe.compression!r} the mean and "
            "the deviation of train are needed"
        )


def sum_by_track(pieces, row):
    """Yield (row, sum of its patches) for every track, whose patches follow each other.

    pieces : iterable of np.ndarray [shape=(n, k)], of all patches in the order of `row`
    row : int array, the track of every patch, sorted
    """
    current, total, done = None, 0.0, 0
    for values in pieces:
        some = row[done : done + len(values)]
        done += len(values)
        first = np.flatnonzero(np.diff(some, prepend=-1))
        for r, part in zip(some[first], np.add.reduceat(values, first, dtype=np.float64)):
            if r == current:
                total = part + total
                continue
            if current is not None:
                yield current, total
            current, total = r, part
    if current is not None:
        yield current, total


def compile_forward(model, values):
    """Compile patches -> pooled maps, hidden units, logits, probabilities.

    Without a C++ compiler NumPy computes them: to rounding the same, and more slowly.
    """
    from ..ops.compile import compile_function, has_compiler, python_mode
    from .network import Network

    if not model.is_whole:
        shapes = expected_shapes(model.recipe)
        values = {**{name: np.zeros(shapes[name]) for name in NAMES}, **values}
    network = Network(model.recipe, None, model.floatX, values)
    layers = [network.layer0.output.flatten(2)]
    if model.is_whole:
        layer3 = network.layer3
        layers += [network.layer2.output, layer3.lin_output, layer3.p_y_given_x]
    mode = None
    if model.device == "cpu" and not has_compiler():
        mode = python_mode()
    return compile_function([network.x], layers, device=model.device, mode=mode)


load = Model.load
