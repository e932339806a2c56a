"""Recipes: the numbers of 2013, overrides, refusals."""

import json

import pytest

from deep_artists.artists.recipe import (
    Recipe,
    expected_shapes,
    from_dict,
    list_recipes,
    load_recipe,
)

PARAMETERS = {"first": 3447512, "second": 227042, "third": 309064, "last": 86604, "page": 86604}
MAPS = {"first": (28, 16), "second": (7, 4), "third": (7, 4), "last": (2, 3), "page": (2, 3)}


@pytest.mark.parametrize("name", PARAMETERS)
def test_recipes_have_the_sizes_of_2013(name):
    recipe = load_recipe(name)
    recipe = recipe.replace(n_out=recipe.n_out or 20)
    sizes = 0
    for shape in expected_shapes(recipe).values():
        size = 1
        for length in shape:
            size *= length
        sizes += size
    assert sizes == PARAMETERS[name]
    assert recipe.pooled_shape == MAPS[name]


def test_five_recipes_of_2013_and_one_of_today_come_with_the_package():
    assert list_recipes() == sorted([*PARAMETERS, "today"])


def test_only_page_shuffles_and_what_is_made_of_it():
    assert [name for name in list_recipes() if load_recipe(name).shuffle] == ["page", "today"]


def test_2013_took_patches_as_they_are_of_the_last_30_s():
    for name in PARAMETERS:
        recipe = load_recipe(name)
        assert (recipe.compression, recipe.clip) == ("none", "last30")
    page, today = (load_recipe(name).to_dict() for name in ("page", "today"))
    differ = {name for name in page if page[name] != today[name]} - {"name", "description"}
    assert differ == {"compression", "clip", "learning_rate"}


def test_overrides_replace_fields_and_are_checked():
    recipe = load_recipe("last", learning_rate=1, poolsize=[8, 5])
    assert (recipe.learning_rate, recipe.poolsize) == (1.0, (8, 5))
    assert isinstance(recipe.learning_rate, float)


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"learning_rat": 1}, "learning_rat"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"batch_size": 2.5}, "batch_size = 2.5"),
        ({"batch_size": True}, "batch_size = True"),
        ({"batch_size": "many"}, "many"),
        ({"shuffle": 1}, "shuffle = 1"),
        ({"filter_shape": (65, 1)}, "nothing is left"),
        ({"poolsize": (33, 1)}, "nothing is left"),
        ({"poolsize": 3}, "poolsize = 3"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"n_out": -1}, "n_out"),
        ({"seed": 2**32}, "seed"),
        ({"compression": "sqrt"}, "compression = 'sqrt'; there are none, log"),
        ({"clip": 30}, "clip = 30"),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, words):
    with pytest.raises(ValueError) as error:
        load_recipe("page", **overrides)
    assert words in str(error.value)


def test_unknown_recipe_lists_the_known():
    with pytest.raises(ValueError, match="'fist'.*first, last, page"):
        load_recipe("fist")


def test_a_recipe_of_one_s_own(tmp_path):
    path = tmp_path / "mine.toml"
    values = load_recipe("page").to_dict()
    del values["name"], values["seed"]
    path.write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in values.items()))
    assert load_recipe(path).name == "mine"
    path.write_text(path.read_text() + "\nmomentum = 0.9\n")
    with pytest.raises(ValueError, match="momentum"):
        load_recipe(path)
    path.write_text("learning_rate = ")
    with pytest.raises(ValueError, match="mine.toml"):
        load_recipe(path)
    with pytest.raises(ValueError, match="absent.toml"):
        load_recipe(tmp_path / "absent.toml")


def test_a_recipe_survives_json():
    recipe = load_recipe("page")
    assert from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert isinstance(recipe, Recipe)
    with pytest.raises(ValueError, match="missing keys"):
        from_dict({"name": "x"})
