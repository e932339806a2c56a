import json
import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from deep_artists.artists.model import Model, ModelError
from deep_artists.artists.recipe import expected_shapes, load_recipe
from deep_artists.data.mel import mel_filters
from deep_artists.nn.curves import plot_learning_curves
from deep_artists.nn.loop import Result, run_epochs
from deep_artists.nn.patience import trace_patience
from deep_artists.use import plots
from deep_artists.use.charts import flatten_map, plot_confusion, plot_map, plot_probabilities

FRAME_MS = 1000 * 128 / 22050


def make_model(seed=0, **overrides):
    recipe = load_recipe("last", n_out=3, nkerns=2, n_hidden=4, **overrides)
    rng = np.random.RandomState(seed)
    best = {
        name: rng.normal(0, 0.1, shape).astype("float32")
        for name, shape in expected_shapes(recipe).items()
    }
    last = {name: -values for name, values in best.items()}
    return Model(last=last, best=best, recipe=recipe, label_names=["a", "A$AP & Ke$ha", "c" * 40])


def make_results(n=1000):
    rng = np.random.RandomState(0)
    return {
        "recipe": {"patience": 500}, "costs": rng.uniform(1, 3, n).tolist(), "best_iteration": 400,
        "validation": [[200, 0.5], [400, 0.25], [600, 0.3], [800, 0.25], [1000, 0.4]],
    }  # fmt: skip


def band_of(hz):
    """Return where a frequency lies among the 64 bands, by the formula of Slaney's scale."""
    mel, highest = (3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)
                    for f in (hz, 8000))  # fmt: skip
    return 65 * mel / highest - 1


def image_of(axes):
    (image,) = axes.get_images()
    return image


def check_hz(axes, lowest_band, n_bands):
    ticks = axes.get_yticks()
    bands = [band_of(float(label.get_text())) - lowest_band for label in axes.get_yticklabels()]
    assert len(ticks) >= 3 and min(ticks) >= 0 and max(ticks) < n_bands
    np.testing.assert_allclose(ticks, bands, atol=1e-9)


def test_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(RuntimeError, match=r'pip install "deep_artists\[plots\]"'):
        plots.plot_filters(make_model())


def test_import_is_cheap():
    code = (
        "import sys, deep_artists.use.plots, deep_artists.use.convert; "
        "print({'matplotlib', 'librosa', 'scipy', 'sklearn', 'pytensor'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_filters_are_turned_back_and_their_axes_true():
    model = make_model()
    grid = plots.plot_filters(model, "last")
    assert grid.shape == (2,)
    limit = np.abs(model.last["conv_W"]).max()
    for axes, W in zip(grid, model.last["conv_W"]):
        image = image_of(axes)
        shown = [[W[0, 32 - i, 10 - j] for j in range(11)] for i in range(33)]
        np.testing.assert_array_equal(image.get_array(), shown)
        assert image.origin == "lower" and image.get_clim() == (-limit, limit)
        np.testing.assert_allclose(image.get_extent(), (0, 11 * FRAME_MS, -0.5, 32.5))
    check_hz(grid[0], 0, 33)
    (right,) = [a for a in grid[0].figure.axes if "highest" in a.get_ylabel()]
    check_hz(right, 31, 33)


@pytest.mark.parametrize("recipe", ["first", "third", "page"])
def test_filters_of_every_shape_and_number_can_be_drawn(recipe):
    recipe = load_recipe(recipe, n_out=2, nkerns=7)
    arrays = {name: np.zeros(shape) for name, shape in expected_shapes(recipe).items()}
    grid = plots.plot_filters(Model(arrays, arrays, recipe, []))
    assert len(grid) == 7 and all(axes.get_visible() for axes in grid)
    grid[0].figure.draw_without_rendering()


def test_the_frequency_axis_is_that_of_the_filter_bank():
    peaks_hz = mel_filters().argmax(axis=1) * 22050 / 512
    bands = [band_of(hz) for hz in peaks_hz]
    np.testing.assert_allclose(bands, np.arange(64), atol=0.6)  # an FFT bin is 43 Hz, a band 46


def test_patience_grows_as_in_training():
    errors = [0.5, 0.6, 0.4999, 0.3, 0.3, 0.2999, 0.1, 0.2] + [0.2] * 100
    scripted = iter(errors)
    functions = SimpleNamespace(
        n_batches=[10, 1, 1],
        network=SimpleNamespace(values=dict, x=SimpleNamespace(dtype="float64")),
        train=lambda indices: (1.0 for _ in indices), start_epoch=lambda epoch: None,
        validate=lambda: next(scripted), test=lambda: 0.0,
    )  # fmt: skip
    recipe = load_recipe("last", patience=45, validation_frequency=10)
    result = Result()
    run_epochs(recipe, functions, result, lambda line: None)
    steps = trace_patience(result.validation, 45)
    assert steps == [(0, 45), (40, 78), (70, 138)]
    assert steps[-1][1] == result.patience == len(result.costs) - 1


def test_learning_curves_show_the_run():
    results = make_results()
    cost, error, wait = plot_learning_curves(results)
    every, smooth = cost.get_lines()
    np.testing.assert_array_equal(every.get_ydata(), results["costs"])
    np.testing.assert_allclose(smooth.get_xydata()[1], [7.5, np.median(results["costs"][5:10])])
    curve, best = error.get_lines()
    np.testing.assert_allclose(curve.get_xydata(), [(i, 100 * e) for i, e in results["validation"]])
    np.testing.assert_array_equal(best.get_xydata(), [[400, 25]])
    assert "25.0 % at iteration 400" in best.get_label()
    patience = wait.get_lines()[0].get_xydata()
    np.testing.assert_array_equal(patience, [[0, 500], [400, 798], [1000, 798]])
    for axes, unit in zip((cost, error, wait), ("cost", "error (%)", "iterations")):
        assert axes.get_ylabel() == unit


def test_learning_curves_of_a_result_are_those_of_its_json():
    results = make_results()
    model = make_model(patience=500)
    result = Result(
        costs=np.array(results["costs"]), validation=[tuple(v) for v in results["validation"]],
        best_iteration=400, model=model,
    )  # fmt: skip
    for a, b in zip(plot_learning_curves(results), plot_learning_curves(result)):
        for line, other in zip(a.get_lines(), b.get_lines(), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


@pytest.mark.parametrize("n", [1, 3, 50])
def test_learning_curves_of_a_short_run_without_validation(n):
    results = make_results(n) | {"validation": [], "best_iteration": 1}
    grid = plot_learning_curves(results)
    grid[0].figure.draw_without_rendering()
    assert len(grid[1].get_lines()) == 1


def test_learning_curves_of_a_diverged_run():
    results = make_results()
    results["costs"][500:] = [np.nan] * 500
    plot_learning_curves(results)[0].figure.draw_without_rendering()


@pytest.mark.parametrize(
    "change",
    [
        {"costs": []},
        {"costs": "abc"},
        {"costs": [[1, 2], [3, 4]]},
        {"costs": [[1, 2], 3]},
        {"costs": {"a": 1}},
        {"costs": 3},
        {"validation": [1, 2]},
        {"validation": [[1, 2, 3], [4, 5, 6]]},
        {"validation": None},
        {"best_iteration": "x"},
        {"best_iteration": None},
        {"best_iteration": float("inf")},
        {"recipe": []},
        {"recipe": {}},
        {"recipe": {"patience": []}},
    ],
)
def test_results_of_other_types_are_refused(change):
    with pytest.raises(ValueError, match="the results"):
        plot_learning_curves(make_results() | change)


def test_results_that_lack_something_are_refused():
    with pytest.raises(ValueError, match="no costs, best_iteration"):
        plot_learning_curves({"recipe": {}, "validation": []})


def test_confusion_counts_patches_and_tracks():
    model = make_model()
    x = np.zeros((6, 2560), "float32")
    y, track = np.array([0, 0, 0, 0, 1, 1]), np.array([7, 7, 7, 3, 5, 5])
    model.predict = lambda x, parameters: np.array([0, 0, 1, 2, 1, 1])
    model.predict_by_track = lambda x, track, parameters: (np.array([3, 5, 7]), np.array([2, 1, 0]))
    axes = plot_confusion(model, (x, y), per="patch")
    shares = np.ma.filled(image_of(axes).get_array(), np.nan)
    np.testing.assert_array_equal(shares, [[0.5, 0.25, 0.25], [0, 1, 0], [np.nan] * 3])
    assert axes.get_title() == "6 patches, error 33.3 %"
    axes = plot_confusion(model, (x, y, track))
    shares = np.ma.filled(image_of(axes).get_array(), np.nan)
    np.testing.assert_array_equal(shares, [[0.5, 0, 0.5], [0, 1, 0], [np.nan] * 3])
    assert axes.get_title() == "3 tracks, error 33.3 %"
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["a", "A$AP & Ke$ha", "c" * 19 + "…"]
    axes.figure.draw_without_rendering()  # no dollar is taken for mathematics


def test_confusion_of_thousands_of_artists_is_of_the_commonest():
    model = make_model()
    model.label_names = [f"artist {i}" for i in range(3000)]
    y = np.concatenate([np.arange(1000, 2000), np.arange(1400, 1520), [2999]])
    model.predict = lambda x, parameters: np.where(y == 2999, 7, y)
    axes = plot_confusion(model, (np.zeros((len(y), 2560)), y), per="patch")
    shares = np.ma.filled(image_of(axes).get_array(), np.nan)
    np.testing.assert_array_equal(shares, np.eye(151))
    assert axes.get_title() == "1121 patches, error 0.1 %"
    assert axes.get_yticklabels()[0].get_text() == "artist 1000"


def test_confusion_needs_tracks_to_count_them():
    x, y = np.zeros((2, 2560)), np.zeros(2, int)
    for split, per in (((x, y), "track"), ((x, y, None), "track"), ((x, y), "album")):
        with pytest.raises(ValueError, match=f"per = '{per}'"):
            plot_confusion(make_model(), split, per=per)


def make_dots(n, size):
    """Return patches of power `size` at band 20 and frame 30."""
    x = np.zeros((n, 64, 40), "float32")
    x[:, 20, 30] = size
    return x.reshape(n, -1)


def test_activating_patches_are_ranked_and_framed():
    model = make_model()
    W = model.best["conv_W"]
    W[:] = 0
    W[0, 0, 32 - 4, 10 - 7] = 1  # answers to what lies at band 4 and frame 7 of it
    W[1] = -1  # never answers
    model.best["conv_b"][:] = 0
    x = make_dots(5, np.array([3, 1, 5, 0, 4]))
    grid = plots.plot_activating_patches(model, x, n=5)
    assert grid.shape == (2, 5)
    shown = [axes for axes in grid.ravel() if axes.get_images()]
    assert shown == list(grid[0, :4])  # one patch is silent
    np.testing.assert_allclose(image_of(grid[0, 0]).get_extent(), (0, 40 * FRAME_MS, -0.5, 63.5))
    for axes in shown:
        level = image_of(axes).get_array()
        assert level[20, 30] == 0 and (np.delete(level.ravel(), 20 * 40 + 30) == -60).all()
        (frame,) = axes.patches
        np.testing.assert_allclose(frame.get_xy(), (23 * FRAME_MS, 15.5))
        np.testing.assert_allclose((frame.get_width(), frame.get_height()), (11 * FRAME_MS, 33))
    check_hz(grid[0, 0], 0, 64)


def test_the_frame_lies_where_the_pooling_looks():
    model = make_model(poolsize=(10, 7))  # of a map of 32 x 30 the last two rows are cut
    model.best["conv_W"][:] = 0
    model.best["conv_W"][:, 0, 32, 10] = 1  # answers to what lies at band 0 and frame 0 of it
    x = make_dots(1, 0)
    x.reshape(1, 64, 40)[0, [31, 5], [3, 4]] = 9, 2
    for (axes,) in plots.plot_activating_patches(model, x, n=1):
        np.testing.assert_allclose(axes.patches[0].get_xy(), (4 * FRAME_MS, 4.5))


def test_activating_patches_come_from_different_tracks():
    model = make_model()
    model.best["conv_W"][:] = 1
    x = make_dots(5, np.array([3, 1, 5, 2, 4]))
    x[:, 0] = np.arange(5) / 10  # tells them apart, and is outside the filter
    grid = plots.plot_activating_patches(model, x, track=np.array([0, 0, 1, 2, 1]))
    order = [0, 2, 3]
    levels = [image_of(axes).get_array()[0, 0] for axes in grid[0, :3]]
    expected = [10 * np.log10(max(x[p, 0] / x[p].max(), 1e-6)) for p in order]
    np.testing.assert_allclose(levels, expected, rtol=1e-6)
    assert not any(axes.get_images() for axes in grid[0, 3:])


@pytest.fixture
def run(tmp_path):
    """Return a run folder as the command line writes it."""
    folder = tmp_path / "run"
    (folder / "set").mkdir(parents=True)
    model = make_model()
    model.save(folder / "model.npz")
    (folder / "results.json").write_text(json.dumps(make_results()))
    rng = np.random.RandomState(0)
    tracks = [{"name": f"{i}"} for i in range(3)]
    for name in ("train", "valid", "test"):
        np.save(folder / "set" / f"{name}_x.npy", rng.uniform(size=(6, 2560)).astype("float32"))
        np.save(folder / "set" / f"{name}_y.npy", np.repeat(np.arange(3), 2))
        np.save(folder / "set" / f"{name}_track.npy", np.repeat(np.arange(3), 2))
    info = {
        "format": 1,
        "label_names": model.label_names,
        "tracks": {name: tracks for name in ("train", "valid", "test")},
    }
    (folder / "set" / "dataset.json").write_text(json.dumps(info))
    return folder


def read_chunks(path):
    """Return the names of a PNG file's chunks and its pixels per metre."""
    data, names, at, density = path.read_bytes(), [], 8, None
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        names.append(data[at + 4 : at + 8])
        if names[-1] == b"pHYs":
            density = struct.unpack(">I", data[at + 8 : at + 12])[0]
        at += size + 12
    return set(names), density


def test_a_run_gives_all_pictures_twice_the_same(run, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    written = plots.save_all(run, tmp_path / "new" / "plots")
    names = [
        "filters",
        "learning_curves",
        "activating_patches",
        "confusion_tracks",
        "confusion_patches",
        "probabilities",
        "map",
    ]
    assert written == [tmp_path / "new" / "plots" / f"{name}.png" for name in names]
    assert sorted(os.listdir(tmp_path / "new" / "plots")) == sorted(p.name for p in written)
    for path in written:
        chunks, density = read_chunks(path)
        assert not chunks & {b"tIME", b"tEXt", b"iTXt", b"zTXt"} and density == 11811  # 300 dpi
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50, "image.cmap": "jet"}):
        again = plots.save_all(run, tmp_path / "again")
    for a, b in zip(written, again):
        assert a.read_bytes() == b.read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_pyplot_and_the_backend_are_left_alone(run, tmp_path):
    code = (
        "import sys, matplotlib; matplotlib.use('svg'); "
        "from deep_artists.use.plots import save_all; "
        f"save_all({str(run / 'model.npz')!r}, {str(tmp_path)!r}); "
        "print(matplotlib.get_backend(), 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["svg", "False"]


def test_a_model_alone_gives_its_filters(run, tmp_path):
    assert plots.save_all(run / "model.npz", tmp_path) == [tmp_path / "filters.png"]


def test_a_first_layer_has_no_confusion(run, tmp_path):
    model = make_model()
    layer = {name: model.best[name] for name in ("conv_W", "conv_b")}
    model = Model(last=layer, best=layer, recipe=model.recipe, label_names=[])
    model.save(run / "model.npz")
    names = [path.stem for path in plots.save_all(run, tmp_path)]
    assert names == ["filters", "learning_curves", "activating_patches"]
    with pytest.raises(ModelError, match="first layer"):
        plot_confusion(model, (np.zeros((1, 2560)), np.zeros(1, int)), per="patch")


def test_a_picture_that_cannot_be_written_leaves_the_old_one(run, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fail(self, file, **options):
        file.write(b"half")
        raise OSError("no space left")

    (tmp_path / "filters.png").write_bytes(b"old")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space"):
        plots.save_all(run / "model.npz", tmp_path)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "filters.png").read_bytes() == b"old"


@pytest.mark.parametrize("form, start", [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_files_for_a_paper_are_the_same_every_time(run, tmp_path, form, start):
    model = run / "model.npz"
    [a], [b] = (plots.save_all(model, tmp_path / name, form) for name in "ab")
    assert a.suffix == f".{form}" and a.read_bytes().startswith(start)
    assert a.read_bytes() == b.read_bytes()
    with pytest.raises(ValueError, match="form = 'bmp'; there are png, pdf, svg"):
        plots.save_all(model, tmp_path, "bmp")


def test_pictures_can_be_drawn_into_axes_of_the_user(run):
    from matplotlib.figure import Figure

    model = make_model()
    axes = Figure().subplots(2)
    assert list(plots.plot_filters(model, axes=axes)) == list(axes)
    with pytest.raises(ValueError, match="2 axes; 3 are needed"):
        plot_learning_curves(make_results(), axes)
    ax = Figure().subplots()
    x, y = np.random.RandomState(0).uniform(size=(6, 2560)), np.arange(6) % 3
    assert plot_confusion(model, (x, y), per="patch", ax=ax) is ax
    assert plot_probabilities(model, x, np.arange(6.0), top=2, ax=ax) is ax
    assert [t.get_text().split()[-1] for t in ax.get_yticklabels()] == ["%"] * 3


def test_a_map_shows_every_artist_and_is_the_same_everywhere():
    rng = np.random.RandomState(0)
    features = rng.normal(size=(12, 8)) + 5 * np.eye(8)[np.arange(12) % 3]
    axes = plot_map(features, np.arange(12) % 3, ["a$", "b", "c"])
    assert [line.get_label() for line in axes.get_lines()] == [r"a\$", "b", "c"]
    assert "% of variance" in axes.get_xlabel()
    assert sum(len(line.get_xdata()) for line in axes.get_lines()) == 12
    axes.figure.draw_without_rendering()
    places, names = flatten_map(features, "tsne")
    assert places.shape == (12, 2) and names == ["t-SNE 1", "t-SNE 2"]
    for bad, words in ((features[:2], "at least 3"), (features, "method = 'umap'")):
        with pytest.raises(ValueError, match=words):
            flatten_map(bad, "umap" if len(bad) > 2 else "pca")
