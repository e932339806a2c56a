"""A trained model: its arrays, what made them, and what it predicts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.compression import compress
from ..data.mapped import read_pieces
from ..data.summary import as_html, as_text, list_names
from ..ops.device import check_device
from .model_file import ModelError, check_model, read_model, write_model
from .recipe import IMAGE_SHAPE, NAMES, Recipe, expected_shapes

BATCH = 512  # patches that are computed at once


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
        check_model(self.last, self.best, self.recipe, self.label_names, self.about)
        self._functions = {}

    @property
    def floatX(self) -> str:
        """The dtype of the arrays."""
        return str(self.last["conv_W"].dtype)

    def __repr__(self):
        return as_text(*self._summarise())

    def _repr_html_(self):
        return as_html(*self._summarise())

    def _summarise(self):
        recipe = self.recipe
        layers = f"{recipe.nkerns} filters of {recipe.filter_shape}, pooled by {recipe.poolsize}"
        if self.is_whole:
            layers += f", {recipe.n_hidden} hidden units, {recipe.n_out} outputs"
        n = sum(values.size for values in self.last.values())
        rows = [
            ("network", layers),
            ("artists", list_names(self.label_names)),
            ("parameters", f"{n} {self.floatX}, on {self.device}"),
        ]
        return f"Model of recipe {recipe.name}", rows

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
        return write_model(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Model:
        """Read a model that `save` wrote, or one that comes with the package.

        Parameters
        ----------
        path : str or path
            Or "open-music": 23 artists of the music that ``deep-artists fetch open-music`` brings,
            recipe `today`.

        Returns
        -------
        Model

        Raises
        ------
        ModelError
            If the file is no model, is damaged, comes from a later format, or its arrays do not
            fit its recipe.
        FileNotFoundError

        Examples
        --------
        >>> model = Model.load("open-music")
        >>> len(model.label_names), model.recipe.name
        (23, 'today')
        """
        return cls(**read_model(path))

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
        for logits in self._compute(x, parameters, 2, order):
            yield log_softmax(logits)

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

    def embed(
        self,
        x: Any,
        layer: str = "hidden",
        aggregate: str = "mean",
        clip: str | None = None,
        hop_s: float | None = None,
        on_error: str = "raise",
        parameters: str = "best",
        jobs: int = 1,
    ) -> Any:
        """Return what a layer makes of recordings: a row for each, in the order given.

        Parameters
        ----------
        x : path, (y, sr), or a list of them
            An audio file; or samples [shape=(n,) or (channels, n)] and their rate in Hz.
        layer : {'pool', 'hidden', 'proba'}
            See `transform`.
        aggregate : {'mean', 'meanstd', 'none'}
            The mean over the patches of a recording; the mean, followed by the standard
            deviation; or every patch, with its time.
        clip : {'last30', 'all'}, optional
            The last 30 s, as in 2013, or the whole recording. The recipe's, if not given.
        hop_s : float, optional
            Seconds between the beginnings of two patches, rounded to frames of 5.8 ms. Patch
            after patch, 0.232 s, if not given.
        on_error : {'raise', 'nan'}
            What becomes of a file that cannot be used: an error, or a row of NaN and a warning
            that counts them.
        parameters : {'best', 'last'}
        jobs : int
            Processes that read audio, -1 for one a core. They pay from some hundred files.

        Returns
        -------
        np.ndarray [shape=(k,) for one recording, (len(x), k) for a list]
            Of the model's dtype. With 'none' a pair: frames [shape=(patches, k)], and the times
            [shape=(patches,)] at which the patches begin, in seconds from the beginning of the
            recording; for a list, a list of each.

        Raises
        ------
        AudioError
            If a file cannot be used, and `on_error` is 'raise'.
        ValueError
            If an argument is unknown, or the model has no such layer.

        Examples
        --------
        >>> rng = np.random.RandomState(0)
        >>> from deep_artists import train
        >>> sets = [(rng.uniform(size=(80, 2560)), np.arange(80) % 4)] * 3
        >>> model = train(sets, "page", n_epochs=1, batch_size=40).model
        >>> y = rng.uniform(-0.1, 0.1, size=22050)  # a second of noise
        >>> model.embed((y, 22050)).shape
        (1024,)
        >>> model.embed([(y, 22050), (y, 22050)], aggregate="meanstd").shape
        (2, 2048)
        >>> frames, times_s = model.embed((y, 22050), aggregate="none", hop_s=0.1)
        >>> frames.shape, times_s[:3].round(3).tolist()
        ((8, 1024), [0.0, 0.099, 0.197])
        """
        from .embed import embed

        return embed(self, x, layer, aggregate, clip, hop_s, on_error, parameters, jobs)

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


def log_softmax(logits):
    """Return `scipy.special.log_softmax` of rows, which takes a quarter of a second to import."""
    highest = logits.max(axis=1, keepdims=True)
    shifted = logits - np.where(np.isfinite(highest), highest, 0)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


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
