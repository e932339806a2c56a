"""Humphrey's fretboard network follows the recorded framework; each named mistake is found."""

import numpy as np
import pytensor.tensor as pt
import pytest

from deep_artists.data.chords import fingerings, pitches, tiles, vocabulary
from deep_artists.evidence import check_fretboard
from deep_artists.nn import masked_layers
from deep_artists.ops.max_pool import fill_windows, max_pool_2d
from deep_artists.systems.fretboard import SMALL, FretboardNetwork, Geometry
from deep_artists.systems.fretboard_learner import FretboardLearner

TEMPLATES = fingerings.make_fingerings()

STRICT_AND_LOOSE = ["float64", pytest.param("float32", marks=pytest.mark.slow)]


def failures(check, *arguments):
    """Return the quantities that do not pass."""
    return {quantity for quantity, bound, measured in check(*arguments) if not measured <= bound}


@pytest.mark.parametrize("floatX", STRICT_AND_LOOSE)
@pytest.mark.parametrize("name", ["small", pytest.param("full", marks=pytest.mark.slow)])
def test_the_recorded_runs_are_followed(name, floatX):
    assert failures(check_fretboard.check_run, name, floatX) == set()


def test_templates_and_contrast_are_those_recorded():
    assert failures(check_fretboard.check_templates) == set()
    assert failures(check_fretboard.check_contrast) == set()
    assert failures(check_fretboard.check_mask) == set()


# --- broken on purpose ---


def pool_first_only(input, ds, ignore_border):
    """Give the gradient to the first maximum of a window alone."""
    n, maps, rows, columns = input.shape
    h, w = ds
    windows = input.reshape((n, maps, rows // h, h, columns // w, w)).dimshuffle(0, 1, 2, 4, 3, 5)
    flat = windows.reshape((n, maps, rows // h, columns // w, h * w))
    first = pt.eq(pt.arange(h * w), pt.argmax(flat, axis=4)[..., None])
    return pt.sum(pt.switch(first, flat, 0), axis=4)


@pytest.mark.slow
def test_a_gradient_for_the_first_maximum_only_is_found(monkeypatch):
    """Silent tiles make windows in which all cells tie."""
    monkeypatch.setattr(masked_layers, "max_pool_2d", pool_first_only)
    assert {"loss", "parameters after 1"} <= failures(check_fretboard.check_run, "small", "float64")


@pytest.mark.slow
def test_outputs_that_are_not_halved_are_found(monkeypatch):
    def build(*arguments, **options):
        return FretboardNetwork(*arguments, **options, halved=False)

    monkeypatch.setattr(check_fretboard, "FretboardNetwork", build)
    assert {"loss", "energy"} <= failures(check_fretboard.check_run, "small", "float64")


def test_states_before_strings_is_found(monkeypatch):
    monkeypatch.setattr(fingerings, "make_fingerings", lambda: TEMPLATES[:, :, ::-1])
    assert failures(check_fretboard.check_templates) == {"templates"}


# --- the parts ---


def test_partial_windows_have_maxima_of_their_own():
    x = -np.arange(1.0, 16).reshape(1, 1, 3, 5)  # negative: zeros in the padding would win
    out = max_pool_2d(x, (2, 2), ignore_border=False).eval(mode="FAST_COMPILE")
    np.testing.assert_array_equal(out[0, 0], [[-1, -3, -5], [-11, -13, -15]])
    whole = pt.TensorType("float64", (None, 1, 4, 6))()
    assert fill_windows(whole, (2, 2)) is whole


def test_every_string_has_one_state_and_the_notes_are_those_of_the_chord():
    assert TEMPLATES.shape == (61, 9, 6) and (TEMPLATES.sum(axis=1) == 1).all()
    bits = vocabulary.make_templates(5)
    for index in range(61):
        frets = fingerings.choose_frets(index)[::-1]
        notes = {
            (pitch + fret) % 12
            for pitch, fret in zip(fingerings.OPEN_PITCHES, frets)
            if fret is not None
        }
        assert notes == set(np.flatnonzero(bits[index])), index
    assert TEMPLATES[60, 0].all()  # N: nothing is played


def test_frets_out_of_reach_are_refused():
    with pytest.raises(ValueError, match="six of 0 to 7"):
        fingerings.mark_frets((0, 2, 2, 1, 0, 8))


def test_the_full_network_has_the_shapes_of_the_talk():
    network = FretboardNetwork(TEMPLATES, seeds=range(5))
    shapes = {name: value.shape for name, value in network.values().items()}
    assert shapes["affine2_W"] == (8140, 512) and shapes["strings_W"] == (6, 512, 9)
    small = FretboardNetwork(TEMPLATES, SMALL, "float64", seeds=range(5))
    x = np.random.RandomState(0).uniform(size=(3, 1, 16, 48))
    strings = small.strings.eval({small.x: x}, mode="FAST_COMPILE")
    assert strings.shape == (3, 9, 6)
    np.testing.assert_allclose(strings.sum(axis=1), 1)


def test_examples_rotate_with_their_chords():
    x = np.zeros((3, 1, 2, 24))
    x[:, :, :, 0] = 1
    moved, y = tiles.rotate_examples(x, np.array([0, 11, 60], np.int32), [1, -12, 3], 5, 12)
    assert moved.argmax(axis=3)[:, 0, 0].tolist() == [1, 12, 3] and y.tolist() == [1, 11, 60]


def test_a_mask_hides_windows():
    mask = tiles.draw_window_mask(np.random.RandomState(0), (80, 192))
    assert mask.shape == (80, 192) and 0 <= mask.min() < 1e-12 and mask.max() == 1
    assert 0.2 < np.mean(mask < 1) < 0.45  # 250 windows of 27 cells, overlapping
    one = tiles.draw_window_mask(np.random.RandomState(0), (40, 40), n_windows=1)
    rows, columns = np.nonzero(one < 1)
    assert np.ptp(rows) == 8 and np.ptp(columns) == 2
    assert one[rows[0], columns[0]] == pytest.approx(0.4606, abs=1e-4)


def test_partial_windows_count():
    """Maps of odd lengths, which the recorded networks do not have."""
    geometry = Geometry((17, 26), ((3, 4, 5), (4, 3, 4)), (2, 3), 10)
    network = FretboardNetwork(TEMPLATES, geometry, "float64", seeds=range(5))
    x = np.random.RandomState(0).uniform(size=(2, 1, 17, 26))
    values, output = network.values(), x
    for i in range(2):
        W, b = values[f"conv{i}_W"], values[f"conv{i}_b"]
        windows = np.lib.stride_tricks.sliding_window_view(output, W.shape[2:], (2, 3))
        z = np.einsum("nmrcij,fmij->nfrc", windows, W[:, :, ::-1, ::-1])
        z = 0.5 * np.tanh(z + b[:, None, None])
        rows, columns = (range(0, n, k) for n, k in zip(z.shape[2:], geometry.poolsize))
        pooled = [[z[:, :, r : r + 2, c : c + 3].max((2, 3)) for c in columns] for r in rows]
        output = np.transpose(pooled, (2, 3, 0, 1))
    flat = output.reshape(2, -1)
    hidden = 0.5 * np.tanh(flat @ values["affine2_W"] + values["affine2_b"])
    z = np.einsum("ni,sik->nks", hidden, values["strings_W"]) + values["strings_b"].T
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    strings = network.strings.eval({network.x: x}, mode="FAST_COMPILE")
    np.testing.assert_allclose(strings, expected, rtol=1e-12)


def test_local_contrast_is_part_of_a_saved_learner(tmp_path):
    y = np.random.RandomState(0).uniform(-0.1, 0.1, size=22050)
    learner = FretboardLearner(n_iterations=1, contrast=True)
    tiles_ = learner.extract(y, [10, 20])
    assert tiles_.min() < 0 < FretboardLearner().extract(y, [10, 20]).max()  # roots have no sign
    learner.fit(tiles_, np.array([0, 13])).save(tmp_path / "model.npz")
    again = FretboardLearner.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.extract(y, [10, 20]), tiles_)


def test_each_size_has_the_rate_it_learns_at():
    assert FretboardLearner("full").learning_rate == 0.02
    assert FretboardLearner("small").learning_rate == 0.1
    assert FretboardLearner("full", learning_rate=0.5).learning_rate == 0.5


def test_silence_has_no_contrast():
    assert not pitches.normalise_contrast(np.zeros((30, 20)), (20, 13)).any()


def test_tiles_reach_into_silence():
    tile = tiles.cut_tiles(np.ones((100, 192)), [0, 50, 99])
    assert tile.shape == (3, 1, 80, 192)
    assert tile[0, 0].sum(axis=1).tolist() == [0] * 40 + [192] * 40
    assert tile[2, 0].sum(axis=1).tolist() == [192] * 41 + [0] * 39
