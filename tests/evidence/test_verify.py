"""The ladder passes on this machine, and names what was broken on purpose."""

import inspect
import json
import shutil
import textwrap

import numpy as np
import pytest
from pytensor.scalar.basic import gt

from deep_artists.artists import network
from deep_artists.data import mel, patches
from deep_artists.evidence import check_frontend, check_ops, verify
from deep_artists.evidence import report as reports
from deep_artists.evidence.check_artists import EPOCHS, compare_bits, take_steps
from deep_artists.evidence.compare import DTYPES
from deep_artists.nn import layers
from deep_artists.ops import max_pool, rectify, rewrites
from deep_artists.reference import golden, inputs

RECIPES = ("first", "second", "third", "last", "page")  # of 2013


@pytest.fixture(scope="module")
def report():
    return verify.verify(quick=True)


def failures(*parts):
    """The names of the rows that fail, without their dtype."""
    checks = verify.verify(parts=parts).checks
    assert all(
        check.passed == (check.measured <= check.bound)
        for check in checks
        if check.bound is not None
    )
    return {check.quantity for check in checks if not check.passed}


def both(*names):
    return {name.replace("*", dtype) for name in names for dtype in DTYPES}


def mutate(code, old, new):
    """Return a function or class made from its source, one piece of it changed."""
    source = textwrap.dedent(inspect.getsource(code))
    assert source.count(old) == 1
    namespace = dict(vars(inspect.getmodule(code)))
    exec(source.replace(old, new), namespace)
    return namespace[code.__name__]


def in_python(op_type, perform):
    """Return the Op type with another perform, and without the C code that would go before it."""

    def c_code(self, *arguments):
        raise NotImplementedError

    return type(op_type.__name__, (op_type,), {"perform": perform, "c_code": c_code})


# --- as it is ---


@pytest.mark.slow
def test_this_machine_passes(report):
    assert [check for check in report.checks if not check.passed] == []
    names = {check.quantity.rpartition(":")[0] for check in report.checks}
    assert "frontend" in names and {f"initial {name}" for name in RECIPES} <= names
    for dtype in DTYPES:
        assert {
            f"ops {op} {dtype}"
            for op in ("conv2d", "max_pool", "rectify", "softmax", "softmax_unfused", "one_pass")
        } <= names
        assert {f"network {name} {dtype}" for name in RECIPES} <= names


@pytest.mark.slow
def test_every_recorded_run_is_in_the_ladder(report):
    recordings = {name.rpartition(".")[0] for name in golden.manifest()}
    runs = {
        f"program {run.replace('-', ' ')}"
        for folder, _, run in (name.partition("/") for name in recordings)
        if folder == "program"
    }
    assert {name for name in report.left_out if name.startswith("program ")} == runs
    assert runs <= {rung.name for rung in verify.list_rungs("cpu", {})}


@pytest.mark.slow
def test_the_digests_are_of_the_trained_parameters(report):
    assert set(report.parameters_sha256) == {
        f"{name} {dtype}" for name in RECIPES for dtype in DTYPES
    }
    assert len(set(report.parameters_sha256.values())) == 10
    _, after = take_steps("page", "float32", {10})
    joined = b"".join(
        after[10][name].tobytes()
        for name in ("conv_W", "conv_b", "hidden_W", "hidden_b", "softmax_W", "softmax_b")
    )
    digest = inputs.sha256(np.frombuffer(joined, np.uint8))
    assert digest == report.parameters_sha256["page float32"]


def test_a_short_run_of_the_program():
    report = verify.verify(parts=["third"])
    checks = report.checks
    whole = [check for check in checks if check.quantity.startswith("program")]
    assert [check.quantity.partition(": ")[2] for check in whole] == [
        "cost",
        "parameters after 1",
        "parameters after 24",
        "printed lines that differ",
    ]
    assert all(check.passed for check in checks)
    assert compare_bits(report.parameters_sha256) == dict.fromkeys(
        ["third float32", "third float64"], True
    )


@pytest.mark.slow
def test_the_bits_are_those_on_record(report):
    same = compare_bits(report.parameters_sha256)
    assert len(same) == 10 and all(same.values()), same


def test_other_bits_are_named():
    assert compare_bits({"page float32": "0" * 64}) == {"page float32": False}


@pytest.mark.slow
def test_the_text_says_what_a_paper_needs(report, monkeypatch, capsys):
    monkeypatch.setattr(reports, "verify", lambda quick, device: report)
    assert reports.main(quick=True) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for words in (
        "quantity",
        "recorded by",
        "bound",
        "measured here",
        "pass",
        "pytensor",
        "numpy",
        "scipy",
        "librosa",
        "g++",
        "processor",
        "instruction set",
        "threads",
        "To cite: Deep Unlearning",
        report.parameters_sha256["last float64"],
        "Left out by --quick, groups of checks: program 6, blocks",
    ):
        assert words in printed.out, words
    assert "FAIL" not in printed.out


@pytest.mark.slow
def test_the_json_is_one_document(report, monkeypatch, capsys):
    failed = verify.Check("network", "Theano", 1e-12, np.inf, False)
    broken = verify.Check("ops", "Theano", None, "ValueError: no", False)
    report = report._replace(checks=[*report.checks, failed, broken])
    monkeypatch.setattr(reports, "verify", lambda quick, device: report)
    assert reports.main(quick=True, as_json=True) == 1
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(found["checks"]) == len(report.checks) and found["passed"] is False
    assert found["checks"][0] == report.checks[0]._asdict()
    assert found["checks"][-2]["measured"] == "inf"
    assert found["parameters_sha256"] == report.parameters_sha256
    assert {"versions", "compiler", "processor", "threads", "revision"} <= set(found["machine"])


def test_a_failure_gives_status_1_and_says_why(monkeypatch, capsys):
    broken = verify.Check("ops", "Theano", None, "ValueError: no", False)
    monkeypatch.setattr(reports, "verify", lambda quick, device: verify.Report([broken], {}, []))
    assert reports.main() == 1
    assert "FAIL ValueError: no" in capsys.readouterr().out


# --- broken on purpose ---


def test_it_names_a_rectifier_without_gradient_at_zero(monkeypatch):
    monkeypatch.setattr(rectify, "ge", gt)
    assert failures("rectify") == both(
        "ops rectify *: gv", "ops rectify *: gp", "ops rectify *: gb"
    )


def first_only(wins):
    """Of the winners in (n, maps, rows, h, columns, w), keep the first of every window."""
    order = wins.transpose(0, 1, 2, 4, 3, 5)
    flat = order.reshape(*order.shape[:4], -1)
    flat = flat & (np.cumsum(flat, axis=-1) == 1)
    return flat.reshape(order.shape).transpose(0, 1, 2, 4, 3, 5)


def test_it_names_a_pooling_gradient_for_the_first_maximum_only(monkeypatch):
    def perform(self, node, inputs, outputs):
        z, p, dp = inputs
        dz = np.zeros_like(z)
        wins = first_only(max_pool.split_windows(z, self.ds) == p[:, :, :, None, :, None])
        rows, columns = (n * k for n, k in zip(p.shape[2:], self.ds))
        spread = (wins * dp[:, :, :, None, :, None]).reshape(*z.shape[:2], rows, columns)
        dz[:, :, :rows, :columns] = spread
        outputs[0][0] = dz

    monkeypatch.setattr(max_pool, "MaxPoolGrad", in_python(max_pool.MaxPoolGrad, perform))
    assert failures("max_pool") == both("ops max_pool *: gx")


@pytest.mark.slow
def test_it_names_a_first_maximum_in_the_one_pass_as_well(monkeypatch):
    perform = mutate(
        rewrites.ConvPool.perform,
        "p[0][:, :, :, None, :, None]",
        "p[0][:, :, :, None, :, None]\n    wins = first_only(wins)",
    )
    perform.__globals__["first_only"] = first_only
    monkeypatch.setattr(rewrites, "ConvPool", in_python(rewrites.ConvPool, perform))
    assert failures("one_pass") == both("ops one_pass *: gW")


def test_it_names_a_kernel_that_is_not_flipped(monkeypatch):
    flipped = check_ops.conv2d
    monkeypatch.setattr(check_ops, "conv2d", lambda x, W: flipped(x, W[:, :, ::-1, ::-1]))
    assert failures("conv2d") == both(*(f"ops conv2d *: {name}" for name in ("out", "gx", "gW")))


def test_it_names_a_fan_out_by_true_division(monkeypatch):
    changed = mutate(layers.ConvPoolLayer, "// np.prod(poolsize)", "/ np.prod(poolsize)")
    monkeypatch.setattr(network, "ConvPoolLayer", changed)
    wrong = failures("initial")
    assert wrong == {f"initial {name}: parameters of other bytes" for name in RECIPES}


def test_it_names_a_shifted_mel_filter(monkeypatch):
    def shifted():
        filters = unshifted()
        filters[20] = np.roll(filters[20], 1)
        return filters

    unshifted = mel.mel_filters
    for module in (mel, check_frontend):
        monkeypatch.setattr(module, "mel_filters", shifted)
    mel.sparse_mel_filters.cache_clear()
    try:
        assert "frontend: mel filter bank" in failures("frontend")
    finally:
        mel.sparse_mel_filters.cache_clear()


def test_it_names_centred_frames(monkeypatch):
    mel_power = mel.mel_power
    for module in (patches, check_frontend):
        monkeypatch.setattr(module, "mel_power", lambda y: mel_power(np.pad(y, 256)))
    assert failures("frontend") == {
        "frontend: mel power, each entry",
        "frontend: patches, share of other entries",
        "frontend: patches, each entry",
    }


def test_it_names_a_changed_recording_and_goes_on(monkeypatch, tmp_path):
    shutil.copytree(golden.GOLDEN, tmp_path / "golden")
    monkeypatch.setattr(golden, "GOLDEN", tmp_path / "golden")
    path = tmp_path / "golden" / "network" / "initial.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    checks = verify.verify(parts=("initial", "rectify")).checks
    failed = [check for check in checks if not check.passed]
    assert [check.quantity for check in failed] == [f"initial {name}" for name in EPOCHS]
    assert all(
        "network/initial.npz" in check.measured and "changed" in check.measured for check in failed
    )
    assert sum(check.quantity.startswith("ops rectify") for check in checks) == 8


def test_a_machine_without_a_compiler_fails_with_the_reason(monkeypatch):
    import pytensor

    monkeypatch.setattr(pytensor.config, "cxx", "")
    (check,) = verify.verify(parts=["one_pass"]).checks[:1]
    assert not check.passed and "no C++ compiler" in check.measured
