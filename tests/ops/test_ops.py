"""The Ops: C against perform against finite differences, ties, shapes, and the rewrites."""

import os
import subprocess
import sys

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.gradient import verify_grad

from deep_artists.artists.network import Network
from deep_artists.artists.recipe import load_recipe
from deep_artists.ops.compile import OneModule, compile_function, cpu_mode
from deep_artists.ops.conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput, conv2d
from deep_artists.ops.conv_pool import ConvPool, ConvPoolGradFilters, SumMaps
from deep_artists.ops.dot import FixedDot
from deep_artists.ops.kernel import KernelOp
from deep_artists.ops.library import find_kernel
from deep_artists.ops.max_pool import MaxPool, MaxPoolGrad, max_pool_2d
from deep_artists.ops.rectify import rectify
from deep_artists.ops.softmax import (
    NegativeLogLikelihood,
    NegativeLogLikelihoodGrad,
    Softmax,
    SoftmaxGrad,
    softmax,
)
from deep_artists.reference import golden

DTYPES = ("float32", "float64")


def draw(shape, dtype, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, size=shape).astype(dtype)


def tie(z):
    """Round, so that many cells are equal, and make one sample silent."""
    z = np.round(2 * z) / 2
    z[0] = 0
    return z


def run_c(op, *arrays):
    """What the Op's C code makes of the arrays."""
    inputs = [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in arrays]
    function = compile_function(inputs, op(*inputs, return_list=True), fused=False)
    assert any(isinstance(node.op, type(op)) for node in function.maker.fgraph.apply_nodes)
    return function(*arrays)


def run_python_code(code, **environment):
    """What a program of its own prints."""
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def run_python(op, *arrays):
    """What the Op's perform makes of the arrays."""
    node = op.make_node(*(pt.constant(a) for a in arrays))
    outputs = [[None] for _ in node.outputs]
    op.perform(node, list(arrays), outputs)
    return [output[0] for output in outputs]


def cases(dtype):
    x, W = draw((3, 2, 13, 40), dtype), draw((11, 2, 4, 7), dtype, 1)
    z, p = draw((3, 2, 7, 11), dtype), draw((3, 2, 3, 3), dtype, 1)
    tied = tie(z)
    y = np.array([3, 0, 2], "int32")
    p_rows = run_python(Softmax(), draw((3, 4), dtype))[0]
    return [
        (Conv2D(), x, W),
        (Conv2D(), draw((2, 1, 5, 5), dtype), draw((3, 1, 5, 5), dtype)),
        (Conv2D(), draw((2, 1, 5, 40), dtype), draw((1, 1, 1, 1), dtype)),
        (Conv2DGradInput(), W, draw((3, 11, 10, 34), dtype)),
        (Conv2DGradFilters(), x, draw((3, 11, 10, 34), dtype)),
        (MaxPool((2, 3)), z),
        (MaxPool((1, 1)), z),
        (MaxPoolGrad((2, 3)), tied, run_python(MaxPool((2, 3)), tied)[0], p),
        (ConvPool((3, 5)), x, W),
        (ConvPool((2, 2)), tie(x), np.round(2 * W) / 2),
        (
            ConvPoolGradFilters((3, 5)),
            x,
            run_python(ConvPool((3, 5)), x, W)[1],
            draw((3, 11, 3, 6), dtype),
            W,
        ),
        (FixedDot(), draw((7, 65), dtype), draw((65, 37), dtype)),
        (FixedDot(), draw((3, 2), dtype), draw((2, 0), dtype)),
        (FixedDot(), draw((3, 0), dtype), draw((0, 2), dtype)),
        (FixedDot(), draw((65, 100), dtype).T, draw((37, 65), dtype).T),
        (Softmax(), 30 * draw((3, 4), dtype)),
        (SoftmaxGrad(), draw((3, 4), dtype), p_rows),
        (NegativeLogLikelihood(), 300 * draw((3, 4), dtype), y),
        (NegativeLogLikelihoodGrad(), p_rows, y, draw(3, dtype)),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", range(len(cases("float32"))))
def test_c_equals_perform(dtype, case):
    op, *arrays = cases(dtype)[case]
    for c, python in zip(run_c(op, *arrays), run_python(op, *arrays)):
        assert c.dtype == python.dtype and c.shape == python.shape
        if c.dtype.kind == "u" and dtype == "float32":
            # The winners: perform sums in another order, which may untie or tie a cell.
            assert np.mean(c == python) > 0.95
        else:
            # Sums of at most 130 terms below 1, in another order: 130 * eps at the very most.
            np.testing.assert_allclose(
                c,
                python,
                rtol=0,
                atol=130 * np.finfo(dtype).eps * max(1, np.abs(python).max(initial=0)),
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (50, 15, 8, 9), (2, 1, 3, 3), (0, 2, 3, 3)])
def test_maps_are_summed_to_the_bits_of_pytensor(shape, dtype):
    """(50, 15, 8, 9) is enough for several threads."""
    d = draw(shape, dtype)
    x = pt.TensorType(dtype, (None,) * 4)()
    function = compile_function([x], x.sum(axis=(0, 2, 3)))
    assert SumMaps in op_types(function)
    theirs = compile_function([x], x.sum(axis=(0, 2, 3)), fused=False)(d)
    np.testing.assert_array_equal(function(d), theirs)
    np.testing.assert_array_equal(run_python(SumMaps(), d)[0], theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infer_shape_agrees(dtype):
    for op, *arrays in cases(dtype):
        inputs = [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in arrays]
        outputs = op(*inputs, return_list=True)
        shapes = pytensor.function(
            inputs, [o.shape for o in outputs], mode="FAST_COMPILE", on_unused_input="ignore"
        )(*arrays)
        for shape, output in zip(shapes, run_python(op, *arrays)):
            assert tuple(shape) == output.shape, op


@pytest.mark.slow
@pytest.mark.parametrize(
    "function, shapes",
    [
        (conv2d, [(2, 2, 5, 6), (3, 2, 3, 2)]),
        (lambda W, dz: Conv2DGradInput()(W, dz), [(3, 2, 3, 2), (2, 3, 3, 5)]),
        (lambda x, dz: Conv2DGradFilters()(x, dz), [(2, 2, 5, 6), (2, 3, 3, 5)]),
        (lambda z: max_pool_2d(z, (2, 3)), [(2, 2, 5, 7)]),
        (lambda v: rectify(v + 0.01), [(4, 5)]),
        (softmax, [(3, 4)]),
        (lambda dp, p: SoftmaxGrad()(dp, p), [(3, 4), (3, 4)]),
        (lambda A, B: FixedDot()(A, B), [(3, 4), (4, 5)]),
    ],
)
def test_gradient_equals_finite_differences(function, shapes):
    points = [draw(shape, "float64", seed) for seed, shape in enumerate(shapes)]
    verify_grad(function, points, rng=np.random.RandomState(1), mode=cpu_mode(fused=False))


def test_every_tied_cell_receives_the_full_gradient():
    z = np.array([[[[1.0, 1.0, 0.0], [0.0, 1.0, 9.0]]]])
    (dz,) = run_c(MaxPoolGrad((2, 2)), z, np.array([[[[1.0]]]]), np.array([[[[5.0]]]]))
    np.testing.assert_array_equal(dz, [[[[5.0, 5.0, 0.0], [0.0, 5.0, 0.0]]]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rectifier_passes_the_gradient_at_zero(dtype):
    v = pt.vector(dtype=dtype)
    gradient = compile_function([v], pytensor.grad(rectify(v).sum(), v))
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_array_equal(
        gradient(np.array([-1, -tiny, -0.0, 0.0, tiny, 1], dtype)), [0, 0, 1, 1, 1, 1]
    )


def test_the_rectifier_keeps_nan_and_drops_minus_zero():
    v = pt.vector(dtype="float64")
    out = compile_function([v], rectify(v))(np.array([np.nan, -0.0, -3.0, 2.0]))
    assert np.isnan(out[0]) and not np.signbit(out[1]) and list(out[2:]) == [0, 2]


def test_the_convolution_flips_the_filters():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    W = np.arange(9.0).reshape(1, 1, 3, 3)
    (z,) = run_c(Conv2D(), np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), W)
    np.testing.assert_array_equal(z, W)  # an impulse returns the filter, unturned


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: conv2d(np.zeros((1, 2, 5, 5)), np.zeros((1, 3, 2, 2))), "(1, 3, 2, 2)"),
        (lambda: conv2d(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 6, 2))), "no larger"),
        (lambda: conv2d(np.zeros((5, 5)), np.zeros((1, 1, 2, 2))), "4 dimensions"),
        (lambda: conv2d(np.zeros((1, 1, 5, 5), "float32"), np.zeros((1, 1, 2, 2))), "one dtype"),
        (
            lambda: conv2d(np.zeros((1, 1, 5, 5), int), np.zeros((1, 1, 2, 2), int)),
            "float32 or float64",
        ),
        (lambda: max_pool_2d(np.zeros((1, 1, 5, 5)), (0, 2)), "positive"),
        (lambda: max_pool_2d(np.zeros((1, 1, 5, 5)), (2.5, 2)), "positive"),
        (lambda: max_pool_2d(np.zeros((5, 5)), (2, 2)), "4 dimensions"),
        (lambda: softmax(np.zeros(3)), "matrix"),
        (lambda: SoftmaxGrad()(np.zeros((2, 2)), np.zeros((2, 2), "float32")), "one dtype"),
        (lambda: NegativeLogLikelihoodGrad()(pt.dmatrix(), pt.ivector(), pt.dscalar()), "vector"),
        (
            lambda: ConvPoolGradFilters((2, 2))(
                pt.ftensor4(), pt.tensor4(dtype="uint32"), pt.dtensor4(), pt.ftensor4()
            ),
            "one dtype",
        ),
    ],
)
def test_errors_at_graph_building_name_the_shapes(call, words):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert words in str(error.value)


@pytest.mark.parametrize(
    "op, arrays, words",
    [
        (Conv2D(), [(1, 2, 5, 5), (1, 3, 2, 2)], "(1, 3, 2, 2)"),
        (Conv2DGradFilters(), [(1, 2, 5, 5), (1, 3, 6, 2)], "(1, 3, 6, 2)"),
        (Conv2DGradInput(), [(4, 2, 5, 5), (1, 3, 6, 2)], "3 maps"),
        (MaxPoolGrad((2, 2)), [(1, 1, 4, 4), (1, 1, 2, 2), (1, 1, 2, 1)], "(1, 1, 2, 2)"),
        (FixedDot(), [(2, 3), (4, 5)], "(2, 3) and (4, 5)"),
    ],
)
def test_errors_when_the_graph_runs_name_the_shapes(op, arrays, words):
    with pytest.raises(ValueError) as error:
        run_c(op, *(np.zeros(shape) for shape in arrays))
    assert words in str(error.value)


def test_a_label_without_an_output_is_an_error():
    with pytest.raises(ValueError, match="label 4, but there are 4 classes"):
        run_c(NegativeLogLikelihood(), np.zeros((2, 4)), np.array([0, 4], "int32"))


def test_one_gradient_for_all_rows_is_not_taken_for_one_a_row():
    x, y = pt.dmatrix(), pt.ivector()
    p = softmax(x)
    inc = pt.inc_subtensor(pt.zeros_like(p)[pt.arange(y.shape[0]), y], 2.0)
    dx = pytensor.grad(None, x, known_grads={p: inc / p})
    fused, unfused = (compile_function([x, y], dx, fused=f) for f in (True, False))
    values = draw((3, 4), "float64"), np.array([0, 3, 1], "int32")
    np.testing.assert_allclose(fused(*values), unfused(*values), rtol=1e-14)


def test_the_likelihood_stays_finite_where_softmax_underflows():
    x, y = pt.matrix(dtype="float64"), pt.ivector()
    cost = -pt.mean(pt.log(softmax(x))[pt.arange(y.shape[0]), y])
    function = compile_function([x, y], [cost, pytensor.grad(cost, x)])
    cost, dx = function(np.array([[0.0, 2000.0], [5.0, 5.0]]), np.array([0, 1], "int32"))
    assert cost == pytest.approx((2000 + np.log(2)) / 2, rel=1e-15)
    np.testing.assert_array_equal(dx, [[-0.5, 0.5], [0.25, -0.25]])


def test_exp_and_log_of_our_own_are_exact_to_the_last_places():
    x = np.concatenate([np.linspace(-745, 0, 20001), np.linspace(-1e-8, 0, 101)])
    rows = np.stack([np.zeros_like(x), x], axis=1)
    nll, p = run_c(NegativeLogLikelihood(), rows, np.ones(len(x), "int32"))
    wide = np.exp(rows.astype(np.longdouble))
    np.testing.assert_allclose(p, wide / wide.sum(axis=1, keepdims=True), rtol=4e-16, atol=5e-324)
    np.testing.assert_allclose(nll, np.log(wide.sum(axis=1)) - rows[:, 1], rtol=3e-16)


def build_step(recipe, floatX, batch_size):
    recipe = recipe.replace(n_out=recipe.n_out or 20)
    network = Network(recipe, batch_size, floatX)
    gradients = pytensor.grad(network.cost, list(network.params.values()))
    outputs = [network.cost, network.errors, *gradients]
    return [compile_function([network.x, network.y], outputs, fused=f) for f in (True, False)]


def op_types(function):
    return {type(node.op) for node in function.maker.fgraph.apply_nodes}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, floatX",
    [
        ("first", "float64"),
        ("second", "float32"),
        ("third", "float64"),
        ("last", "float32"),
        ("page", "float64"),
    ],
)
def test_fused_equals_unfused(name, floatX):
    fused, unfused = build_step(load_recipe(name), floatX, 37)
    x, y = golden.make_dataset(2010, 10)[1]
    for rows in (slice(0, 37), slice(60, 97)):
        batch = x[rows].astype(floatX), y[rows].astype("int32")
        for i, (a, b) in enumerate(zip(fused(*batch), unfused(*batch))):
            # The cost takes another way, and with it the gradients; the sums of the
            # convolution and of the products are the same to the last bit.
            scale = np.abs(b).max()
            assert np.abs(a - b).max() <= 40 * np.finfo(floatX).eps * scale, i


@pytest.mark.parametrize("floatX", DTYPES)
@pytest.mark.parametrize(
    "shape, W_shape, ds",
    [
        ((5, 1, 64, 40), (10, 1, 33, 11), (16, 10)),
        ((5, 1, 64, 40), (15, 1, 9, 9), (2, 2)),
        ((5, 1, 64, 40), (15, 1, 9, 9), (8, 8)),
        ((2, 3, 20, 75), (7, 3, 4, 5), (3, 9)),
        ((2, 1, 9, 9), (1, 1, 9, 9), (1, 1)),
        ((0, 1, 9, 9), (2, 1, 3, 3), (2, 2)),
    ],
)
def test_one_pass_equals_two_bit_for_bit(shape, W_shape, ds, floatX):
    x, W = draw(shape, floatX), draw(W_shape, floatX, 1)
    x[:1] = 0
    x[1:2] = 0.5  # whole windows tie
    X, filters = pt.TensorType(floatX, (None,) * 4)(), pt.TensorType(floatX, (None,) * 4)()
    p = max_pool_2d(conv2d(X, filters), ds)
    dp = pt.TensorType(floatX, (None,) * 4)()
    dW = pytensor.grad((p * dp).sum(), filters)
    fused, unfused = (compile_function([X, filters, dp], [p, dW], fused=f) for f in (True, False))
    assert {ConvPool, ConvPoolGradFilters} <= op_types(fused)
    assert not {Conv2D, MaxPool, MaxPoolGrad} & op_types(fused)
    assert {Conv2D, MaxPool, MaxPoolGrad} <= op_types(unfused)
    g = draw(run_python(ConvPool(ds), x, W)[0].shape, floatX, 2)
    g[..., :1, :] = 0  # as where the rectifier is off
    for a, b in zip(fused(x, W, g), unfused(x, W, g)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", [Conv2DGradFilters(), ConvPoolGradFilters((2, 2))])
def test_silence_adds_nothing_to_the_gradient_unless_it_is_not_finite(op):
    x, W = draw((2, 1, 9, 9), "float64"), draw((3, 1, 2, 2), "float64", 1)
    x[0] = 0
    fused = isinstance(op, ConvPoolGradFilters)
    dz = draw((2, 3, 4, 4) if fused else (2, 3, 8, 8), "float64", 2)
    winners = np.full((2, 3, 8, 1), 0xFF, "uint32")

    def gradient(x, dz):
        return run_c(op, *((x, winners[: len(x)], dz, W) if fused else (x, dz)))[0]

    np.testing.assert_array_equal(gradient(x, dz), gradient(x[1:], dz[1:]))
    dz[0, 1, 2, 2] = np.inf
    assert [np.isnan(dW).all() for dW in gradient(x, dz)] == [False, True, False]


def draw_patches(dtype):
    """Patches that make it hard to see which cell is the highest."""
    rng = np.random.RandomState(4)
    plain = rng.uniform(size=(3, 64, 40))
    with np.errstate(over="ignore"):
        return np.stack(
            [
                *plain,
                rng.standard_normal((64, 40)),
                10 ** rng.uniform(-12, 2, (64, 40)),
                plain[0] * 10 ** (-np.arange(64.0) / 6)[:, None],  # loud basses
                rng.randint(3, size=(64, 40)),  # ties
                np.tile(rng.uniform(size=(4, 5)), (16, 8)),  # ties everywhere
                0.5 + 1e-7 * rng.uniform(size=(64, 40)),  # the last bits decide
                0.5 + 1e-5 * rng.uniform(size=(64, 40)),
                np.full((64, 40), 0.37),
                np.zeros((64, 40)),
                np.eye(64, 40),
                plain[0] * 1e-30,
                plain[0] * 1e30,
                plain[0] * 1e300,
                np.where(plain[1] > 0.999, np.nan, plain[1]),
                np.where(plain[1] > 0.999, np.inf, plain[1]),
                *rng.uniform(size=(15, 64, 40)) * 10.0 ** -np.arange(15)[:, None, None],
                # Many of them: the windows below are screened without the loud basses.
                *rng.uniform(size=(24, 64, 40)) * 10.0 ** (-np.arange(64) / 4)[:, None],
                *(np.where(np.arange(64)[:, None] < 8, plain[0], a) for a in (0, 1e-30, np.nan)),
            ]
        ).astype(dtype)[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["", "avx2", "plain"])
def test_screening_misses_no_winner(isa):
    """In a process of its own: the instruction set is chosen once."""
    run = run_python_code(SCREEN, DEEP_ARTISTS_ISA=isa)
    assert run == "ok\n"


SCREEN = """
import numpy as np
from deep_artists.ops.conv_pool import ConvPool
from deep_artists.ops.conv2d import Conv2D
from deep_artists.ops.max_pool import MaxPool
from test_ops import draw, draw_patches, run_c

for dtype in ("float32", "float64"):
    x = draw_patches(dtype)
    shapes = ((7, 1, 33, 11), (16, 10)), ((33, 1, 9, 9), (8, 8)), ((2, 1, 20, 5), (45, 36))
    for shape, ds in shapes:
        W = draw(shape, dtype, 1)
        W[1] *= 1e-7
        for filters in (W, 0 * W, np.where(W > 0.99, np.nan, W), abs(W) * 1e30):
            with np.errstate(all="ignore"):
                filters = filters.astype(dtype)
                z, = run_c(Conv2D(), x, filters)
                p, = run_c(MaxPool(ds), z)
                fused, winners = run_c(ConvPool(ds), x, filters)
            np.testing.assert_array_equal(np.signbit(fused), np.signbit(p))
            np.testing.assert_array_equal(fused, p)
            n, maps, rows, columns = p.shape
            for i in range(rows):
                for j in range(columns):
                    h, w = ds
                    cells = z[:, :, i * h : i * h + h, j * w : j * w + w]
                    bits = np.unpackbits(winners.view("u1"), axis=-1, bitorder="little")
                    marked = bits[:, :, i * h : i * h + h, j * w : j * w + w]
                    np.testing.assert_array_equal(marked, cells == p[:, :, i : i + 1, j : j + 1])
print("ok")
"""


def test_the_training_graph_holds_our_ops_and_c_only():
    network = Network(load_recipe("last"), 10, "float32")
    function = compile_function([network.x, network.y], network.cost, updates=network.updates())
    found = op_types(function)
    assert {
        ConvPool,
        ConvPoolGradFilters,
        FixedDot,
        NegativeLogLikelihood,
        NegativeLogLikelihoodGrad,
    } <= found
    names = {op.__name__ for op in found}
    assert not names & {"Conv2D", "MaxPool", "Softmax", "Dot", "Dot22", "Gemm", "AdvancedSubtensor"}
    assert isinstance(function.maker.linker, OneModule)
    for node in function.maker.fgraph.apply_nodes:
        if isinstance(node.op, KernelOp):
            kernel = find_kernel(node.op.source, node.op.function, node.inputs[0].type.dtype)
            assert kernel and node.op.get_params(node).kernel == kernel


def test_the_graph_before_rewriting_reads_like_the_tutorial():
    text = pytensor.dprint(Network(load_recipe("last"), 10, "float32").cost, file="str")
    for word in ("Conv2D", "MaxPool", "rectify", "dot", "Softmax", "Log", "ARange"):
        assert word.lower() in text.lower(), word


@pytest.mark.parametrize("shape", [(7, 100, 33), (80, 60, 1024), (100, 80, 20)])
def test_a_row_of_a_product_does_not_depend_on_the_others(shape):
    m, k, n = shape
    A, B = draw((m, k), "float32"), draw((k, n), "float32", 1)
    (whole,) = run_c(FixedDot(), A, B)
    for i in (0, m // 2, m - 1):
        (row,) = run_c(FixedDot(), A[i : i + 1], B)
        np.testing.assert_array_equal(row[0], whole[i])


BITS = """
import hashlib, sys
import numpy as np
from deep_artists.artists.train import train
from deep_artists.reference.golden import make_dataset
sets = [(x[:60], y[:60]) for x, y in make_dataset(2010, 10)]
digest = hashlib.sha256()
for floatX in ("float32", "float64"):
    model = train(sets, "page", floatX=floatX, n_epochs=25, batch_size=30, n_hidden=50).model
    for name in sorted(model.last):
        digest.update(model.last[name].tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_bits_do_not_depend_on_instruction_set_or_threads():
    """Fifty iterations; a processor without AVX-512 runs its AVX2 twice."""
    digests = {
        run_python_code(BITS, DEEP_ARTISTS_ISA=isa, OMP_NUM_THREADS=threads)
        for isa, threads in (("", "1"), ("", "2"), ("avx2", "2"), ("plain", "2"))
    }
    assert len(digests) == 1


def test_a_slice_of_what_was_computed_runs():
    """Its C code would abort in a module of the whole function."""
    x = np.arange(15.0).reshape(1, 1, 3, 5)
    v = pt.TensorType("float64", (None,) * 4)("v")
    gradient = pytensor.grad(max_pool_2d(v, (2, 2), ignore_border=False).sum(), v)
    expected = [[0, 0, 0, 0, 0], [0, 1, 0, 1, 1], [0, 1, 0, 1, 1]]
    np.testing.assert_array_equal(compile_function([v], gradient)(x)[0, 0], expected)
