"""The genre network follows its recordings; each mistake that is easily made is found."""

import inspect
import json
import textwrap
import warnings

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import soundfile

from deep_artists.artists.network import Network as ArtistNetwork
from deep_artists.artists.recipe import load_recipe
from deep_artists.cli import main
from deep_artists.data import spectra
from deep_artists.evidence import check_genre, check_hessian_free
from deep_artists.nn.batches import Batches
from deep_artists.nn.dropout import draw_binary
from deep_artists.nn.hessian_free import hessian_free
from deep_artists.systems import genre
from deep_artists.systems.genre_features import judge_by_forest
from deep_artists.systems.genre_train import train_hessian_free, train_sgd


def find_failures(check, *arguments):
    """Return the rows of a check that fail."""
    rows = list(check(*arguments))
    assert rows
    return {quantity for quantity, bound, measured in rows if not measured <= bound}


RUNGS = [*check_genre.list_rungs(), *check_hessian_free.list_rungs()]
QUICK = [rung for rung in RUNGS if not rung.slow]
SLOW = [rung for rung in RUNGS if rung.slow]


@pytest.mark.parametrize("rung", QUICK, ids=[rung.name for rung in QUICK])
def test_what_the_network_is_made_of_follows_its_recording(rung):
    assert find_failures(rung.check, *rung.arguments) == set()


@pytest.mark.slow
@pytest.mark.parametrize("rung", SLOW, ids=[rung.name for rung in SLOW])
def test_every_run_follows_its_recording(rung):
    assert find_failures(rung.check, *rung.arguments) == set()


# --- mistakes ---


def mutate(code, old, new):
    """Return a class or function made from its source, one piece of it changed."""
    source = textwrap.dedent(inspect.getsource(code))
    assert source.count(old) == 1
    namespace = dict(vars(inspect.getmodule(code)))
    exec(source.replace(old, new), namespace)
    return namespace[code.__name__]


def test_a_rectifier_without_slope_at_0_is_found(monkeypatch):
    monkeypatch.setitem(genre.ACTIVATIONS, "relu", lambda a: a * pt.gt(a, 0))
    assert "parameters" in find_failures(check_genre.check_sgd, "small-relu", "float64")


@pytest.mark.slow
def test_dropout_scaled_by_1_minus_p_is_found(monkeypatch):
    wrong = mutate(genre.Network, "1 / (1 - self.rates[i])", "1 - self.rates[i]")
    monkeypatch.setattr(check_genre, "Network", wrong)
    assert "cost" in find_failures(check_genre.check_sgd, "small-sigmoid-stream", "float64")


def test_shuffled_frames_are_found(monkeypatch):
    class Shuffled(Batches):
        def __init__(self, x, y, *arguments):
            order = np.random.RandomState(0).permutation(len(x))
            super().__init__(x[order], y[order], *arguments)

    monkeypatch.setattr(check_genre, "Batches", Shuffled)
    assert "cost" in find_failures(check_genre.check_sgd, "small-sigmoid", "float64")


@pytest.mark.slow
def test_standardised_input_is_found(monkeypatch):
    scaling = spectra.measure_scaling(check_genre.load_sets("small")[0][0])

    def make_scaled(*arguments, **options):
        return genre.Network(*arguments, scaling=scaling, **options)

    monkeypatch.setattr(check_genre, "Network", make_scaled)
    assert "cost" in find_failures(check_genre.check_sgd, "small-sigmoid", "float64")


def test_a_window_more_is_found(monkeypatch):
    monkeypatch.setattr(spectra.compute_spectrum, "__defaults__", ("hann",))
    assert find_failures(check_genre.check_spectrum)


# --- masks, batches, Hessian-free ---


@pytest.mark.parametrize("p", [0.25, 0.3, 0.5, 0.7, 0.8, 1.0])
def test_masks_are_those_of_numpy(p):
    ours, theirs = np.random.RandomState(3), np.random.RandomState(3)
    mask = draw_binary(ours, p, (50, 70))
    np.testing.assert_array_equal(mask, theirs.binomial(n=1, p=p, size=(50, 70)))
    assert ours.uniform() == theirs.uniform()


def test_a_uniform_above_the_whole_distribution_is_left_to_numpy():
    class Rare:
        """Draws the largest uniform; NumPy alone knows that it starts over then."""

        def get_state(self):
            return "before"

        def random_sample(self, size):
            return np.full(size, 1.0)

        def set_state(self, state):
            self.state = state

        def binomial(self, n, p, size):
            return np.full(size, 7)

    rare = Rare()
    assert draw_binary(rare, 0.3, (2,)).tolist() == [7, 7] and rare.state == "before"


def test_sets_that_share_random_numbers_are_shuffled_in_turn():
    rng, again = np.random.RandomState(4), np.random.RandomState(4)
    sets = [Batches(np.arange(9), np.arange(9), 2, rng, number) for number in (None, 3)]
    orders = [list(range(0, 9, 2)) for _ in sets]
    for order in orders:
        again.shuffle(order)
    assert [some.starts for some in sets] == orders
    sets[1].advance()
    assert sets[1].list_starts() == [*orders[1][3:], orders[1][0]]  # cyclic
    sets[1].advance()
    again.shuffle(orders[1])
    assert sets[1].list_starts() == orders[1][:3]


@pytest.mark.slow
def test_hessian_free_trains_the_artist_network():
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(24, 2560)), (np.arange(24) % 3).astype("int32")
    x[y == 1, :500] += 1
    x[y == 2, 500:1000] += 1
    recipe = load_recipe("page", n_out=3, n_hidden=8, nkerns=2)
    network = ArtistNetwork(recipe, None, "float64")
    updates = hessian_free(
        [network.x, network.y], network.cost, network.layer3.lin_output,
        list(network.params.values()), *(Batches(x, y, 12, rng) for _ in range(2)),
    )  # fmt: skip
    first, second = next(updates), next(updates)
    assert second.after_cost < 0.5 * first.before_cost
    assert 0.75 < first.rho < 1.25  # the model of the cost foretells its fall


@pytest.mark.parametrize("start", [0.0, 2.0])
def test_hessian_free_stops_at_a_minimum(start):
    """From 0 one step of CG is exact; from 2 the gradient is 0, and so is the step."""
    w = pytensor.shared(np.array([start]), shape=(1,))
    x, y = pt.dmatrix(), pt.dvector()
    data = np.array([[1.0], [2.0]])
    sets = [Batches(data, 2 * data[:, 0], 2, np.random.RandomState(0)) for _ in range(2)]
    s = pt.dot(x, w)
    updates = hessian_free([x, y], ((s - y) ** 2).mean(), s, [w], *sets, lambda_=0.0)
    for update, _ in zip(updates, range(3)):
        assert np.isfinite(update.rho) and update.cg_iterations <= 1
    np.testing.assert_allclose(w.get_value(), [2.0], rtol=1e-12)


def test_the_parameters_of_the_lowest_validation_error_are_kept():
    """Not those of the lowest cost, and of equal errors the first."""
    rng = np.random.RandomState(17)
    x, y = rng.uniform(size=(40, 6)), np.eye(2)[rng.randint(2, size=40)]
    network = genre.Network(6, (4,), 2, floatX="float64")
    sets = [Batches(x[rows], y[rows], 5, rng) for rows in (slice(25), slice(25, 40))]
    kept = []
    history = train_sgd(
        network, *sets, 1.0, 12, after_batch=lambda n: n % 5 == 0 and kept.append(network.values())
    )
    errors, costs = (np.mean(a, axis=1) for a in (history.valid_errors, history.valid_costs))
    best = int(errors.argmin())
    assert best != costs.argmin() and np.sum(errors == errors[best]) > 1
    for name, value in history.best.items():
        np.testing.assert_array_equal(value, kept[best][name])


def test_a_pass_may_be_longer_than_the_list():
    batches = Batches(np.arange(4), np.arange(4), 2, np.random.RandomState(0), number=3)
    first, second = batches.starts
    assert batches.list_starts() == [first, second, first] and len(list(batches)) == 3


def test_dropout_and_hessian_free_do_not_go_together():
    network = genre.Network(4, (3,), 2, dropout_rates=(0.5,))
    with pytest.raises(ValueError, match="without dropout"):
        train_hessian_free(network, None, None, None)


# --- sound, lists, command ---


def write_genres(folder, n_tracks=5, seconds=13):
    """Write three genres, of a sine and a little noise each."""
    t = np.arange(int(22050 * seconds)) / 22050
    rng = np.random.RandomState(0)
    for genre_name, hz in (("a", 300), ("b", 1200), ("c", 4000)):
        (folder / genre_name).mkdir(parents=True)
        for i in range(n_tracks):
            y = 0.3 * np.sin(2 * np.pi * (hz + 10 * i) * t) + 0.01 * rng.uniform(size=len(t))
            soundfile.write(folder / genre_name / f"{genre_name}.{i:05}.wav", y, 22050)
    return folder


def test_16_bit_samples_come_exactly_and_are_filled_up(tmp_path):
    samples = np.random.RandomState(0).randint(-32768, 32768, size=30000).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", samples, 22050)
    np.testing.assert_array_equal(spectra.read_start(tmp_path / "x.wav"), samples / 32768)
    spectrum = spectra.read_spectrum(tmp_path / "x.wav")
    assert spectrum.shape == (1290, 513) and not spectrum[59:].any()
    assert len(spectra.compute_spectrum(np.zeros(661500), "hann")) == 1288


def test_lists_match_on_the_stem(tmp_path):
    _, tracks = spectra.find_genres(write_genres(tmp_path / "Data" / "genres_original").parent)
    assert tracks[0].artist == "a"
    lists = []
    for i in range(3):
        lists.append(tmp_path / f"{i}.txt")
        lists[-1].write_text(f"b/b.0000{i}.au\nb/missing.wav\n\n")
    parts, left_out = spectra.read_lists(lists, tracks)
    assert [[track.name for track in part] for part in parts] == [
        [f"b/b.0000{i}.wav"] for i in range(3)
    ]
    assert [name for name, _ in left_out] == ["b/missing.wav"] * 3
    with pytest.raises(ValueError, match="one list only"):
        lists[1].write_text("b.00000.mp3\n")
        spectra.read_lists(lists, tracks)


def test_a_track_too_short_for_windows_counts_as_wrong():
    windows = [np.zeros((2, 2)), np.ones((2, 2)), np.zeros((0, 2)), np.ones((1, 2))]
    found = judge_by_forest(windows, np.array([0, 1, 0, 1]), [0, 1], [2, 3], n_trees=5)
    assert found == 0.5


def test_forests_on_threads_do_not_flood_the_terminal(recwarn):
    rng = np.random.RandomState(0)
    windows = [rng.uniform(size=(40, 20)) + i % 2 for i in range(20)]
    labels, before = np.arange(20) % 2, list(warnings.filters)
    for _ in range(6):  # their threads may meet or not
        assert judge_by_forest(windows, labels, range(16), range(16, 20), 60, jobs=4) == 1.0
    assert warnings.filters == before and not [str(w.message) for w in recwarn]


@pytest.mark.slow
def test_the_command_compares_nets_and_leaves_a_bad_file_out(tmp_path, capsys):
    folder = write_genres(tmp_path / "genres")
    (folder / "a" / "a.00000.wav").write_bytes(b"no sound")
    second = write_genres(tmp_path / "others", n_tracks=3)
    arguments = ["--epochs", "1", "--updates", "1", "--hidden", "8", "--trees", "5", "--jobs", "1"]
    out = tmp_path / "out"
    status = main(["study", "genre", str(folder), "--second", str(second), "--out", str(out),
                   *arguments, "--standardise", "--strict"])  # fmt: skip
    printed = capsys.readouterr()
    assert status == 1 and "left out a/a.00000.wav" in printed.err
    assert "1 of 15 files left out" in printed.err
    results = json.loads((out / "results.json").read_text())
    assert sum(results["tracks"]) == 14
    assert set(results["curves"]) == {"ReLU + dropout, SGD", "sigmoid, SGD", "sigmoid, HF"}
    judged = {(row["net"], row["decided by"]): row for row in results["accuracy"]}
    assert len(judged) == 3 * 5 + 2
    assert {"genre", "others (second)"} < set(judged["no net", "forest, raw spectra"])
    assert "forest, layer 2" in printed.out and "raw spectra" in printed.out
