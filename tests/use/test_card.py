"""The card of a model: what it says, and what it says where little is known."""

import numpy as np
import pytest
from test_predict import make_model
from test_summaries import make_set

from deep_artists.artists.model import ModelError
from deep_artists.use.card import bound_share, format_card, make_card

SHARES = {"patch_error": 0.5, "track_error": 0.25}


def test_a_card_has_what_a_citation_needs(tmp_path):
    datasets, model = make_set(tmp_path), make_model()
    errors = {name: {"best": SHARES, "last": SHARES} for name in ("valid", "test")}
    errors["train"] = {"best": {"patch_error": 0.0, "track_error": None, "patches": 4}}
    card = make_card(datasets, errors, SHARES, "my *songs*\x1b[2J", "CC BY 4.0")
    model.about |= {"card": card, "versions": {"numpy": "2"}, "device": "cpu"}
    text = format_card(model.load(model.save(tmp_path / "model.npz")))
    for words in (
        "- corpus: my \\*songs\\*\\\\x1b\\[2J\n", "- licence of the recordings: CC BY 4.0",
        "- train: 12 patches of 4 tracks by 2 artists", "| test, best | 50.0 % of 6 |",
        "| 25.0 % of 2 (", "| train, best | 0.0 % of 4 | - |", "seed 23455",
        f"SHA-256 of train: {datasets.sha256['train']}", "- seed: 23455", "numpy 2",
        "| chance: the commonest artist | 50.0 % | 25.0 % |", "Deep Unlearning",
    ):  # fmt: skip
        assert words in text, words
    assert card["date"] in text and len(card["date"]) == 10


def test_of_a_model_without_a_card_little_is_known():
    text = format_card(make_model())
    assert text.count("not recorded") > 5 and "3 artists" in text


@pytest.mark.parametrize("card", [3, {"corpus": 3}, {"errors": {"test": 3}}, {"split": []}])
def test_a_damaged_card_is_one_sentence(card):
    model = make_model()
    model.about["card"] = card
    with pytest.raises(ModelError, match="card is damaged"):
        format_card(model)


def test_the_interval_is_wilson_s():
    # Of 10: Wilson's interval as tables print it.
    np.testing.assert_allclose(bound_share(0.0, 10), (0, 0.2775), atol=1e-4)
    np.testing.assert_allclose(bound_share(0.5, 10), (0.2366, 0.7634), atol=1e-4)
