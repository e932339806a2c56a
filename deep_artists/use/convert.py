"""Convert a model pickled in 2013; `data.legacy` says how such a file is read safely."""

import hashlib

import numpy as np

from ..artists.model import Model
from ..artists.recipe import NAMES, load_recipe
from ..data.legacy import LegacyPickleError, load_model
from ..data.versions import get_versions


def to_model(path, recipe="last", /, **overrides):
    """Make a model of a pickle of 2013.

    Parameters
    ----------
    path : str or os.PathLike
        A pickled model, plain or gzip: the first layer only, as the program saved it, or the
        three layers of the notebook.
    recipe : str, path or Recipe
        Gives what the pickle does not say. The number and shape of filters, hidden units and
        outputs come from the file; a first layer alone gives the filters only.
    **overrides
        Values for other fields of the recipe, as ``poolsize=(8, 8)``.

    Returns
    -------
    Model
        Its last and best parameters are those of the file. Labels are named "0", "1", ...; a
        first layer only has none, and gives nothing but ``transform(x, layer="pool")``.

    Raises
    ------
    LegacyPickleError
        If the file is no model of 2013, is damaged, or names anything that was not in such a
        file; none of it has run. If it has some other layers, or its arrays do not fit the
        recipe's poolsize. A first layer only cannot tell: it fits any poolsize.
    ValueError
        If the recipe or an override is wrong.
    OSError
        If the file cannot be opened or read.
    """
    arrays = load_model(path)
    if set(arrays) not in (set(NAMES), set(NAMES[:2])):
        raise LegacyPickleError(
            f"{path}: it holds {', '.join(arrays)}; the first layer or all three are needed"
        )
    nkerns, _, *filter_shape = arrays["conv_W"].shape
    found = {"nkerns": nkerns, "filter_shape": tuple(filter_shape)}
    if "softmax_W" in arrays:
        n_hidden, n_out = arrays["softmax_W"].shape
        found |= {"n_hidden": n_hidden, "n_out": n_out}
    for name, value in found.items():
        if name in overrides and np.any(np.not_equal(overrides[name], value)):
            raise ValueError(f"{name} = {overrides[name]!r}, but {path} has {value}")
    try:
        recipe = load_recipe(recipe, **{**overrides, **found})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if "hidden_W" in arrays and len(arrays["hidden_W"]) != recipe.n_in:
        raise LegacyPickleError(
            f"{path}: its second layer has {len(arrays['hidden_W'])} inputs, but poolsize = "
            f"{recipe.poolsize} of recipe {recipe.name} with {nkerns} filters of "
            f"{recipe.filter_shape} gives {recipe.n_in}; give the poolsize it was trained with"
        )
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Model(
        last=arrays,
        best=dict(arrays),
        recipe=recipe,
        label_names=[str(i) for i in range(found.get("n_out", 0))],
        about={
            "converted_from": "a pickle of 2013",
            "source_sha256": sha256,
            "versions": get_versions(),
        },
    )
