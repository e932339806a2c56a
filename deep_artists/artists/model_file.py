"""The file of a model, and what is checked before a model is made of it.

An .npz without pickle, the exchange format: the last parameters under the names of `recipe.NAMES`
(what 2013 saved), the best ones under ``best_`` and the same names, and one JSON text, ``about``:
format number, recipe, label names, versions.
"""

import json
import os
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ..data.arrays import open_npz
from ..data.files import DamagedFileError, new_file, parse_json
from .recipe import NAMES, expected_shapes, from_dict

FORMAT = 1
PRETRAINED = Path(__file__).with_name("pretrained")


class ModelError(ValueError):
    """A model file that cannot be read, or whose arrays do not fit its recipe."""


def write_model(model, path):
    """Write a model to an .npz file, under a temporary name first; return its path."""
    path = Path(path)
    about = {
        **model.about,
        "format": FORMAT,
        "recipe": model.recipe.to_dict(),
        "label_names": list(model.label_names),
    }
    arrays = {**model.last, **{f"best_{name}": a for name, a in model.best.items()}}
    with new_file(path) as file:
        np.savez(file, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
    return path


def list_pretrained():
    """Return the names of the models that come with the package."""
    return sorted(path.stem for path in PRETRAINED.glob("*.npz"))


def read_model(path):
    """Return what a file or a pretrained model holds, as the arguments of `Model`."""
    if str(path) in list_pretrained() and not os.path.isfile(path):
        path = PRETRAINED / f"{path}.npz"
    check_path(path)
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
            found = {
                "last": {name: file.read(name) for name in last},
                "best": {name: file.read(f"best_{name}") for name in best},
                "recipe": recipe,
                "label_names": about.pop("label_names"),
                "about": about,
            }
            check_model(**found)
            return found
    except DamagedFileError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ModelError(f"{path} is no model of deep_artists, or damaged: {reason}") from error
    except ValueError as error:
        raise ModelError(f"{path}: {str(error).removeprefix(f'{path} ')}") from error


def check_path(path):
    """Raise an error that says what to give instead of a folder, or of a name of nothing."""
    if os.path.isdir(path):
        there = Path(path, "model.npz").is_file()
        instead = f"did you mean {Path(path, 'model.npz')}?" if there else "a model is a file"
        raise ModelError(f"{path} is no model of deep_artists but a folder; {instead}")
    close = get_close_matches(str(path), list_pretrained())
    if close and not os.path.lexists(path):
        raise FileNotFoundError(f"{path}: no such file; did you mean {close[0]}?")


def check_model(last, best, recipe, label_names, about):
    """Raise ModelError unless these make a `Model`."""
    headers = [{name: (a.dtype, a.shape) for name, a in arrays.items()} for arrays in (last, best)]
    check_arrays(*headers, recipe)
    if not isinstance(label_names, list) or not all(isinstance(n, str) for n in label_names):
        raise ModelError(f"label names {label_names!r}; a list of texts is needed")
    if len(label_names) > recipe.n_out:
        raise ModelError(f"{len(label_names)} label names for {recipe.n_out} outputs")
    check_input(about, recipe)


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
