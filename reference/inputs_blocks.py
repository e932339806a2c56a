"""The inputs of the recordings of blocks, made by rule.

As in `inputs`: products, differences and roundings of uniform draws of a seeded RandomState, made
in float64 and cast. The SHA-256 of a case's recording is over the bytes of all its arrays together.
Case number i has the seed 20170914 + i.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FIRST_SEED = 20170914
FIGURES = {  # of Nam's text and of the tutorial
    "nam": [[1, 5, 2, 4], [2, 3, 9, 1], [5, 3, 3, 4], [8, 4, 7, 8]],
    "p2": [[3, 1, 3, 5], [9, 1, 2, 1], [2, 4, 2, 4], [1, 1, 6, 5]],
    "p3": [[5, 3, 7, 1], [1, 3, 5, 7]] * 2,
}
GATES = {"simple": 1, "gru": 3, "lstm": 4}


class Case(NamedTuple):
    """A recorded case."""

    name: str
    shape: tuple  # of x
    draw: Callable  # (rng, case) -> dict of arrays, in the order of drawing
    fill: str  # how x is made
    options: dict


def _cases():
    """Yield the cases in the order of their seeds."""

    def case(name, shape, draw, fill="signed", **options):
        return Case(name, shape, draw, fill, options)

    for act in ("linear", "relu", "sigmoid", "tanh", "softmax"):
        fill = "silent" if act == "relu" else "signed"
        yield case(f"d1/{act}", (2, 5, 7), _dense, fill, V=4, act=act)
    yield case("d2/w3", (2, 7, 6), _dense, V=4, w=3, act="tanh")
    yield case("d2/w2_silent", (1, 5, 4), _dense, "silent", V=3, w=2, act="relu")

    def conv(name, shape, V, size, act="linear", stride=(1, 1), pad=(0, 0), fill="signed"):
        return case(name, shape, _conv, fill, V=V, size=size, act=act, stride=stride, pad=pad)

    yield conv("c1/w1", (2, 1, 7, 5), 4, (7, 1))
    yield conv("c1/w4", (2, 2, 9, 11), 3, (9, 4), "relu")
    yield conv("c1/w4_partial", (1, 1, 10, 9), 3, (5, 4), "relu")
    yield conv("c2/valid", (2, 2, 8, 9), 3, (5, 3))
    yield conv("c2/same", (2, 2, 8, 9), 3, (3, 3), "relu", pad="same")
    yield conv("c2/same_even", (1, 2, 7, 6), 2, (4, 2), pad="same")
    yield conv("c2/same_stride", (1, 2, 7, 8), 2, (4, 3), stride=(2, 3), pad="same")
    yield conv("c2/silent", (1, 2, 7, 9), 3, (3, 3), "relu", pad="same", fill="silent")
    for n, s, p in ((5, 1, 0), (5, 2, 0), (5, 1, 1), (5, 2, 1), (6, 2, 1)):
        yield conv(
            f"conv/i{n}k3s{s}p{p}", (1, 1, n, n), 1, (3, 3), stride=(s, s), pad=(p, p), fill="steps"
        )
    yield conv("conv/mixed", (2, 3, 7, 8), 2, (4, 3), stride=(3, 2), pad=(1, 2))

    def pool(name, shape, mode, ws, stride=None, pad=(0, 0), fill="signed", whole=True, p=2):
        return case(
            f"pool/{name}",
            shape,
            _pool,
            fill,
            mode=mode,
            ws=ws,
            stride=stride or ws,
            pad=pad,
            whole=whole,
            p=p,
        )

    average, small, large = "average_exc_pad", (1, 2, 5, 7), (2, 2, 6, 8)
    for name, mode, p in (
        ("max", "max", 2),
        ("avg", average, 2),
        ("std", "std", 2),
        ("lp1", "lp", 1),
        ("lp2", "lp", 2),
        ("lp3", "lp", 3),
        ("mp2", "power_mean", 2),
    ):
        yield pool(f"nam_{name}", (1, 1, 4, 4), mode, (2, 2), fill="nam", p=p)
    yield pool("p2_figure", (1, 1, 4, 4), "max", (2, 2), fill="p2")
    yield pool("p1", (2, 3, 5, 12), "max", (1, 4))
    yield pool("p2", (2, 3, 6, 12), "max", (2, 4))
    yield pool("max_ties", large, "max", (2, 2), fill="steps")
    yield pool("max_cut", small, "max", (2, 3), fill="steps")
    yield pool("max_partial", small, "max", (2, 3), fill="steps", whole=False)
    yield pool("max_overlap", (1, 2, 7, 9), "max", (3, 3), (2, 2), fill="steps")
    yield pool("max_pad", (1, 2, 6, 7), "max", (3, 3), (2, 2), (1, 1))
    yield pool("max_same", (1, 2, 6, 7), "max", (2, 2), pad="same", fill="steps")
    yield pool("avg", large, average, (2, 4))
    yield pool("avg_overlap", (1, 2, 7, 9), average, (3, 3), (2, 2))
    yield pool("avg_partial", small, average, (2, 3), whole=False)
    yield pool("avg_pad_exc", (1, 2, 6, 7), average, (3, 3), (2, 2), (1, 1))
    yield pool("avg_pad_inc", (1, 2, 6, 7), "average_inc_pad", (3, 3), (2, 2), (1, 1))
    yield pool("std", large, "std", (2, 2))
    yield pool("std_blank", (1, 2, 8, 8), "std", (2, 2), fill="blank")
    yield pool("std_naive", (1, 2, 8, 8), "std", (2, 2), fill="blank")
    yield pool("std_overlap", (1, 2, 7, 8), "std", (3, 2), (2, 1))
    yield pool("std_partial", small, "std", (2, 3), whole=False)
    for p in (1, 2, 3, 8):
        yield pool(f"lp{p}", large, "lp", (2, 2), p=p)
    yield pool("lp2_blank", (1, 2, 8, 8), "lp", (2, 2), fill="blank")
    yield pool("lp3_ties", (1, 2, 8, 8), "lp", (2, 2), fill="steps", p=3)
    yield pool("lp2_naive", (1, 2, 8, 8), "lp", (2, 2), fill="blank")
    yield pool("mp3", (1, 2, 6, 8), "power_mean", (2, 4), p=3)
    yield pool("mp2_partial", small, "power_mean", (2, 3), whole=False)
    yield case("p3/figure", (1, 1, 4, 4), _global, "p3", mode=average)
    yield case("p3/avg", (2, 3, 6, 7), _global, mode=average)
    yield case("global/max", (2, 3, 6, 7), _global, mode="max")
    yield case("global/max_ties", (2, 3, 6, 7), _global, "steps", mode="max")
    for act in ("relu", "elu", "hard_sigmoid", "sigmoid", "tanh"):
        yield case(f"act/{act}", (6, 9), _activation, "levels", act=act)

    def recurrent(name, cell, shape=(2, 6, 5), V=4, fill="signed", direction="forwards"):
        return case(
            name,
            shape,
            _recurrent,
            fill,
            cell=cell,
            V=V,
            direction=direction,
            every=name.startswith("r1"),
        )

    yield recurrent("r1/simple", "simple")
    yield recurrent("r1/gru", "gru")
    yield recurrent("r2/gru", "gru")
    yield recurrent("r1/gru_back", "gru", direction="backwards")
    yield recurrent("r1/gru_loud", "gru", fill="loud")
    yield recurrent("r1/gru_edge", "gru", (2, 4, 3), fill="zero")
    yield recurrent("r1/lstm", "lstm")
    yield recurrent("r2/lstm", "lstm")
    yield recurrent("r1/lstm_silent", "lstm", fill="silent")
    yield recurrent("r1/lstm_edge", "lstm", (2, 4, 3), fill="zero")
    yield recurrent("r1/lstm_bi", "lstm", V=3, direction="both")
    yield case("bn/plain", (3, 2, 4, 5), _normalize)
    yield case("bn/constant", (2, 2, 4, 5), _normalize, "blank")
    yield case("xent/plain", (6, 5), _crossentropy, scale=8.0)
    yield case("xent/extreme", (6, 5), _crossentropy, scale=80.0)
    for form in ("post", "pre"):
        yield case(f"residual/{form}", (2, 3, 5, 6), _residual, form=form, scale=1.0)
        yield case(f"residual/{form}_zero", (1, 2, 4, 5), _residual, form=form, scale=0.0)
    yield case(
        "transfer/pyramid",
        (2, 1, 48, 40),
        _transfer,
        V=6,
        pools=((2, 2), (2, 2), (2, 2), (3, 2), (2, 2)),
    )


def make_case(case, number, dtype):
    """Return the arrays of a case by name; `g` is the cotangent, of the output's shape."""
    arrays = case.draw(np.random.RandomState(FIRST_SEED + number), case)
    return {name: np.ascontiguousarray(a, dtype) for name, a in arrays.items()}


def sha256(arrays):
    """Return the SHA-256 of the bytes of all arrays, one after another."""
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def _signed(rng, shape, scale):
    u, v = rng.uniform(size=shape), rng.uniform(size=shape)
    return (u - 0.5) * v * scale


def _steps(rng, shape, levels):
    """Multiples of 0.5 from -levels / 2 to levels / 2."""
    return (np.floor(rng.uniform(size=shape) * (2.0 * levels + 1.0)) - levels) * 0.5


def _fill(rng, case):
    """Draw x."""
    fill, shape = case.fill, case.shape
    if fill in FIGURES:
        return np.array(FIGURES[fill], float).reshape(shape)
    if fill == "levels":
        return _steps(rng, shape, 6)
    if fill in ("steps", "silent"):
        x = _steps(rng, shape, 2)
        if fill == "silent":  # one frame of a sequence, every third of a map
            x[(slice(None), 1) if x.ndim == 3 else (..., slice(None, None, 3))] = 0
        return x
    x = _signed(rng, shape, {"loud": 64.0, "zero": 0.0}.get(fill, 8.0))
    if fill == "blank":  # windows that are 0, windows that are constant
        x[:, 0, :4, :4] = 0
        x[:, -1, -4:, :4] = 1.25
    return x


def _dense(rng, case):
    (batch, n_frames, D), V, w = case.shape, case.options["V"], case.options.get("w", 1)
    x, W, b = _fill(rng, case), _signed(rng, (w * D, V), 2.0), _signed(rng, (V,), 1.0)
    if case.fill == "silent" and w == 1:
        b = 0.0 * b
    return {"x": x, "W": W, "b": b, "g": _signed(rng, (batch, n_frames - w + 1, V), 2.0)}


def _conv(rng, case):
    (batch, N, *lengths), o = case.shape, case.options
    x, W = _fill(rng, case), _signed(rng, (o["V"], N, *o["size"]), 2.0)
    b = _signed(rng, (o["V"],), 1.0) * (case.fill != "silent")
    if o["pad"] == "same":
        out = [-(-n // s) for n, s in zip(lengths, o["stride"])]
    else:
        out = [
            (n + 2 * p - k) // s + 1
            for n, p, k, s in zip(lengths, o["pad"], o["size"], o["stride"])
        ]
    return {"x": x, "W": W, "b": b, "g": _signed(rng, (batch, o["V"], *out), 2.0)}


def _pool(rng, case):
    (batch, N, *lengths), o = case.shape, case.options
    x, out = _fill(rng, case), []
    for i, (n, k, s) in enumerate(zip(lengths, o["ws"], o["stride"])):
        if o["pad"] == "same" or not o["whole"]:  # here no stride is smaller than its window
            out.append(-(-n // s))
        else:
            out.append((n + 2 * o["pad"][i] - k) // s + 1)
    return {"x": x, "g": _signed(rng, (batch, N, *out), 2.0)}


def _global(rng, case):
    return {"x": _fill(rng, case), "g": _signed(rng, case.shape[:2], 2.0)}


def _activation(rng, case):
    return {"x": _fill(rng, case), "g": _signed(rng, case.shape, 2.0)}


def _recurrent(rng, case):
    (batch, n_frames, D), o = case.shape, case.options
    V, n_columns, both = o["V"], GATES[o["cell"]] * o["V"], o["direction"] == "both"
    arrays = {"x": _fill(rng, case)}
    for number in ("", "2") if both else ("",):
        W, U, b = (
            _signed(rng, shape, scale)
            for shape, scale in (((D, n_columns), 2.0), ((V, n_columns), 2.0), ((n_columns,), 1.0))
        )
        if case.fill == "zero":  # the gates lie on the corners of the hard sigmoid
            U, b = 0.0 * U, np.where(np.arange(n_columns) % 2, -2.5, 2.5)
        arrays |= {f"W{number}": W, f"U{number}": U, f"b{number}": b}
    width = 2 * V if both else V
    arrays["g"] = _signed(rng, (batch, n_frames, width) if o["every"] else (batch, width), 2.0)
    return arrays


def _normalize(rng, case):
    x, N = _fill(rng, case), case.shape[1]
    if case.fill == "blank":
        x[:, 0] = 1.25
    return {
        "x": x,
        "gamma": _signed(rng, (N,), 4.0),
        "beta": _signed(rng, (N,), 1.0),
        "g": _signed(rng, case.shape, 2.0),
    }


def _crossentropy(rng, case):
    (batch, k), scale = case.shape, case.options["scale"]
    z = _signed(rng, (batch, k), scale)
    y = np.eye(k)[np.floor(rng.uniform(size=batch) * k).astype(int)]
    if scale > 50:  # equal; certain and right; certain and wrong
        z[:3] = 0.0 * y[0], 40.0 * y[1], -40.0 * y[2]
    return {"z": z, "y": y}


def _residual(rng, case):
    arrays, N, scale = {"x": _fill(rng, case)}, case.shape[1], case.options["scale"]
    for i in (1, 2):
        arrays[f"W{i}"] = _signed(rng, (N, N, 3, 3), 1.0) * scale
        arrays[f"b{i}"] = _signed(rng, (N,), 1.0) * scale
    return arrays | {"g": _signed(rng, case.shape, 2.0)}


def _transfer(rng, case):
    arrays, V, n_layers = {"x": _fill(rng, case)}, case.options["V"], len(case.options["pools"])
    for i in range(n_layers):
        arrays[f"W{i}"] = _signed(rng, (V, V if i else case.shape[1], 3, 3), 2.0)
        arrays[f"b{i}"] = _signed(rng, (V,), 1.0)
        arrays[f"gamma{i}"] = 1.0 + _signed(rng, (V,), 1.0)
        arrays[f"beta{i}"] = _signed(rng, (V,), 1.0)
    return arrays | {"g": _signed(rng, (case.shape[0], V * n_layers), 2.0)}


CASES = tuple(_cases())


def draw_initial(example, seed):
    """Return the initial weights of an example, as Keras keeps them: filters (H, W, N, V)."""
    rng = np.random.RandomState(seed)
    if example == 1:
        return [(rng.uniform(size=(36, 12)) - 0.5) * 0.7]
    return [(rng.uniform(size=(5, 3, 1, 4)) - 0.5) * 0.56, (rng.uniform(size=(4, 2)) - 0.5) * 2.0]
