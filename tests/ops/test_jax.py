"""The graph on devices of JAX: XLA's lowering and our kernels, on the host, against the C code."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.traversal import io_toposort
from pytensor.tensor.elemwise import DimShuffle
from test_ops import cases, draw, tie

from deep_artists.artists.model import Model
from deep_artists.artists.recipe import load_recipe
from deep_artists.artists.train import compile_steps, train
from deep_artists.cli import main
from deep_artists.evidence.check_artists import check_network, check_program
from deep_artists.evidence.check_ops import check_one_pass, check_op
from deep_artists.nn.convolution import convolve
from deep_artists.nn.pooling import MODES, pool_2d
from deep_artists.nn.stream import Stream
from deep_artists.ops import device as devices
from deep_artists.ops.compile import compile_function, python_mode
from deep_artists.ops.conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput
from deep_artists.ops.conv_pool import ConvPool, ConvPoolGradFilters
from deep_artists.ops.dot import FixedDot
from deep_artists.ops.jax import ffi, linker, scan
from deep_artists.ops.jax.scan import call
from deep_artists.ops.kernel import KernelOp
from deep_artists.ops.library import find_kernel
from deep_artists.ops.max_pool import MaxPool
from deep_artists.ops.sigmoid import Sigmoid, log_1m_sigmoid, log_sigmoid
from deep_artists.ops.softmax import NegativeLogLikelihood, Softmax
from deep_artists.reference import golden

RUN = {"recipe": "page", "n_epochs": 4, "batch_size": 10, "n_hidden": 20, "validation_frequency": 3}


def sets():
    return [(x[k::9][:50], y[k::9][:50]) for k, (x, y) in enumerate(golden.make_dataset(2010, 10))]


def awkward_cases(dtype):
    """Shapes beyond a tile or a chunk of taps, with ties, silence and NaN."""
    x, W = draw((4, 2, 40, 75), dtype), draw((7, 2, 19, 21), dtype, 1)
    x[0], x[1], x[2, 0, 20, 30] = 0, 0.5, np.nan
    z = tie(draw((3, 2, 40, 75), dtype))
    z[1, 0, 3, 3:6] = np.nan
    z[2, 0] = -0.0
    wins = draw((4, 7, 7, 6), dtype, 2)
    wins[:, :, 1] = 0  # as where the rectifier is off
    wide = tie(draw((4, 300), dtype))  # more columns than threads
    wide[1, 0] = wide[2, 200] = np.nan
    x, dz = np.nan_to_num(x), tie(draw((4, 7, 22, 55), dtype, 3))
    bits = np.random.RandomState(4).randint(0, 2**31, (4, 7, 21, 2)).astype("uint32")
    bits[..., 1] &= 2**22 - 1
    return [
        (Conv2D(), x, W),
        (ConvPool((3, 9)), x, W),
        *((ConvPool(ds), x[..., :50], W) for ds in ((3, 9), (16, 10), (1, 1), (18, 2))),
        (Conv2DGradInput(), W, dz),
        (Conv2DGradFilters(), x, dz),
        (ConvPoolGradFilters((3, 9)), x, bits, wins, W),
        (MaxPool((3, 9)), z),
        (Softmax(), wide),
        (Sigmoid(), np.concatenate([np.arange(-800, 40, 0.5), [np.nan, np.inf]]).astype(dtype)),
        (FixedDot(), draw((520, 37), dtype), draw((37, 990), dtype)),  # of large tiles
        (FixedDot(), draw((20, 130), dtype), draw((130, 50), dtype)),
        (Conv2DGradFilters(), draw((515, 1, 4, 5), dtype), tie(draw((515, 2, 3, 3), dtype))),
        (ConvPool((3, 9)), draw((0, 2, 40, 75), dtype), W),
        (Conv2DGradFilters(), x[:0], dz[:0]),
    ]


def build_all(dtype):
    """Return inputs, outputs and arrays of one graph that has every Op."""
    inputs, outputs, arrays = [], [], []
    for op, *given in cases(dtype) + awkward_cases(dtype):
        variables = [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in given]
        arrays += given
        inputs += variables
        made = op(*variables, return_list=True)
        outputs += made
        if isinstance(op, FixedDot):  # products of transposes, one or both
            outputs += [*op.pullback(variables, made, made), op(*(v.T for v in variables[::-1]))]
    return inputs, outputs, arrays


def call_c(node, arrays):
    """What a node makes of arrays, its kernel called without a module of PyTensor's around it: one
    for all cases would compile for a minute."""
    if isinstance(node.op, DimShuffle):
        return [arrays[0].T]
    address = find_kernel(node.op.source, node.op.function, arrays[0].dtype.name)
    made = [ctypes.c_void_p() for _ in node.outputs]
    numbers = node.op.find_numbers(node).values()
    types = [ctypes.py_object] * len(arrays) + [ctypes.c_void_p] * len(made)
    types += [ctypes.c_ssize_t] * len(numbers)
    kernel = ctypes.PYFUNCTYPE(ctypes.c_int, *types)(address)
    assert kernel(*arrays, *map(ctypes.addressof, made), *numbers) == 0
    return [ctypes.cast(z, ctypes.py_object).value for z in made]


def compute_c(inputs, outputs, arrays):
    values = dict(zip(inputs, arrays))
    for node in io_toposort(inputs, outputs):
        values |= zip(node.outputs, call_c(node, [values[x] for x in node.inputs]))
    return [values[z] for z in outputs]


def compute_all(dtype, device):
    inputs, outputs, arrays = build_all(dtype)
    if device == "cpu":
        return compute_c(inputs, outputs, arrays)
    function = compile_function(inputs, outputs, fused=False, device=device)
    return [np.asarray(a) for a in function(*arrays)]


def assert_same_bits(found, c, outputs):
    for z, a, b in zip(outputs, found, c, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        same = a.view(f"u{a.itemsize}") == b.view(f"u{a.itemsize}")
        assert (same | (np.isnan(a) & np.isnan(b))).all(), z.owner.op


@pytest.fixture(scope="module", params=["float32", pytest.param("float64", marks=pytest.mark.slow)])
def computed(request):
    """All outputs of every Op on the C code, the kernels for the host, and XLA."""
    found = [compute_all(request.param, device) for device in ("cpu", "jax-ffi", "jax")]
    return build_all(request.param)[1], found


def test_kernels_on_the_host_equal_c_bit_for_bit(computed):
    outputs, (c, kernels, _) = computed
    assert {z.owner.op.function for z in outputs} == set(ffi.HANDLERS)
    assert_same_bits(kernels, c, outputs)


def test_xla_s_own_lowering_is_close_to_c(computed):
    outputs, (c, _, xla) = computed
    for z, a, b in zip(outputs, xla, c):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind == "u":
            # Winners: another order of sums may untie or tie cells, as those of constant patches.
            assert a.size == 0 or np.mean(a == b) > 0.7, z.owner.op
        else:
            # Sums of up to 4840 products below 1, in another order.
            scale = max(1, np.abs(b).max(initial=0, where=~np.isnan(b)))
            np.testing.assert_allclose(a, b, rtol=0, atol=2000 * np.finfo(a.dtype).eps * scale)


@pytest.mark.parametrize(
    "check, arguments",
    [
        (check_op, ("conv2d", "float64", "jax")),
        (check_op, ("conv2d", "float32", "jax-ffi")),
        (check_op, ("softmax", "float32", "jax")),
        (check_one_pass, ("float64", "jax")),
        pytest.param(check_network, ("third", "float32", {}, "jax"), marks=pytest.mark.slow),
        pytest.param(check_network, ("page", "float64", {}, "jax-ffi"), marks=pytest.mark.slow),
        (check_program, ("third", "float64", "jax-ffi")),
    ],
)
def test_recordings_of_theano_and_of_the_program_are_met(check, arguments):
    """Within the bounds that the C code is held to; they stand in verify."""
    for quantity, bound, measured in check(*arguments):
        assert measured <= bound, quantity


@pytest.fixture(scope="module")
def on_cpu():
    return train(sets(), **RUN)


@pytest.mark.parametrize("device", ["jax", "jax-ffi"])
def test_training_follows_the_cpu(on_cpu, device, tmp_path):
    result = train(sets(), device=device, **RUN)
    assert result.log == on_cpu.log and result.validation == on_cpu.validation
    assert result.costs.dtype == np.float32
    # Beside our Ops there are elementwise ones and sums, in another order. Measured: 1.2e-7, 4e-7.
    np.testing.assert_allclose(result.costs, on_cpu.costs, rtol=5e-6)
    for name, value in on_cpu.model.last.items():
        assert np.abs(result.model.last[name] - value).max() <= 5e-6 * np.abs(value).max(), name
    model = Model.load(result.model.save(tmp_path / "m.npz"))
    x = sets()[1][0]
    on_host = model.transform(x, "proba")
    model.device = device
    np.testing.assert_allclose(model.transform(x, "proba"), on_host, rtol=2e-5, atol=1e-7)


def test_a_checkpoint_of_one_device_goes_on_on_another(on_cpu, tmp_path):
    for n_epochs, device in ((2, "cpu"), (3, "jax-ffi"), (4, "cpu")):
        settings = {**RUN, "n_epochs": n_epochs, "checkpoint": tmp_path}
        result = train(sets(), device=device, **settings)
    np.testing.assert_allclose(result.costs, on_cpu.costs, rtol=5e-6)
    assert len(result.costs) == 20 and result.log == on_cpu.log


@pytest.fixture(scope="module")
def steps():
    recipe = load_recipe("page", batch_size=10, n_hidden=20, n_out=10)
    return compile_steps(recipe, "float32", sets(), "jax-ffi")


def test_nothing_but_the_index_goes_to_the_device(steps):
    steps.start_epoch(1)
    steps.train(range(5))
    steps.validate()
    shared = steps.train_model.get_shared()
    assert {"x", "y", "order", "conv_W"} <= {v.name for v in shared}
    assert all(isinstance(v.container.storage[0], jax.Array) for v in shared)
    with jax.transfer_guard("disallow"):  # explicit ones are not counted: of index and costs
        steps.train(range(5))
        steps.validate()
        (x,) = (v for v in shared if v.name == "x")
        kept, x.container.storage[0] = x.container.storage[0], np.asarray(sets()[0][0])
        with pytest.raises(Exception, match="Disallowed host-to-device"):
            steps.train_model(jax.device_put(0))
        x.container.storage[0] = kept


def test_steps_in_one_call_are_those_one_by_one(steps):
    start = steps.network.values()
    at_once = steps.train(range(1, 4))
    after = steps.network.values()
    steps.network.set_values(start)
    one_by_one = [np.asarray(steps.train_model(i)) for i in range(1, 4)]
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-6)
    for name, value in steps.network.values().items():
        np.testing.assert_allclose(after[name], value, rtol=0, atol=1e-6)


def test_an_interrupt_leaves_parameters_and_costs_of_the_same_step(steps, monkeypatch):
    def interrupt(value):
        raise KeyboardInterrupt

    before = steps.network.values()
    monkeypatch.setattr(jax, "device_get", interrupt)
    with pytest.raises(KeyboardInterrupt):
        steps.train(range(5))
    for name, value in steps.network.values().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_graph_exported_for_cuda_calls_our_kernels():
    x, W, y = pt.tensor4(dtype="float32"), pt.tensor4(dtype="float32"), pt.ivector()
    p, winners = ConvPool((2, 2))(x, W)
    outputs = [
        ConvPoolGradFilters((2, 2))(x, winners, p, W),
        NegativeLogLikelihood()(p.flatten(2), y)[0],
    ]
    step = compile_function([x, W, y], outputs, device="jax-ffi").vm.jit_fn.step
    names = [f"deep_artists_{name}" for name in ("conv_pool", "conv_pool_grad", "nll")]
    exported = jax.export.export(
        jax.jit(step),
        platforms=["cuda"],
        disabled_checks=[jax.export.DisabledSafetyCheck.custom_call(name) for name in names],
    )(
        *(
            jax.ShapeDtypeStruct(shape, dtype)
            for shape, dtype in (
                ((2, 1, 9, 9), "float32"),
                ((3, 1, 2, 2), "float32"),
                ((2,), "int32"),
            )
        )
    )
    assert exported.platforms == ("cuda",)
    for name in names:
        assert f"@{name}(" in exported.mlir_module()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoids_of_single_numbers_are_xla_s_own(dtype):
    a = pt.vector(dtype=dtype)
    outputs = [log_sigmoid(a), log_1m_sigmoid(a), *pt.grad(log_sigmoid(a).sum(), [a])]
    values = np.linspace(-120, 120, 999).astype(dtype)
    c, xla = (compile_function([a], outputs, device=device)(values) for device in ("cpu", "jax"))
    eps = np.finfo(dtype).eps
    for expected, found in zip(c, xla):
        np.testing.assert_allclose(found, expected, rtol=5 * eps, atol=eps)


@pytest.mark.slow
def test_the_pooling_and_convolutions_of_the_systems_run_on_a_device():
    """Where they are made of our Ops, by the kernels of these; the rest is XLA's."""
    x, W = pt.tensor4(shape=(2, 3, 9, 11)), pt.tensor4(shape=(4, 3, 3, 2))
    outputs = [pool_2d(x, (3, 2), mode=mode) for mode in MODES]
    outputs += [pool_2d(x, 3, stride=2, pad=1), pool_2d(x, 4, ignore_border=False)]
    outputs += [convolve(x, W, pad=pad) for pad in ("valid", "half", "full")]
    outputs += [convolve(x, W, stride=(2, 3), flip=False)]
    outputs += pt.grad(sum((z**2).sum() for z in outputs), [x, W])
    arrays = draw((2, 3, 9, 11), "float64"), draw((4, 3, 3, 2), "float64", 1)
    expected = pytensor.function([x, W], outputs, mode=python_mode())(*arrays)
    for a, b in zip(compile_function([x, W], outputs, device="jax-ffi")(*arrays), expected):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_every_kernel_has_one_for_a_gpu():
    """But for two that only the cpu has: there XLA sums, and its own code follows the dot."""

    def find(op_type):
        return [op_type, *(found for sub in op_type.__subclasses__() for found in find(sub))]

    names = {op_type.function for op_type in find(KernelOp)[1:]}
    assert names == {*ffi.HANDLERS, "dot_descend", "sum_maps"}


def test_a_product_reads_transposes_as_they_lie():
    A, B = pt.fmatrices(2)
    step = compile_function([A, B], FixedDot()(A.T, B.T), device="jax-ffi").vm.jit_fn.step
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((3, 4), (2, 3))]
    lowered = jax.jit(step).lower(*shapes).as_text()
    columns_first = "dense<[0, 1]> : tensor<2xindex>"
    assert f"operand_layouts = [{columns_first}, {columns_first}]" in lowered


@pytest.fixture(scope="module")
def device_code(tmp_path_factory):
    """A folder with what nvcc makes of the kernels."""
    folder = tmp_path_factory.mktemp("device_code")
    try:
        command = ffi.make_command("cuda", "90")
    except RuntimeError as error:
        pytest.skip(f"the kernels cannot be compiled for a GPU here: {error}")
    # A function that is the host's only, called on the device, is no more than a warning.
    strict = ["--Werror=all-warnings", "--keep", f"--keep-dir={folder}"]
    subprocess.run([*command, *strict, "-o", folder / "kernels.so"], check=True)
    return folder


@pytest.mark.slow
def test_nvcc_compiles_every_kernel(device_code):
    content = (device_code / "kernels.so").read_bytes()
    for word in (*ffi.HANDLERS, "sm_90"):
        assert word.encode() in content


@pytest.mark.slow
def test_the_device_code_equals_c_bit_for_bit(device_code):
    """nvcc's PTX as C, instruction by instruction: see ptx.py."""
    (ptx,) = device_code.glob("*.ptx")
    program = [sys.executable, Path(__file__).with_name("ptx.py"), ptx, device_code]
    subprocess.run(program, check=True, env=environment())
    for dtype in ("float32", "float64"):
        with np.load(device_code / f"{dtype}.npz") as file:
            assert_same_bits(list(file.values()), compute_all(dtype, "cpu"), build_all(dtype)[1])


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_a_compiler_that_fails_leaves_nothing_but_a_log(monkeypatch, tmp_path):
    monkeypatch.setattr(ffi, "make_command", lambda *device: ["false"])
    config = SimpleNamespace(base_compiledir=tmp_path)
    monkeypatch.setattr(ffi, "pytensor", SimpleNamespace(config=config))
    with pytest.raises(RuntimeError, match="could not compile the kernels"):
        ffi.compile_kernels.__wrapped__("jax-ffi")
    assert {path.suffix for path in (tmp_path / "deep_artists").iterdir()} == {".lock", ".log"}


@pytest.mark.parametrize(
    "op, shapes",
    [
        (Conv2D(), [(1, 2, 5, 5), (1, 3, 2, 2)]),
        (Conv2DGradFilters(), [(1, 2, 5, 5), (1, 3, 6, 2)]),
        (ConvPoolGradFilters((2, 2)), [(1, 1, 5, 5), (1, 1, 4, 1), (1, 1, 2, 3), (1, 1, 2, 2)]),
    ],
)
def test_shapes_that_do_not_fit_never_reach_a_kernel(op, shapes):
    arrays = [
        np.zeros(s, "uint32" if len(shapes) == 4 and i == 1 else "float32")
        for i, s in enumerate(shapes)
    ]
    inputs = [pt.TensorType(a.dtype, (None,) * 4)() for a in arrays]
    function = compile_function(inputs, op(*inputs), fused=False, device="jax-ffi")
    with pytest.raises(ValueError, match="do not fit"):
        function(*arrays)


@pytest.mark.parametrize(
    "missing, words",
    [
        ("jax", "needs jax, which is not installed: pip install 'deep_artists"),
        ("plugin", "needs jax's CUDA plugin, which is not installed: pip install"),
        ("driver", "needs NVIDIA's driver"),
        ("nvcc", "install NVIDIA's CUDA toolkit"),
        ("device", "see that nvidia-smi lists a GPU"),
    ],
)
def test_what_cuda_lacks_is_named_in_one_line(monkeypatch, capsys, missing, words):
    there = ["jax", "plugin", "driver", "nvcc", "device"]
    there = there[: there.index(missing)]

    def find_spec(name):
        return ("plugin" if name.endswith("_plugin") else name) in there or None

    def load(name):
        if "driver" not in there:
            raise OSError(f"{name}: cannot open shared object file")

    def list_devices(platform):
        raise RuntimeError(f"Unknown backend {platform}\nmore")

    monkeypatch.setattr(devices, "find_spec", find_spec)
    monkeypatch.setattr(devices.ctypes, "CDLL", load)
    monkeypatch.setattr(
        devices.shutil, "which", lambda name, path=None: name if name in there else None
    )
    monkeypatch.setattr(jax, "devices", list_devices)
    assert main(["train", "no-such-set", "--device", "cuda"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_there_is_no_such_device(capsys):
    with pytest.raises(ValueError, match="device = 'tpu'; it is 'cpu' or 'cuda'"):
        train(sets(), "page", device="tpu")
    assert main(["verify", "--device", "gpu"]) == 2
    assert "device = 'gpu'" in capsys.readouterr().err


def test_nothing_imports_jax_unasked():
    code = (
        "import sys, deep_artists.artists.train, deep_artists.cli, deep_artists.ops.compile, "
        "deep_artists.artists.network, deep_artists.evidence.verify\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


@pytest.mark.slow
def test_a_set_read_in_blocks_trains_and_validates_alike():
    rng = np.random.RandomState(0)
    sets = [
        (rng.uniform(size=(n, 2560)).astype("float32"), np.arange(n) % 3) for n in (4000, 800, 800)
    ]
    options = dict(n_epochs=1, n_hidden=4, nkerns=1, validation_frequency=25, memory_mb=54)
    results = [train(sets, "page", device=device, **options) for device in ("cpu", "jax-ffi")]
    np.testing.assert_allclose(results[0].costs, results[1].costs, rtol=1e-5)
    assert [len(r.validation) for r in results] == [2, 2]
    np.testing.assert_allclose(results[0].validation, results[1].validation, atol=0.01)


def test_the_steps_of_a_block_that_was_read_are_one_call(monkeypatch):
    parts = []

    def call_each(function, indices):
        parts.append(indices)
        return scan_each(function, indices)

    scan_each = scan.call_each
    monkeypatch.setattr(scan, "call_each", call_each)
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(300, 2560)).astype("float32"), np.arange(300) % 3
    recipe = load_recipe("page", batch_size=50, n_hidden=4, nkerns=1, n_out=3)
    streams = [Stream(x, y, 50, 1, 1, "float32") for _ in range(3)]
    steps = compile_steps(recipe, "float32", streams, "jax-ffi")
    start = steps.network.values()
    costs = list(steps.train(range(6)))
    assert parts == [range(3), range(3)]
    steps.network.set_values(start)
    np.testing.assert_allclose([steps.train_model(i) for i in range(6)], costs, rtol=1e-5)


def test_a_single_call_waits_for_its_result(steps):
    """A block that is read ahead may take the place of what was uploaded."""
    assert isinstance(call(steps.validate_model, 0), np.ndarray)


def test_the_same_bits_are_asked_of_xla_for_each_function(monkeypatch):
    """XLA refuses an option that it does not know: so it is given these."""
    unknown = {"no_such_option": True}
    monkeypatch.setattr(linker, "SAME_BITS", unknown)
    monkeypatch.setattr(scan, "SAME_BITS", unknown)
    index, w = pt.lscalar(), pytensor.shared(np.float64(0), name="w")
    function = compile_function([index], w, updates=[(w, w + index)], device="jax")
    for once in (lambda: function(1), lambda: scan.call_each(function, range(2))):
        with pytest.raises(Exception, match="no_such_option"):
            once()
