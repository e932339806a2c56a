"""Ten thousand artists: the softmax and its likelihood, whole gradients, the split, the report."""

import numpy as np
import pytensor
import pytest
from test_dataset import tracks_of, write_patches
from test_ops import DTYPES, run_c

from deep_artists.artists.network import Network
from deep_artists.artists.recipe import load_recipe
from deep_artists.cli.report import report_set
from deep_artists.data.dataset import make_dataset
from deep_artists.data.tracks import split_tracks
from deep_artists.ops.compile import compile_function
from deep_artists.ops.softmax import (
    NegativeLogLikelihood,
    NegativeLogLikelihoodGrad,
    Softmax,
    SoftmaxGrad,
)
from deep_artists.reference import numpy_model

K = 10_000
# Relative. Sums of ten thousand terms run in double; float32 is rounded to once, at the end.
BOUNDS = {"float32": 1e-7, "float64": 3e-14}


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_likelihood_are_those_of_numpy(dtype):
    rng = np.random.RandomState(0)
    x = rng.normal(scale=5, size=(12, K)).astype(dtype)
    x[0], x[1, 3] = 0, 300  # equal chances, and near certainty
    y, g = rng.randint(K, size=12).astype("int32"), rng.uniform(size=12).astype(dtype)
    shifted = x.astype(float) - x.max(axis=1, keepdims=True)  # rounded to double, as the kernel does
    e = np.exp(shifted.astype(np.longdouble))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(12)
    nll = np.log(e.sum(axis=1)) - shifted[rows, y]
    bound = {"rtol": BOUNDS[dtype], "atol": np.finfo(dtype).tiny}
    found_nll, found_p = run_c(NegativeLogLikelihood(), x, y)
    np.testing.assert_allclose(found_nll, nll, **bound)
    np.testing.assert_allclose(found_p, p, **bound)
    np.testing.assert_array_equal(run_c(Softmax(), x)[0], found_p)
    one_hot = np.zeros((12, K))
    one_hot[rows, y] = 1
    [dx] = run_c(NegativeLogLikelihoodGrad(), found_p, y, g)
    np.testing.assert_allclose(dx, g[:, None] * (p - one_hot), rtol=0, atol=4 * BOUNDS[dtype])
    dp = rng.normal(size=(12, K)).astype(dtype)
    [dx] = run_c(SoftmaxGrad(), dp, found_p)
    np.testing.assert_allclose(dx, p * (dp - (dp * p).sum(axis=1, keepdims=True)), rtol=0,
                               atol=20 * BOUNDS[dtype])


@pytest.mark.parametrize("floatX, bound", [("float32", 2e-5), ("float64", 1e-12)])
def test_cost_and_gradients_are_those_of_the_numpy_model(floatX, bound):
    settings = numpy_model.RECIPES["page"] | {"n_out": K, "n_hidden": 32, "filters": 2}
    recipe = load_recipe("page", n_out=K, n_hidden=32, nkerns=2)
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(10, 2560)).astype("float32"), rng.randint(K, size=10).astype("int32")
    values = {name: value + rng.uniform(-0.02, 0.02, size=value.shape)
              for name, value in numpy_model.initial_parameters(settings).items()}
    values = {name: value.astype("float32") for name, value in values.items()}
    wide = {name: value.astype(float) for name, value in values.items()}
    cost, gradients = numpy_model.cost_and_gradients(wide, x.astype(float), y, settings)
    network = Network(recipe, 10, floatX, values)
    params = list(network.params.values())
    function = compile_function([network.x, network.y],
                                [network.cost, *pytensor.grad(network.cost, params)])
    found_cost, *found = function(x.astype(floatX), y)
    assert found_cost == pytest.approx(cost, rel=bound)
    for name, gradient in zip(network.params, found):
        expected = gradients[name]
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=bound * np.abs(expected).max(),
                                   err_msg=name)


def test_the_split_of_thousands_of_artists_is_stratified():
    tracks = tracks_of({f"artist {i:04d}": 10 for i in range(3000)}, groups_of=2)
    splits = split_tracks(tracks, seed=1)
    sizes = {name: len(split) for name, split in splits.items()}
    assert sizes == {"train": 19200, "valid": 4800, "test": 6000}
    groups = [{track.group for track in split} for split in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    of_artist = np.unique([track.artist for track in splits["test"]], return_counts=True)[1]
    assert len(of_artist) == 3000 and (of_artist == 2).all()


def test_a_set_of_many_artists_is_reported_in_few_words(tmp_path, capsys):
    for i in range(300):
        write_patches(tmp_path / "patches", f"artist {i:04d}/a", n=1)
    dataset = make_dataset(tmp_path / "patches", tmp_path / "set")
    assert len(dataset.label_names) == 300 and dataset.label_names[123] == "artist 0123"
    track = dataset.track_names["train"][0]
    assert track.startswith(dataset.label_names[dataset.train.y[0]])
    report_set(dataset)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) < 400 and lines[2].endswith("220 more artists")
