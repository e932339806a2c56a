"""Train the network of a recipe on a labelled set."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..data.compression import compress, measure
from ..data.mapped import check_finite
from ..data.patches import CLIPS
from ..data.progress import Progress
from ..data.tracks import SPLITS
from ..data.versions import get_versions
from ..nn.loop import Result, run_epochs
from ..ops.device import check_device
from .model import Model
from .recipe import CHOICES, IMAGE_SHAPE, NAMES, Recipe, load_recipe


def train(
    datasets: Any,
    recipe: str | os.PathLike | Recipe = "page",
    floatX: str = "float32",
    n_epochs: int | None = None,
    echo: Callable[[str], object] | None = None,
    checkpoint: str | os.PathLike | None = None,
    device: str = "cpu",
    memory_mb: float | None = None,
    progress: bool = True,
    **overrides: Any,
) -> Result:
    """Train the network of a recipe.

    Parameters
    ----------
    datasets : Dataset, or three (x, y) pairs
        Train, valid and test: x float (n, 2560), y int (n,) with labels from 0. An opened set
        is read where it lies.
    recipe : str, path or Recipe
        See `recipe.load_recipe`.
    floatX : {'float32', 'float64'}
    n_epochs : int, optional
        Largest number of epochs, instead of the recipe's.
    echo : callable, optional
        Called with every line of the log as it comes; a resumed run repeats its earlier ones.
    checkpoint : str or path, optional
        Folder for the state of the run, written after every validation. If it holds the state of
        the same run, training resumes there, with the same bits as an uninterrupted run. A
        checkpoint from another device resumes too, but the bits differ.
    device : {'cpu', 'cuda'}
        See `ops.device.check_device`. On another device than the cpu, all iterations up to the
        next printed line, validation or block of a set that is read in blocks are one call.
    memory_mb : float, optional
        Megabytes (10 ** 6 bytes) that the patches may take in memory. A larger set is read in
        blocks and, if the recipe shuffles, in another order: see `nn.stream`.
    progress : bool
        Show on stderr how far the run is: a bar on a terminal or in a notebook, else a line every
        half minute. It ends with the epochs, or earlier when patience runs out, which may grow.
    **overrides
        Values for other fields of the recipe, as ``learning_rate=0.05``.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If the recipe or an override is wrong, or the sets are: their widths, lengths, labels
        beyond the outputs, fewer patches than a minibatch, values that are not finite; or if
        `memory_mb` is too little for the batch size.
    RuntimeError
        If no C++ compiler is found, or something that the device needs.

    Warns
    -----
    RuntimeWarning
        Once, when a cost is not finite: the run has diverged. It goes on, as in 2013. Also where
        the set is larger than the machine's memory and `memory_mb` is not given.

    Notes
    -----
    Ctrl-C ends the loop, not the function: the result holds what was reached.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> sets = [(rng.uniform(size=(20, 2560)), np.arange(20) % 2) for _ in range(3)]
    >>> result = train(sets, "second", n_epochs=2, batch_size=10, n_out=2)
    >>> len(result.costs), result.log[-2]
    (4, 'Optimization complete.')
    """
    if n_epochs is not None:
        overrides["n_epochs"] = n_epochs
    recipe = load_recipe(recipe, **overrides)
    if floatX not in ("float32", "float64"):
        raise ValueError(f"floatX = {floatX!r}; it is 'float32' or 'float64'")
    check_device(device)
    from ..nn.checkpoint import Checkpoints, restore
    from ..nn.stream import open_streams

    result = Result()

    def say(line):
        result.log.append(line)
        if echo is not None:
            echo(line)

    say("... loading data")
    splits = [
        check_split(name, split, recipe.batch_size)
        for name, split in zip(SPLITS, as_three(datasets))
    ]
    label_names = list(getattr(datasets, "label_names", None) or [])
    recipe = recipe.replace(n_out=count_outputs(recipe, splits, label_names))
    check_clip(recipe, datasets)
    hashes = dict(getattr(datasets, "sha256", {}))  # of what was checked when it was written
    for name, (x, _) in zip(SPLITS, splits):
        if name not in hashes:
            hashes[name] = check_finite(x, name, floatX, hashed=checkpoint is not None)
    about: dict[str, Any] = {"versions": get_versions(), "device": device}
    transform: Any = None
    if recipe.compression == "log":
        about["input"] = measure(splits[0][0])
        transform = partial(compress, **about["input"])
    seed = recipe.seed if recipe.shuffle else None
    streams = open_streams(splits, recipe.batch_size, floatX, memory_mb, seed, transform)

    checkpoints: Any = None
    state = None
    if checkpoint is not None:
        # n_epochs may grow: what was done stays what it was. The order depends on the memory
        # only where it is shuffled block by block.
        run = {
            "recipe": describe_run(recipe),
            "floatX": floatX,
            "memory_mb": memory_mb if streams and recipe.shuffle else None,
        }
        checkpoints = Checkpoints(checkpoint, run, splits, [hashes[name] for name in SPLITS])
        state = checkpoints.read(NAMES)

    say("... building the model")
    start = time.perf_counter()
    if transform is not None and streams is None:
        splits = [(transform(x), y) for x, y in splits]
    steps = compile_steps(recipe, floatX, streams or splits, device)
    result.compile_seconds = time.perf_counter() - start

    say("... training")
    if state is not None:
        restore(state, result, steps)
        if echo is not None:
            for line in result.log[3:]:
                echo(line)
    save = None if checkpoints is None else partial(checkpoints.save, steps)
    n_batches = steps.n_batches[0]

    def measure_run():  # iterations, if patience grows no more
        return min(recipe.n_epochs * n_batches, max(result.patience, recipe.patience) + 1)

    with Progress("train", measure_run(), "iteration", len(result.costs), progress) as bar:

        def say_aside(line):
            with bar.aside():
                say(line)

        def watch(n):
            bar.total = measure_run()
            errors = [f"validation error {100 * e:.1f} %" for _, e in result.validation[-1:]]
            bar.update(n, "".join(errors))

        run_epochs(recipe, steps, result, say_aside, save, watch)
    if result.diverged_at is not None:
        about["diverged_at"] = result.diverged_at
    last = steps.network.values()
    result.model = Model(
        last=last,
        best=steps.best or last,
        recipe=recipe,
        label_names=label_names or [str(i) for i in range(recipe.n_out)],
        about=about,
    )
    return result


def describe_run(recipe):
    """Return what a checkpoint must share with the run that it resumes.

    Fields that 2013 did not have are left out where they hold its values, so that checkpoints
    from before there were such fields still resume.
    """
    fields = recipe.replace(n_epochs=1).to_dict()
    return {k: v for k, v in fields.items() if k not in CHOICES or v != CHOICES[k][0]}


def check_clip(recipe, datasets):
    """Raise ValueError if a set was made of other clips than the recipe says.

    The model would later be given those that the recipe says.
    """
    settings = (getattr(datasets, "info", None) or {}).get("settings") or {}
    for clip, clip_s in CLIPS.items():
        if settings.get("clip_s", "not known") == clip_s and clip != recipe.clip:
            raise ValueError(
                f"the set was made with clip = {clip!r}, recipe {recipe.name} has clip = "
                f"{recipe.clip!r}; set clip={clip}, or extract the audio again"
            )


def compile_steps(recipe, floatX, splits, device="cpu"):
    """Return the compiled steps of a recipe's network over three splits or Streams."""
    from ..nn.steps import Steps
    from .network import Network

    network = Network(recipe, recipe.batch_size, floatX)
    return Steps(network, splits, recipe.seed if recipe.shuffle else None, device)


def as_three(datasets):
    """Return the three splits of a set."""
    try:
        splits = list(datasets)
    except TypeError:
        splits = []
    if len(splits) != 3:
        raise ValueError("datasets: train, valid and test are needed, each (x, y)")
    return splits


def check_split(name, split, batch_size):
    """Return (x, y) of a split as arrays that can be trained on."""
    try:
        x, y = (np.require(np.asarray(a), None, "A") for a in split[:2])  # aligned, for the Ops
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: a pair of arrays (x, y) is needed") from error
    width = int(np.prod(IMAGE_SHAPE))
    if x.ndim != 2 or x.shape[1] != width or x.dtype.kind not in "fiu":
        raise ValueError(f"{name}: x is {x.dtype} {x.shape}; float (n, {width}) is needed")
    numbers = y.dtype.kind in "fiu" and np.isfinite(y).all()
    if y.shape != (len(x),) or not numbers or (y < 0).any() or (y != np.floor(y)).any():
        raise ValueError(f"{name}: y is {y.dtype} {y.shape}; {len(x)} labels from 0 are needed")
    if len(x) < batch_size:
        raise ValueError(
            f"{name}: {len(x)} patches do not fill one minibatch of {batch_size}; take a smaller "
            "batch_size or more tracks"
        )
    return x, y


def count_outputs(recipe, splits, label_names):
    """Return the number of softmax outputs, after checking that every label has one."""
    n_labels = max(len(label_names), int(max(y.max() for _, y in splits)) + 1)
    if recipe.n_out and n_labels > recipe.n_out:
        raise ValueError(
            f"{n_labels} labels, but recipe {recipe.name} has n_out = {recipe.n_out}; give "
            f"n_out={n_labels}, or 0 for one per label"
        )
    if n_labels > max(len(label_names), sum(len(y) for _, y in splits)):
        raise ValueError(f"label {n_labels - 1} of so few patches; number the labels 0, 1, 2, ...")
    if n_labels < 2:
        raise ValueError("there is one label only; artists can be told apart if there are two")
    return recipe.n_out or n_labels
