"""The named hyper-parameter sets: five versions of the 2013 experiment, and `today`, kept as TOML.

`first`, `second`, `third` and `last` are versions of the 2013 program; `page` is what the project
page says. Names are those of the tutorial program that the original started from. `today` is no
one's of 2013: it takes what was measured to help since.
"""

import dataclasses
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.patches import CLIPS

RECIPES = Path(__file__).resolve().parent / "recipes"

IMAGE_SHAPE = (64, 40)  # mel bands, frames of a patch

# Fields that 2013 did not have, and their values; the first is what was done in 2013.
CHOICES = {"compression": ("none", "log"), "clip": tuple(CLIPS)}

NAMES = ("conv_W", "conv_b", "hidden_W", "hidden_b", "softmax_W", "softmax_b")  # parameters


@dataclass(frozen=True)
class Recipe:
    """What a training run is made of.

    Attributes
    ----------
    name, description : str
    learning_rate : float
    batch_size : int
        Patches in a minibatch; those that do not fill one are left out.
    n_epochs : int
        Largest number of epochs.
    nkerns : int
        Filters of the convolutional layer.
    filter_shape : (int, int)
        Mel bands and frames of a filter.
    poolsize : (int, int)
        Mel bands and frames of a max-pooling window.
    n_hidden : int
        Units of the rectified linear layer.
    n_out : int
        Softmax outputs; 0: one per label of the set.
    L2_conv, L2_softmax : float
        Coefficients of sum(W ** 2) in the cost, for the two layers' weights.
    patience : int
        Iterations to look at in any case; an improvement at iteration i makes it at least 2 i.
    validation_frequency : int
        Iterations between validations; 0: min(n_train_batches, patience // 2).
    shuffle : bool
        A fresh permutation of the patches every epoch, instead of the stored order.
    seed : int
        Of the initial values, and of the permutations.
    compression : {'none', 'log'}
        'log': the network gets log(1 + 10000 x) of the patches, less the mean and over the standard
        deviation of train. 2013 had none.
    clip : {'last30', 'all'}
        What of a recording becomes patches: its last 30 s, as in 2013, or all.
    """

    name: str
    description: str
    learning_rate: float
    batch_size: int
    n_epochs: int
    nkerns: int
    filter_shape: tuple
    poolsize: tuple
    n_hidden: int
    n_out: int
    L2_conv: float
    L2_softmax: float
    patience: int
    validation_frequency: int
    shuffle: bool
    seed: int = 23455
    compression: str = "none"
    clip: str = "last30"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = as_type(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)
        check_ranges(self)

    @property
    def pooled_shape(self) -> tuple[int, int]:
        """Rows and columns of a map after pooling."""
        return tuple(
            (n - k + 1) // p for n, k, p in zip(IMAGE_SHAPE, self.filter_shape, self.poolsize)
        )

    @property
    def n_in(self) -> int:
        """Inputs of the rectified linear layer."""
        rows, columns = self.pooled_shape
        return self.nkerns * rows * columns

    def replace(self, /, **overrides: Any) -> "Recipe":
        """Return this recipe with other values in some fields.

        Raises
        ------
        ValueError
            If a field does not exist or a value is out of range.
        """
        fields = [field.name for field in dataclasses.fields(self)]
        for name in overrides:
            if name not in fields:
                raise ValueError(f"a recipe has no {name!r}; it has {', '.join(fields)}")
        return dataclasses.replace(self, **overrides)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict that JSON can hold."""
        return dataclasses.asdict(self)


def as_type(name, value, type_):
    """Return the value as a field's type, refusing what would change it."""
    if type_ is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError(f"{name} = {value!r}; two positive integers are needed")
        return tuple(as_type(name, v, int) for v in value)
    if isinstance(value, bool) != (type_ is bool) or isinstance(value, str) != (type_ is str):
        raise ValueError(f"{name} = {value!r}; a value of type {type_.__name__} is needed")
    try:
        converted = type_(value)
    except (TypeError, ValueError, OverflowError):
        converted = None
    if converted is None or converted != value:
        raise ValueError(f"{name} = {value!r}; a value of type {type_.__name__} is needed")
    return converted


def check_ranges(recipe):
    """Raise ValueError where a value makes no network or no training."""
    for name, choices in CHOICES.items():
        if getattr(recipe, name) not in choices:
            raise ValueError(f"{name} = {getattr(recipe, name)!r}; there are {', '.join(choices)}")
    for name in ("batch_size", "n_epochs", "nkerns", "n_hidden", "patience"):
        if getattr(recipe, name) < 1:
            raise ValueError(f"{name} = {getattr(recipe, name)}; at least 1 is needed")
    for name in ("n_out", "validation_frequency", "L2_conv", "L2_softmax", "seed"):
        if not 0 <= getattr(recipe, name) < float("inf"):
            raise ValueError(f"{name} = {getattr(recipe, name)}; 0 or a positive number is needed")
    if not 0 < recipe.learning_rate < float("inf"):
        raise ValueError(f"learning_rate = {recipe.learning_rate}; a positive number is needed")
    if recipe.seed >= 2**32:
        raise ValueError(f"seed = {recipe.seed}; it must be below 2 ** 32")
    if min(recipe.filter_shape) < 1 or min(recipe.poolsize) < 1 or min(recipe.pooled_shape) < 1:
        raise ValueError(
            f"filter_shape = {recipe.filter_shape}, poolsize = {recipe.poolsize}: nothing is left "
            f"of a patch of {IMAGE_SHAPE}; take smaller filters or windows"
        )


def expected_shapes(recipe):
    """Return the shape of every parameter of a recipe's network, by name."""
    return {
        "conv_W": (recipe.nkerns, 1, *recipe.filter_shape),
        "conv_b": (recipe.nkerns,),
        "hidden_W": (recipe.n_in, recipe.n_hidden),
        "hidden_b": (recipe.n_hidden,),
        "softmax_W": (recipe.n_hidden, recipe.n_out),
        "softmax_b": (recipe.n_out,),
    }


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(recipe: str | os.PathLike | Recipe, /, **overrides: Any) -> Recipe:
    """Load a recipe by name or from a TOML file.

    Parameters
    ----------
    recipe : str, path or Recipe
        A name of `list_recipes`, a path that ends in .toml, or a Recipe, which is returned.
    **overrides
        Values for some of its fields.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If the name is unknown, a key is unknown or missing, or a value out of range.

    Examples
    --------
    >>> load_recipe("page", batch_size=40).batch_size
    40
    >>> load_recipe("last").filter_shape
    (33, 11)
    """
    if isinstance(recipe, Recipe):
        return recipe.replace(**overrides)
    if not isinstance(recipe, (str, os.PathLike)):
        raise ValueError(
            f"recipe = {recipe!r}; a name, the path of a .toml file or a Recipe is needed"
        )
    path = Path(recipe)
    if path.suffix != ".toml":
        path = RECIPES / f"{recipe}.toml"
        if str(recipe) not in list_recipes():
            raise ValueError(
                f"unknown recipe {str(recipe)!r}; there are {', '.join(list_recipes())}, or give "
                "the path of a .toml file"
            )
    try:
        values = {"name": path.stem, **tomllib.loads(path.read_text())}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot read recipe {path}: {error}") from error
    return from_dict(values, path).replace(**overrides)


def from_dict(values, source="recipe"):
    """Make a Recipe of a dict as `Recipe.to_dict` gives it.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or a value out of range.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{source}: a recipe is a table of fields, found {values!r}")
    known = {field.name: field for field in dataclasses.fields(Recipe)}
    unknown = sorted(set(values) - set(known))
    missing = [
        name
        for name, field in known.items()
        if name not in values and field.default is dataclasses.MISSING
    ]
    if unknown or missing:
        raise ValueError(
            f"{source}: unknown keys {unknown}, missing keys {missing}; a recipe has "
            f"{', '.join(known)}"
        )
    return Recipe(**values)
