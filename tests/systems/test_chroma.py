"""Humphrey's learned chroma follows the recorded programs; each named mistake is found."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from deep_artists.data.chords import pitches, vocabulary
from deep_artists.evidence import check_chroma
from deep_artists.evidence.check_chroma import SLIDES, TUTORIAL
from deep_artists.nn import activations, masked_layers, penalties, rows
from deep_artists.ops.rectify import rectify
from deep_artists.reference import inputs_humphrey as rule
from deep_artists.reference.inputs import sha256
from deep_artists.systems import chroma, chroma_tutorial

FAST = ("2013-12-18", "instrument")
STRICT_AND_LOOSE = ["float64", pytest.param("float32", marks=pytest.mark.slow)]


def failures(check, *arguments):
    """Return the quantities that do not pass."""
    return {quantity for quantity, bound, measured in check(*arguments) if not measured <= bound}


# --- as it is ---


@pytest.mark.parametrize("floatX", STRICT_AND_LOOSE)
@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in TUTORIAL],
)
def test_the_tutorial_is_followed(name, floatX):
    assert failures(check_chroma.check_tutorial, name, floatX) == set()


@pytest.mark.parametrize("floatX", STRICT_AND_LOOSE)
@pytest.mark.parametrize("name", SLIDES)
def test_the_networks_of_the_talk_are_followed(name, floatX):
    assert failures(check_chroma.check_slides, name, floatX) == set()


@pytest.mark.parametrize("floatX", STRICT_AND_LOOSE)
def test_layers_and_their_draws_are_those_recorded(floatX):
    assert failures(check_chroma.check_layers, floatX) == set()
    assert failures(check_chroma.check_draws, floatX) == set()


def test_rotation_is_that_recorded():
    assert failures(check_chroma.check_rotation) == set()


@pytest.mark.parametrize("name", rule.SHA256)
def test_inputs_are_those_recorded(name):
    make = {**rule.CHROMA, **rule.FRET, "slides": rule.SLIDES}[name]
    assert sha256(make()[0]) == rule.SHA256[name]


# --- broken on purpose ---


def slope_of_one(v):
    return rectify(v)


def slope_of_none(v):
    return pt.switch(v > 0, v, 0)


@pytest.mark.parametrize(
    "wrong", [slope_of_one, pytest.param(slope_of_none, marks=pytest.mark.slow)]
)
def test_another_slope_at_zero_is_found(monkeypatch, wrong):
    """Silence under biases of zero meets it."""
    monkeypatch.setattr(chroma_tutorial, "relu", wrong)
    monkeypatch.setattr(check_chroma, "relu", wrong)
    assert "relu slope" in failures(check_chroma.check_layers, "float64")
    assert {"loss", "parameters after 1"} <= failures(
        check_chroma.check_tutorial, "instrument", "float64"
    )


def test_outputs_that_are_not_halved_are_found(monkeypatch):
    monkeypatch.setitem(check_chroma.SLIDES, "one", {"halved": False})
    assert {"loss", "energy"} <= failures(check_chroma.check_slides, "one", "float64")


def test_distances_that_are_not_halved_are_found(monkeypatch):
    class Whole(masked_layers.RBF):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options | {"halved": False})

    monkeypatch.setattr(chroma, "RBF", Whole)
    assert {"loss", "energy"} <= failures(check_chroma.check_slides, "one", "float64")


@pytest.mark.parametrize("option", [{"standardised": True}, {"keep_first": True}])
def test_standardised_input_and_the_kept_first_chord_are_found(monkeypatch, option):
    class Sane(chroma_tutorial.TutorialRun):
        def __init__(self, *arguments):
            super().__init__(*arguments, **option)

    monkeypatch.setattr(check_chroma, "TutorialRun", Sane)
    assert "loss" in failures(check_chroma.check_tutorial, "2013-12-18", "float64")


def test_targets_of_another_dtype_are_found(monkeypatch):
    """Under float32 only targets and learning rate are float32."""
    run = chroma_tutorial.TutorialRun
    monkeypatch.setattr(
        check_chroma,
        "TutorialRun",
        lambda name, x, y, seed, floatX, *rest: run(name, x, y, seed, "float64", *rest),
    )
    assert "loss" in failures(check_chroma.check_tutorial, "2013-12-18", "float32")


def test_batches_without_the_first_shuffle_are_found(monkeypatch):
    def take(rng, n, batch_size):
        order = np.arange(n)
        while True:
            yield from (order[i : i + batch_size] for i in range(0, n, batch_size))
            rng.shuffle(order)

    monkeypatch.setattr(chroma_tutorial, "take_shuffled", take)
    assert "loss" in failures(check_chroma.check_tutorial, "instrument", "float64")


def test_templates_that_are_trained_are_found(monkeypatch):
    class Trained(chroma.ChromaNetwork):
        def updates(self):
            self.params = {**self.params, "rbf_W": self.templates}
            updates = super().updates()
            del self.params["rbf_W"]
            return updates

    monkeypatch.setattr(check_chroma, "ChromaNetwork", Trained)
    assert "loss" in failures(check_chroma.check_slides, "one", "float64")


def test_a_missing_constraint_or_penalty_is_found(monkeypatch):
    monkeypatch.setattr(chroma, "limit_norm", lambda W: W)
    assert "loss" in failures(check_chroma.check_slides, "l2norm", "float64")
    monkeypatch.setattr(
        chroma,
        "add_penalties",
        lambda cost, W, L1, L2: penalties.add_penalties(cost, W, L1, L2 / 2),
    )
    assert "loss" in failures(check_chroma.check_slides, "l2", "float64")


def test_masks_of_another_stream_are_found(monkeypatch):
    monkeypatch.setitem(
        check_chroma.SLIDES, "dropout", {**SLIDES["dropout"], "seeds": (101, 100, 102)}
    )
    assert "loss" in failures(check_chroma.check_slides, "dropout", "float64")


# --- switches to the sane reading, and errors ---


def make_run(labels, **options):
    x = np.random.RandomState(0).uniform(size=(len(labels), 4097))
    return chroma_tutorial.TutorialRun("2013-12-18", x, labels, seed=0, batch_size=4, **options)


def test_the_last_quality_has_no_template_without_an_n():
    labels = ["C:dim7", "D:dim7", "D:maj"]
    with pytest.raises(IndexError, match="without any N .* give n_qualities"):
        make_run(labels)
    assert len(make_run([*labels, "N"]).templates) == 157
    assert len(make_run(labels, n_qualities=13).templates) == 157


def test_rows_of_unknown_labels_and_of_the_first_chord_are_dropped():
    labels = ["C:maj", "X", "D:maj", "N"]
    assert len(make_run(labels).train.input_storage) and make_run(labels).mu.shape == (90,)
    dropped, kept = make_run(labels), make_run(labels, keep_first=True)
    assert not np.allclose(dropped.mu, kept.mu)
    with pytest.raises(ValueError, match="no row has a label"):
        make_run(["C:maj", "X"])


def test_standardised_input_changes_what_is_learned():
    labels = ["D:maj", "E:min", "N", "G:7"] * 3
    raw, scaled = make_run(labels), make_run(labels, standardised=True)
    assert raw.step() != scaled.step()
    x = np.random.RandomState(1).uniform(size=(2, 4097))
    np.testing.assert_allclose(scaled.transform(x).sum(axis=1), 1)


def test_dropout_of_any_rate_keeps_the_mean_where_it_is_not_halved():
    mask = masked_layers.Mask(1, 10000, 0.2, "float64", halved=False)
    assert mask.factor.eval(mode="FAST_COMPILE").mean() == pytest.approx(1.25)
    mask.draw()
    assert mask.factor.eval(mode="FAST_COMPILE").mean() == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="dropout rate = 1"):
        masked_layers.Mask(1, 10, 1.0, "float64")


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="'l1' or 'l2'"):
        chroma.ChromaNetwork(24, vocabulary.make_templates(2), distance="l3")


def test_fixed_chroma_sums_octaves():
    matrix = pitches.octave_matrix()
    assert matrix.shape == (192, 12) and np.allclose(matrix.sum(axis=0), 1)
    assert set(np.unique(matrix)) == {0, 1 / 8}
    assert matrix[0].argmax() == 9 and not matrix[1].any()  # row 0 is A
    silent = pitches.fold_pitches(np.zeros((1, 90)))
    assert not silent.any()


def test_half_wave_has_half_a_slope():
    v = pt.dvector("v")
    slope = pytensor.grad(activations.relu(v).sum(), v)
    np.testing.assert_array_equal(
        slope.eval({v: np.array([-1.0, -0.0, 0.0, 1e-300])}, mode="FAST_COMPILE"), [0, 0.5, 0.5, 1]
    )


def test_a_batch_may_lie_across_two_shuffles():
    batches = rows.take_shuffled(np.random.RandomState(0), n=5, batch_size=3)
    taken = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(taken[:5]) == sorted(taken[5:10]) == sorted(taken[10:]) == list(range(5))
