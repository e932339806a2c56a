"""Models: what is saved is what is loaded; what they predict; files that are refused."""

import io
import json
import tracemalloc

import numpy as np
import pytest
import scipy.special
from numpy.lib.stride_tricks import sliding_window_view

from deep_artists.artists.model import Model, ModelError, log_softmax
from deep_artists.artists.model_file import list_pretrained
from deep_artists.artists.recipe import NAMES, expected_shapes, load_recipe


def make_model(floatX="float64", seed=0):
    recipe = load_recipe("last", nkerns=3, n_hidden=8, n_out=4)
    rng = np.random.RandomState(seed)
    arrays = [
        {
            name: rng.uniform(-0.3, 0.3, size=shape).astype(floatX)
            for name, shape in expected_shapes(recipe).items()
        }
        for _ in range(2)
    ]
    return Model(*arrays, recipe, ["ann", "bob", "cid"], {"versions": {"numpy": "2"}})


def forward(values, x, poolsize):
    """The network in NumPy: pooled maps, hidden units, probabilities."""
    W = values["conv_W"][:, 0, ::-1, ::-1]
    windows = sliding_window_view(x.reshape(-1, 64, 40), W.shape[1:], axis=(1, 2))
    z = np.einsum("nrcij,fij->nfrc", windows, W, optimize=True)
    h, w = poolsize
    n, f, rows, columns = z.shape
    z = z[:, :, : rows // h * h, : columns // w * w].reshape(n, f, rows // h, h, columns // w, w)
    pool = np.maximum(0, z.max(axis=(3, 5)) + values["conv_b"][:, None, None]).reshape(n, -1)
    hidden = np.maximum(0, pool @ values["hidden_W"] + values["hidden_b"])
    logits = hidden @ values["softmax_W"] + values["softmax_b"]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return pool, hidden, e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("parameters", ["best", "last"])
def test_the_layers_are_those_of_a_plain_forward_pass(parameters):
    model, x = make_model(), np.random.RandomState(1).uniform(size=(700, 2560))
    expected = forward(getattr(model, parameters), x, model.recipe.poolsize)
    for layer, values in zip(("pool", "hidden", "proba"), expected):
        np.testing.assert_allclose(
            model.transform(x, layer, parameters), values, rtol=0, atol=1e-12
        )
    np.testing.assert_allclose(
        model.predict_log_proba(x, parameters), np.log(expected[2]), rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(model.predict(x, parameters), expected[2].argmax(axis=1))


def test_log_probabilities_have_the_bits_of_scipy():
    for floatX in ("float32", "float64"):
        logits = np.random.RandomState(1).uniform(-90, 90, size=(50, 7)).astype(floatX)
        logits[:2, 0] = np.inf, -np.inf
        with np.errstate(invalid="ignore"):
            expected = scipy.special.log_softmax(logits, axis=1)
            found = log_softmax(logits)
        assert found.dtype == floatX
        np.testing.assert_array_equal(found, expected)


def test_tracks_are_predicted_by_mean_log_probability():
    model, x = make_model(), np.random.RandomState(1).uniform(size=(9, 2560))
    track = np.array([7, 7, 2, 2, 2, 2, 9, 9, 9])
    log_p = model.predict_log_proba(x)
    tracks, predicted = model.predict_by_track(x, track)
    np.testing.assert_array_equal(tracks, [2, 7, 9])
    expected = [log_p[track == t].mean(axis=0).argmax() for t in tracks]
    np.testing.assert_array_equal(predicted, expected)
    y = np.array([expected[1]] * 2 + [expected[0]] * 4 + [3 - expected[2] + 100] * 3)
    errors = model.evaluate((x, y, track))
    assert errors["track_error"] == pytest.approx(1 / 3)
    assert errors["patch_error"] == np.mean(model.predict(x) != y)
    assert model.evaluate((x, y))["track_error"] is None


def test_tracks_may_come_in_any_order_and_lie_across_batches(monkeypatch):
    monkeypatch.setattr("deep_artists.artists.model.BATCH", 16)
    model, rng = make_model(), np.random.RandomState(1)
    x, track = rng.uniform(size=(100, 2560)), np.repeat([5, 8, 9, 11], [40, 3, 7, 50])
    expected = [
        model.predict_log_proba(x[track == t]).mean(axis=0).argmax() for t in np.unique(track)
    ]
    mixed = rng.permutation(100)
    for order in (np.arange(100), mixed):
        tracks, predicted = model.predict_by_track(x[order], track[order])
        np.testing.assert_array_equal(tracks, [5, 8, 9, 11])
        np.testing.assert_array_equal(predicted, expected)
    y = np.repeat(expected, [40, 3, 7, 50])
    assert model.evaluate((x[mixed], y[mixed], track[mixed]))["track_error"] == 0


def test_evaluation_takes_no_memory_per_patch_and_artist():
    recipe = load_recipe("page", nkerns=1, n_hidden=4, n_out=2000)
    values = {name: np.ones(shape, "float32") for name, shape in expected_shapes(recipe).items()}
    model, peaks = Model(values, values, recipe, []), []
    for n in (10, 1100, 3000):
        x, y = np.zeros((n, 2560), "float32"), np.zeros(n, int)
        tracemalloc.start()
        model.evaluate((x, y, np.arange(n) // 2))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]


@pytest.mark.parametrize("floatX", ["float32", "float64"])
def test_a_saved_model_is_loaded_bit_for_bit(tmp_path, floatX):
    model = make_model(floatX)
    loaded = Model.load(model.save(tmp_path / "model.npz"))
    for which in ("last", "best"):
        for name in NAMES:
            a, b = getattr(model, which)[name], getattr(loaded, which)[name]
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes()
    assert (loaded.recipe, loaded.label_names, loaded.about) == (
        model.recipe,
        model.label_names,
        model.about,
    )
    assert loaded.floatX == floatX and loaded.conv_W is loaded.last["conv_W"]
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def rewrite(path, **changes):
    """Write the file again with other arrays; None leaves one out."""
    with np.load(path, allow_pickle=True) as file:
        arrays = {**file, **changes}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


def with_about(path, **changes):
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
    rewrite(path, about=np.array(json.dumps({**about, **changes})))


def compress_and_damage(path):
    with np.load(path) as file:
        np.savez_compressed(path, **file)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)


BEST = [f"best_{name}" for name in NAMES]


def keep(path, *names):
    rewrite(path, **dict.fromkeys({*NAMES, *BEST} - set(names)))


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda p: p.write_bytes(b"no zip"), "damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:-200]), "damaged"),
        (lambda p: p.write_bytes(b""), "damaged"),
        (lambda p: rewrite(p, conv_W=np.array([{}], dtype=object)), "damaged"),
        (lambda p: rewrite(p, about=None), "damaged"),
        (lambda p: rewrite(p, about=np.array("[1]")), "damaged"),
        (lambda p: with_about(p, format=2), "format 2"),
        (lambda p: rewrite(p, hidden_b=None), "hidden_b"),
        (lambda p: rewrite(p, best_hidden_b=None), "best hidden_b"),
        (lambda p: rewrite(p, hidden_W=np.zeros((3, 3))), "(3, 3)"),
        (lambda p: rewrite(p, conv_b=np.zeros(3, int)), "int64"),
        (lambda p: with_about(p, recipe={"name": "x"}), "missing keys"),
        (lambda p: with_about(p, recipe=3), "table of fields"),
        (lambda p: with_about(p, label_names="abc"), "list of texts"),
        (lambda p: rewrite(p, hidden_b=np.zeros(8, np.float32)), "float32 (8,)"),
        (lambda p: keep(p, "best_conv_W", "best_conv_b", *NAMES), "best hidden_W: found nothing"),
        (lambda p: keep(p, "conv_W", "conv_b", *BEST), "best hidden_W, hidden_b, softmax_W"),
        (lambda p: rewrite(p, surprise=np.zeros(3)), "an array 'surprise'"),
        (lambda p: rewrite(p, about=np.array("[" * 10**5)), "damaged"),
        (lambda p: rewrite(p, about=np.zeros(3)), "no text 'about'"),
        (lambda p: with_about(p, format="1"), "damaged"),
        (lambda p: rewrite(p, softmax_b=np.zeros((4, 0))), "(4, 0)"),
        (compress_and_damage, "damaged"),
        (lambda p: with_about(p, label_names=list("abcdefgh")), "8 label names"),
    ],
)
def test_damaged_files_are_refused(tmp_path, damage, words):
    path = make_model().save(tmp_path / "model.npz")
    damage(path)
    with pytest.raises(ModelError) as error:
        Model.load(path)
    assert words in str(error.value)


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    path = make_model().save(tmp_path / "model.npz")
    with np.load(path) as file:
        arrays = dict(file)
    zeros = np.zeros((5000, 1000))  # 40 MB, as 40 kB
    for name, claimed in (("hidden_W", {}), ("hidden_W", {"n_hidden": 5000}), ("more", {})):
        about = json.loads(str(arrays["about"]))
        about["recipe"] |= claimed
        np.savez_compressed(path, **{**arrays, "about": json.dumps(about), name: zeros})
        tracemalloc.start()
        with pytest.raises(ModelError):
            Model.load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5e6


def test_patches_may_begin_at_any_address():
    model, x = make_model(), np.random.RandomState(1).uniform(size=(5, 2560))
    bytes_ = np.empty(x.nbytes + 1, np.uint8)
    unaligned = bytes_[1:].view(x.dtype).reshape(x.shape)
    unaligned[:] = x
    assert not unaligned.flags.aligned
    np.testing.assert_array_equal(model.transform(unaligned), model.transform(x))


def test_a_model_of_the_first_layer_only(tmp_path):
    whole = make_model()
    first = [{name: a for name, a in d.items() if "conv" in name} for d in (whole.last, whole.best)]
    model = Model.load(Model(*first, whole.recipe, []).save(tmp_path / "model.npz"))
    x = np.random.RandomState(1).uniform(size=(5, 2560))
    np.testing.assert_array_equal(model.transform(x, "pool"), whole.transform(x, "pool"))
    for call in (model.predict, model.predict_log_proba, model.transform):
        with pytest.raises(ModelError, match="first layer only"):
            call(x)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Model.load(tmp_path / "absent.npz")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = make_model().save(tmp_path / "model.npz")
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        make_model(seed=1).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: m.predict(np.zeros((3, 100))), "(3, 100)"),
        (lambda m: m.predict(np.zeros(2560)), "(2560,)"),
        (lambda m: m.transform(np.zeros((1, 2560)), "top"), "'top'"),
        (lambda m: m.predict(np.zeros((1, 2560)), "worst"), "'worst'"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError) as error:
        call(make_model())
    assert words in str(error.value)


def test_the_file_means_the_same_to_the_numpy_model(tmp_path):
    from deep_artists.reference import numpy_model

    path = make_model().save(tmp_path / "model.npz")
    with np.load(path) as file:
        values = dict(file)
    x = np.random.RandomState(1).uniform(size=(20, 2560))
    logits = numpy_model.forward(values, x, {"poolsize": (16, 10)})["logits"]
    e = np.exp(logits)
    p = Model.load(path).transform(x, "proba", parameters="last")
    np.testing.assert_allclose(p, e / e.sum(axis=1, keepdims=True), rtol=0, atol=1e-13)


def test_no_patches_give_no_predictions():
    assert make_model().predict_log_proba(np.zeros((0, 2560))).shape == (0, 4)


def test_the_file_is_an_npz_that_numpy_reads_without_pickle(tmp_path):
    path = make_model().save(tmp_path / "model.npz")
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        assert set(file.files) == {"about", *NAMES, *(f"best_{n}" for n in NAMES)}


def test_without_a_compiler_numpy_computes(monkeypatch):
    import pytensor

    model, x = make_model(), np.random.RandomState(0).uniform(size=(5, 2560))
    compiled = {layer: model.transform(x, layer) for layer in ("pool", "hidden", "proba")}
    monkeypatch.setattr(pytensor.config, "cxx", "")
    model._functions.clear()
    for layer, value in compiled.items():
        np.testing.assert_allclose(model.transform(x, layer), value, rtol=1e-10, atol=1e-14)


def test_a_model_comes_with_the_package_under_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open-music").mkdir()  # as fetch may make it; no model
    model = Model.load("open-music")
    card = model.about["card"]
    assert model.recipe.name == "today"
    assert len(model.label_names) == card["corpus"]["artists"] == 23
    assert card["errors"]["test"]["best"]["patch_error"] < card["chance"]["patch_error"] - 0.1
    assert model.floatX == "float32" and list_pretrained() == ["open-music"]
    with pytest.raises(FileNotFoundError):
        Model.load("closed-music")
