"""The evidence agrees with itself: recordings, the rule of their inputs and the NumPy model."""

import hashlib

import numpy as np
import pytest

from deep_artists.reference import golden, inputs, numpy_model

# Model and Theano 0.6 add up the same numbers in another order, each rounding at 1e-16. Measured:
# 3e-15 over these steps, relative to an array's largest entry. A wrong tie gives 1e-2.
TOLERANCE = 1e-13

RUNS = {  # recipe: epochs, iterations; a whole recorded run where it is short, else its beginning
    "first": (1, None),
    "second": (2, 10),
    "third": (1, 10),
    "last": (50, 10),
    "page": (14, 10),
}


def assert_near(actual, recorded, what, tolerance=TOLERANCE):
    assert actual.shape == recorded.shape, what
    scale = np.abs(recorded).max()
    assert np.abs(actual - recorded).max() <= tolerance * scale, what


def assert_recorded_parameters(after, recording):
    """Compare whole arrays where they were kept, else their sums; return how many."""
    n_compared = 0
    for n, parameters in after.items():
        for name, value in parameters.items():
            for key, actual in (
                (f"{name}_after{n}", value),
                (f"{name}_row_sums_after{n}", value.sum(axis=-1)),
                (f"{name}_column_sums_after{n}", value.sum(axis=0)),
            ):
                if key in recording:
                    assert_near(actual, recording[key], key)
                    n_compared += 1
    return n_compared


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_numpy_model_follows_theano_and_the_program(name):
    n_epochs, n_iterations = RUNS[name]
    program = golden.load(f"program/{name}-float64.npz")
    network = golden.load(f"network/{name}-float64.npz")
    datasets = inputs.make_dataset(*((2010, 10) if name == "first" else (2013, 20)))
    last = n_iterations or len(program["cost"])
    result = numpy_model.train(datasets, name, n_epochs, n_iterations, snapshots={1, 10, last})

    cost = result["cost"]
    assert len(cost) == last
    np.testing.assert_allclose(cost, program["cost"][:last], rtol=TOLERANCE)
    np.testing.assert_allclose(cost[:10], network["cost"], rtol=TOLERANCE)
    assert assert_recorded_parameters(result["after"], network) == 14
    assert assert_recorded_parameters(result["after"], program) >= 6  # after 1
    if n_iterations is None:
        assert result["log"] == golden.log(f"program/{name}-float64.log")


@pytest.mark.parametrize("name", numpy_model.RECIPES)
def test_numpy_model_draws_the_recorded_initial_values(name):
    initial = golden.load("network/initial.npz")
    parameters = numpy_model.initial_parameters(numpy_model.RECIPES[name])
    for parameter in ("conv_W", "hidden_W"):
        for dtype in ("float32", "float64"):
            digest = initial[f"{dtype}/{name}/{parameter}_sha256"].item().decode()
            assert inputs.sha256(parameters[parameter].astype(dtype)) == digest


CASES = {
    "conv2d": inputs.conv2d_cases,
    "max_pool": inputs.max_pool_cases,
    "rectify": inputs.rectify_cases,
    "softmax": inputs.softmax_cases,
}


@pytest.mark.parametrize("op", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_are_those_recorded(op, dtype):
    recording = golden.load(f"ops/{op}.npz")
    checked = set()
    for case, arrays in CASES[op](dtype):
        for name, array in arrays.items():
            key = f"{dtype}/{case}/{name}_sha256"
            assert inputs.sha256(array) == recording[key].item().decode(), key
            checked.add(key)
    assert checked == {
        key for key in recording if key.startswith(dtype) and key.endswith("_sha256")
    }


def test_the_set_of_the_recordings_has_its_bytes():
    train, valid, test = inputs.make_dataset()
    digests = [hashlib.sha256(a.tobytes()).hexdigest() for a in (train[0], valid[0], test[0])]
    assert digests == [
        "edcef370ce190b74ee5c642bcf085966367aa630d059675474997557d8a10a8f",
        "a9f9a11a13942d3c421490796ac48a41437b3250053e76be3ee9cfe169b09431",
        "e3fb57bdec60123fe2f32686ac9cc3c56063b0c964a4ca61af859dd5d666e3fe",
    ]
    assert train[1].dtype == np.int64
    assert hashlib.sha256(train[1].tobytes()).hexdigest().startswith("e7a17ef8ddeb71fe")
    silent = (train[0] == 0).all(axis=1)
    assert silent[5::16].all() and (np.ptp(train[0][11::37], axis=1) == 0).all()


def test_numpy_convolution_agrees_with_theano():
    recording = golden.load("ops/conv2d.npz")
    single_map = [(case, a) for case, a in inputs.conv2d_cases("float64") if a["x"].shape[1] == 1]
    assert len(single_map) == 5  # the model has no other
    for case, arrays in single_map:
        x, W, g = arrays["x"][:, 0], arrays["W"], arrays["g"]
        assert_near(numpy_model.conv2d(x, W), recording[f"float64/{case}/out"], case)
        assert_near(numpy_model.conv2d_gradient(x, g), recording[f"float64/{case}/gW"], case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_pooling_is_that_of_theano(dtype):
    recording = golden.load("ops/max_pool.npz")
    for (case, arrays), (_, _, poolsize) in zip(inputs.max_pool_cases(dtype), inputs.MAX_POOL):
        x, g = arrays["x"], arrays["g"]
        p = numpy_model.pool_windows(x, poolsize).max(axis=(3, 5))
        gx = numpy_model.max_pool_gradient(x, p, g, poolsize)
        np.testing.assert_array_equal(p, recording[f"{dtype}/{case}/out"], case)
        np.testing.assert_array_equal(gx, recording[f"{dtype}/{case}/gx"], case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theano_passes_the_whole_gradient_through_a_rectifier_at_zero(dtype):
    recording = golden.load("ops/rectify.npz")
    arrays = dict(inputs.rectify_cases(dtype))["around_zero"]
    np.testing.assert_array_equal(recording[f"{dtype}/around_zero/out"], np.maximum(0, arrays["v"]))
    np.testing.assert_array_equal(
        recording[f"{dtype}/around_zero/gv"], arrays["g"] * (arrays["v"] >= 0)
    )


def test_equal_windows_give_equal_sums():
    x = np.full((1, 64, 40), 0.3711)
    W = numpy_model.initial_parameters(numpy_model.RECIPES["last"])["conv_W"]
    z = numpy_model.conv2d(x, W)
    assert np.all(z == z[:, :, :1, :1])


def test_a_changed_byte_in_a_recording_is_reported(tmp_path, monkeypatch):
    name = "ops/rectify.npz"
    content = bytearray(golden.path(name).read_bytes())
    content[100] ^= 1
    (tmp_path / "ops").mkdir()
    (tmp_path / name).write_bytes(content)
    (tmp_path / "MANIFEST.json").write_text((golden.GOLDEN / "MANIFEST.json").read_text())
    monkeypatch.setattr(golden, "GOLDEN", tmp_path)
    with pytest.raises(golden.RecordingError, match="SHA-256"):
        golden.load(name)


def test_every_recording_is_in_the_manifest_and_unchanged():
    files = {str(p.relative_to(golden.GOLDEN)) for p in golden.GOLDEN.rglob("*") if p.is_file()}
    assert files - {"MANIFEST.json"} == set(golden.manifest())
    for name, entry in golden.manifest().items():
        assert golden.path(name).is_file()
        assert entry["recorded_by"] and entry["what"], name


def test_a_file_outside_the_manifest_is_refused():
    with pytest.raises(golden.RecordingError, match="not in"):
        golden.load("ops/unknown.npz")
