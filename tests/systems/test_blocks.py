"""The blocks: their numbers, the mistakes they could make, what they refuse."""

import inspect
import textwrap

import numpy as np
import pytensor.tensor as pt
import pytest

from deep_artists.evidence import check_blocks
from deep_artists.nn import convolution, losses, pooling, recurrent
from deep_artists.ops.compile import compile_function, python_mode
from deep_artists.systems import blocks
from deep_artists.systems.blocks import (
    c1,
    c2,
    d1,
    d2,
    describe,
    normalize,
    p1,
    p2,
    p3,
    r1,
    r2,
    residual,
)
from deep_artists.systems.blocks_examples import build_pitches, build_thirds, build_transfer
from deep_artists.systems.blocks_random import solve

THEANO105 = "blocks/blocks-theano105-{}.npz"
THEANO06 = "blocks/blocks-theano06-float64.npz"


def draw(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, size=shape)


def tensor(*shape, name="x", dtype="float64"):
    return pt.tensor(name, shape=shape, dtype=dtype)


# --- against the recordings ---


@pytest.mark.slow
@pytest.mark.parametrize("group", check_blocks.GROUPS)
def test_theano_computed_the_same(group):
    for recording in (THEANO105.format("float64"), THEANO06):
        if recording == THEANO06 and group in ("bn", "xent", "transfer"):
            continue
        for kind, bound, found in check_blocks.check_group(group, recording, "float64"):
            assert found <= bound, (recording, kind)


@pytest.mark.slow
@pytest.mark.parametrize("group", check_blocks.GROUPS)
def test_theano_computed_the_same_in_float32(group):
    recording = THEANO105.format("float32")
    for kind, bound, found in check_blocks.check_group(group, recording, "float32"):
        assert found <= bound, kind


@pytest.mark.slow
@pytest.mark.parametrize("example", [1, 2])
def test_an_example_trains_as_recorded(example):
    for quantity, bound, found in check_blocks.check_example(example, "float64"):
        assert found <= bound, quantity


@pytest.mark.slow
@pytest.mark.parametrize("example", [1, 2])
def test_an_example_trains_as_recorded_in_float32(example):
    for quantity, bound, found in check_blocks.check_example(example, "float32"):
        assert found <= bound, quantity


# What each of the mistakes below changes, by the Ops' NumPy definitions: nothing is compiled.
QUICK = [
    *("pool/max_ties", "global/max_ties", "pool/std", "c2/valid", "act/relu"),
    *("act/hard_sigmoid", "act/elu", "xent/extreme", "r1/gru"),
]


@pytest.mark.parametrize("name", QUICK)
def test_the_definitions_follow_theano(name):
    assert worst(name, mode=python_mode()) < 1e-12


# --- mistakes that the recordings must find ---


def mutate(code, old, new):
    """Return a function or class made from its source, one piece of it changed."""
    source = textwrap.dedent(inspect.getsource(code))
    assert source.count(old) == 1
    namespace = dict(vars(inspect.getmodule(code)))
    exec(source.replace(old, new), namespace)
    return namespace[code.__name__]


def worst(*names, mode=None):
    """Return the largest difference from the recording over some cases, computed anew."""
    check_blocks.run_case.cache_clear()
    recorded = check_blocks.golden.load(THEANO105.format("float64"))
    found = [
        check_blocks.compare(name, quantity, ours, recorded[f"{name}/{quantity}"], recorded)
        for name in names
        for quantity, ours in check_blocks.run_case(name, "float64", mode).items()
    ]
    check_blocks.run_case.cache_clear()
    return np.max(found)


def pool_to_first(input, ds):
    """Max-pooling whose gradient goes to the first of equal cells."""
    b, n, rows, columns = input.shape
    windows = input.reshape((b, n, rows // ds[0], ds[0], columns // ds[1], ds[1]))
    cells = windows.dimshuffle(0, 1, 2, 4, 3, 5).flatten(5)
    first = pt.expand_dims(pt.argmax(cells, axis=4), 4)
    return pt.sum(cells * pt.eq(pt.arange(cells.shape[4]), first), axis=4)


def flat_at_corners(x):
    y = 0.2 * x + 0.5
    return pt.switch(y <= 0, 0.0, pt.switch(y >= 1, 1.0, y))


def reset_after():
    old, new = "pt.dot(r * h, U[:, 2 * n :])", "r * pt.dot(h, U[:, 2 * n :])"
    return recurrent.STEPS | {"gru": mutate(recurrent.step_gru, old, new)}


def divide_by_one_less():
    return mutate(pooling.find_std, "(deviation**2) / m", "(deviation**2) / (m - 1)")


def unclipped():
    return mutate(losses.categorical_crossentropy, "p = pt.clip(p,", "p = (lambda p, *_: p)(p,")


def unflipped():
    return mutate(convolution.convolve, "if not flip:", "if flip:")


MISTAKES = {  # what is wrong: where, its name, what is put there, the case that finds it
    "first argmax at ties": (pooling, "max_pool_2d", lambda: pool_to_first, "pool/max_ties"),
    "first argmax of all": (pooling, "max_pool_2d", lambda: pool_to_first, "global/max_ties"),
    "variance with m - 1": (pooling, "find_std", divide_by_one_less, "pool/std"),
    "no flip": (blocks, "convolve", unflipped, "c2/valid"),
    "relu of slope 0": (blocks, "relu", lambda: lambda x: pt.switch(x > 0, x, 0.0), "act/relu"),
    "relu of slope 1": (blocks, "relu", lambda: lambda x: pt.switch(x < 0, 0.0, x), "act/relu"),
    "relu in a layer": (blocks, "relu", lambda: lambda x: pt.switch(x < 0, 0.0, x), "d1/relu"),
    "hard sigmoid flat": (blocks, "hard_sigmoid", lambda: flat_at_corners, "act/hard_sigmoid"),
    "gates flat": (recurrent, "hard_sigmoid", lambda: flat_at_corners, "r1/lstm_edge"),
    "no clip": (blocks, "categorical_crossentropy", unclipped, "xent/extreme"),
    "reset gate after the product": (recurrent, "STEPS", reset_after, "r1/gru"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake, monkeypatch):
    module, name, make, case = MISTAKES[mistake]
    monkeypatch.setattr(module, name, make())
    assert not worst(case) < 1e-3


# --- what follows from the definitions ---


@pytest.mark.parametrize("w", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_c1_is_d1_and_d2_once_its_filters_are_turned(w):
    x, W = tensor(2, 3, 5, 7), draw(4, 3, 5, w, seed=1)
    dense = W[:, :, ::-1, ::-1].transpose(3, 1, 2, 0).reshape(-1, 4)  # (w N F, V)
    conv = c1(x, 4, w, bias=False, W=W).output[:, :, 0].dimshuffle(0, 2, 1)
    same = d1(x, 4, bias=False, W=dense) if w == 1 else d2(x, 4, w, bias=False, W=dense)
    conv, same = compile_function([x], [conv, same.output])(draw(2, 3, 5, 7))
    np.testing.assert_allclose(conv, same, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_a_filter_turned_needs_no_flip():
    x, W = tensor(1, 1, 6, 6), draw(2, 1, 3, 2)
    a = c2(x, 2, (3, 2), bias=False, W=W, stride=2, pad="same").output
    b = c2(x, 2, (3, 2), bias=False, W=W[..., ::-1, ::-1], flip=False, stride=2, pad="same").output
    a, b = compile_function([x], [a, b])(draw(1, 1, 6, 6))
    assert np.array_equal(a, b)


@pytest.mark.slow
def test_both_directions_end_in_the_last_state_of_each():
    x = tensor(2, 4, 3)
    params = dict(
        zip(
            ("W", "U", "b", "W2", "U2", "b2"),
            (draw(*s, seed=i) for i, s in enumerate(((3, 6), (2, 6), (6,)) * 2)),
        )
    )
    one = {key: params[key] for key in ("W", "U", "b")}
    outputs = [
        r1(x, 2, "gru", "both", **params),
        r2(x, 2, "gru", "both", **params),
        r2(x, 2, "gru", **one),
    ]
    every, last, forwards = compile_function([x], [y.output for y in outputs])(draw(2, 4, 3))
    assert np.array_equal(last, np.concatenate([every[:, -1, :2], every[:, 0, 2:]], axis=1))
    assert np.array_equal(forwards, last[:, :2])


def test_initial_values_are_those_of_keras():
    y = r1(tensor(None, 5, 3), 4, "lstm", rng=np.random.RandomState(0))
    W, U, b = (p.get_value() for p in y.params)
    assert np.abs(W).max() < np.sqrt(6 / 19) and W.shape == (3, 16)
    np.testing.assert_allclose(U @ U.T, np.eye(4), atol=1e-14)
    assert np.array_equal(b, np.repeat([0, 1, 0, 0], 4))


def test_residual_blocks_of_zeros_pass_their_input():
    x, zeros = (
        tensor(1, 2, 4, 5),
        dict(W1=np.zeros((2, 2, 3, 3)), W2=np.zeros((2, 2, 3, 3)), b1=np.zeros(2), b2=np.zeros(2)),
    )
    outputs = [blocks.residual(x, form, **zeros).output for form in ("pre", "post")]
    value = draw(1, 2, 4, 5)
    pre, post = compile_function([x], outputs)(value)
    assert np.array_equal(pre, value)
    assert np.array_equal(post, np.maximum(value, 0))


# --- shapes ---


def test_describe_counts_the_parameters_of_example_2():
    network = build_thirds("float32", np.random.RandomState(0))[1]
    assert describe(network).splitlines() == [
        "block  output  parameters",
        "input  1x36x3           0",
        "c2     4x32x1          60",
        "p2     4                0",
        "relu   4                0",
        "d1     2                8",
        "total                  68",
    ]
    assert describe(build_pitches("float32", np.random.RandomState(0))[1]).endswith(" 432")


@pytest.mark.slow
def test_the_network_to_transfer_shrinks_to_one_cell():
    x = tensor(None, 1, 96, 1360, dtype="float32")
    last, features = build_transfer(x, rng=np.random.RandomState(0))
    table = [line.split() for line in describe(last).splitlines()]
    shapes = [row[1] for row in table if row[0] == "p2"]
    assert shapes == ["32x48x340", "32x16x85", "32x8x17", "32x4x4", "32x1x1"]
    assert features.type.shape == (None, 160)


# --- what does not fit ---


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: d1(tensor(2, 5, 7), 4, W=draw(6, 4), b=draw(4)),
         ["block d1", "(2, 5, 7)", "(6, 4)", "(7, 4)"]),
        (lambda: d1(tensor(2, 5, 7), 4, W=draw(7, 4), b=draw(3)), ["block d1", "(3,)", "(4,)"]),
        (lambda: d1(tensor(3), 4, W=draw(3, 4)), ["block d1", "(3,)"]),
        (lambda: d2(tensor(2, 2, 7), 4, 3, W=draw(21, 4)), ["block d2", "(2, 2, 7)", "w = 3"]),
        (lambda: c1(tensor(2, 1, 7, 3), 4, 5, W=draw(4, 1, 7, 5), bias=False),
         ["block c1", "(2, 1, 7, 3)", "(4, 1, 7, 5)"]),
        (lambda: c2(tensor(2, 3, 7, 8), 4, (3, 3), W=draw(4, 2, 3, 3)),
         ["block c2", "(2, 3, 7, 8)", "(4, 2, 3, 3)"]),
        (lambda: c2(tensor(2, 3, 7, 8), 4, (9, 3), rng=np.random.RandomState(0)),
         ["block c2", "(2, 3, 7, 8)", "(4, 3, 9, 3)"]),
        (lambda: c2(tensor(2, 7, 8), 4, (3, 3)), ["block c2", "(2, 7, 8)"]),
        (lambda: c2(tensor(2, 1, 7, 8), 4, (3, 3), stride=0, W=draw(4, 1, 3, 3)),
         ["block c2", "stride = 0"]),
        (lambda: r1(tensor(2, 6, 5), 4, W=draw(5, 4), U=draw(4, 12), b=draw(12)),
         ["block r1", "(2, 6, 5)", "(5, 4)", "(5, 12)"]),
        (lambda: r2(tensor(2, 6, 5), 4, "elman"), ["block r2", "elman"]),
        (lambda: p1(tensor(2, 1, 4, 3), 5), ["block p1", "(2, 1, 4, 3)", "(1, 5)"]),
        (lambda: p2(tensor(2, 1, 4, 3), (5, 2)), ["block p2", "(2, 1, 4, 3)", "(5, 2)"]),
        (lambda: p2(tensor(2, 1, 4, 3), (2, 2), "median"), ["block p2", "median"]),
        (lambda: p2(tensor(2, 1, 4, 3), (2, 2), "lp", p=0.5), ["block p2", "0.5"]),
        (lambda: p3(tensor(2, 4, 3)), ["block p3", "(2, 4, 3)"]),
        (lambda: d1(tensor(2, 5, 7), 4, W=draw(7, 4).astype("float32"), bias=False),
         ["block d1", "float64", "float32"]),
        (lambda: d1(tensor(2, 5, 7), 4), ["block d1", "rng"]),
        (lambda: d1(tensor(2, 5, 7, dtype="int64"), 4, rng=np.random.RandomState(0)),
         ["block d1", "int64", "(2, 5, 7)"]),
        (lambda: d1(tensor(2, 5, 7), 4, bias=False, b=draw(4)), ["block d1", "b is given"]),
        (lambda: d1(tensor(2, None), 4), ["block d1", "(2, None)"]),
        (lambda: d2(tensor(2, 5, 7), 4, 0), ["block d2", "(2, 5, 7)", "w = 0"]),
        (lambda: c2(tensor(2, 1, 4, 3), 4, (3.0, 3)), ["block c2", "(2, 1, 4, 3)", "3.0"]),
        (lambda: c1(tensor(2, 1, 4, 3), 4, 0), ["block c1", "(2, 1, 4, 3)", "(4, 0)"]),
        (lambda: p2(tensor(2, 1, 4, 3), "global", pad=1), ["block p2", "(2, 1, 4, 3)", "pad"]),
        (lambda: residual(tensor(2, 2, 4, 5), W1=draw(3, 3, 3, 3), b1=draw(2)),
         ["block residual", "(2, 2, 4, 5)", "W1", "(3, 3, 3, 3)"]),
        (lambda: normalize(tensor(2, None, 4, 5)), ["block normalize", "(2, None, 4, 5)"]),
    ],
)  # fmt: skip
def test_a_block_that_does_not_fit_says_so(build, words):
    with pytest.raises(ValueError) as error:
        build()
    assert [word for word in words if word not in str(error.value)] == []


def test_a_linear_solver_tells_separable_classes_apart():
    y = np.eye(3)[np.arange(60) % 3]
    x = y + 0.01 * draw(60, 3)
    assert solve((x, y), (x, y), lambda x: x) == 1.0
