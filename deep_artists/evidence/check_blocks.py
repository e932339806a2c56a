"""The blocks of the 2017 tutorial and its two examples, compared with those of Theano and Keras."""

from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..ops.compile import compile_function
from ..reference import golden, inputs_blocks
from ..systems import blocks, blocks_examples
from .compare import DTYPES, Rung, entrywise, relative

THEANO, THEANO06 = "Theano 1.0.5, Keras 2.0.4", "Theano 0.6.0rc3"
CASES = {case.name: (i, case) for i, case in enumerate(inputs_blocks.CASES)}
GROUPS = tuple(dict.fromkeys(name.partition("/")[0] for name in CASES))
# Theano 0.6: the slope of the hard sigmoid is 0 on its corners, from 1.0 it is 0.2.
CORNERS = ("act/hard_sigmoid", "r1/gru_edge", "r1/lstm_edge")
INITIAL_SEEDS = {1: 1209, 2: 12345}
# The others compile for minutes.
QUICK = {(group, "float64") for group in ("d1", "c1", "bn", "xent")}


def list_rungs():
    """Return a rung for every group of blocks and dtype, and for the examples' whole training."""
    return [
        *(
            Rung(
                f"blocks {group} {dtype}",
                THEANO,
                check_group,
                (group, f"blocks/blocks-theano105-{dtype}.npz", dtype),
                slow=(group, dtype) not in QUICK,
            )
            for group in GROUPS
            for dtype in DTYPES
        ),
        *(
            Rung(
                f"blocks {group} float64 of 0.6",
                THEANO06,
                check_group,
                (group, "blocks/blocks-theano06-float64.npz", "float64"),
                slow=True,
            )
            for group in GROUPS
            if group not in ("bn", "xent", "transfer")
        ),
        *(
            Rung(f"blocks example{i} {dtype}", THEANO, check_example, (i, dtype), slow=True)
            for i in (1, 2)
            for dtype in DTYPES
        ),
        Rung("blocks templates", "librosa 0.5.0", check_templates),
    ]


def check_group(group, recording, dtype):
    recorded, errors = golden.load(recording), {"out": [], "gradients": []}
    for name in CASES:
        if name.partition("/")[0] != group or f"{name}/sha256" not in recorded:
            continue
        for quantity, ours in run_case(name, dtype).items():
            if f"{name}/{quantity}" not in recorded:  # Theano has no gradient of avg_pad_exc
                continue
            theirs = recorded[f"{name}/{quantity}"]
            if "06" in recording and name in CORNERS and quantity != "out":
                continue
            kind = "gradients" if quantity.startswith("g") else "out"
            errors[kind].append(compare(name, quantity, ours, theirs, recorded))
    # Sums in another order, exp and log of another library. Measured: 3e-15 in float64, 1.2e-6 in
    # float32. Any of the mistakes named in the tests gives 1e-2 and more.
    bound = {"float64": 1e-12, "float32": 5e-6}[dtype]
    for kind, found in errors.items():
        yield kind, bound, np.max(found).item()


def compare(name, quantity, ours, theirs, recorded):
    """Return the difference relative to the largest entry, by the case's own rule if it has one."""
    if name.endswith("_naive"):  # the plain graph's slope is NaN where ours is 0
        if np.any(ours[np.isnan(theirs)] != 0):
            return np.inf
        theirs = np.nan_to_num(theirs, nan=0)
    if name == "transfer/pyramid" and quantity.startswith("gb") and quantity[2].isdigit():
        # A bias before normalisation: both are noise around 0, small beside the filters' gradient.
        scale = np.abs(recorded[f"{name}/gW{quantity[2]}"]).max()
        return float(np.abs(ours).max() / scale)
    return relative(ours, theirs)


@cache
def run_case(name, dtype, mode=None):
    """Return the output of a case and the gradients of sum(output * g), by their recorded names."""
    number, case = CASES[name]
    arrays = inputs_blocks.make_case(case, number, dtype)
    recorded = golden.load(f"blocks/blocks-theano105-{dtype}.npz")[f"{name}/sha256"].item()
    if inputs_blocks.sha256(arrays) != recorded:
        raise ValueError(f"the inputs of {name} as made here are not the recorded ones")
    # A batch of any size: graphs of one row and of several then share their compiled code.
    batch = {"x", "g", "z", "y"}
    variables = {
        key: pt.tensor(key, dtype=dtype, shape=(None, *a.shape[1:]) if key in batch else a.shape)
        for key, a in arrays.items()
    }
    if "z" in variables:
        nll = blocks.categorical_crossentropy(blocks.softmax(variables["z"]), variables["y"])
        cost, wrt = nll.mean(), ["z"]
        outputs = {"nll": nll, "cost": cost}
    else:
        wrt = [key for key in variables if key != "g"]
        out = build(name.partition("/")[0], case.options, *(variables[key] for key in wrt))
        cost, outputs = (out * variables["g"]).sum(), {"out": out}
    gradients = pytensor.grad(cost, [variables[key] for key in wrt])
    outputs |= {f"g{key}": gradient for key, gradient in zip(wrt, gradients)}
    function = compile_function(
        list(variables.values()), list(outputs.values()), mode=mode, on_unused_input="ignore"
    )
    return {key: np.asarray(a) for key, a in zip(outputs, function(*arrays.values()))}


def build(group, options, x, *params):
    """Return the output of a case's graph."""
    o = dict(options)
    activation = getattr(blocks, o.pop("act", "linear"))
    if group == "act":
        return activation(x)
    if group == "d1":
        return blocks.d1(x, o["V"], activation, W=params[0], b=params[1]).output
    if group == "d2":
        return blocks.d2(x, o["V"], o["w"], activation, W=params[0], b=params[1]).output
    if group in ("c1", "c2", "conv"):
        block = blocks.c2(
            x, o["V"], o["size"], activation, o["stride"], o["pad"], W=params[0], b=params[1]
        )
        return block.output
    if group == "pool":
        return blocks.p2(x, o["ws"], o["mode"], o["stride"], o["pad"], o["whole"], o["p"]).output
    if group in ("p3", "global"):
        return (blocks.p3(x) if group == "p3" else blocks.p2(x, "global", o["mode"])).output
    if group in ("r1", "r2"):
        keys = ("W", "U", "b", "W2", "U2", "b2")[: len(params)]
        recurrent = {"r1": blocks.r1, "r2": blocks.r2}[group]
        return recurrent(x, o["V"], o["cell"], o["direction"], **dict(zip(keys, params))).output
    if group == "bn":
        return blocks.normalize(x, *params).output
    if group == "residual":
        return blocks.residual(x, o["form"], None, *params).output
    layers = [params[i : i + 4] for i in range(0, len(params), 4)]
    return blocks_examples.build_transfer(x, o["V"], o["pools"], params=layers)[1]


def check_example(example, dtype):
    recorded = golden.load(f"blocks/example{example}-{dtype}.npz")
    keep = sorted(int(key.partition("_after")[2]) for key in recorded if key.startswith("W0_after"))
    found = run_example(example, dtype, keep)
    # float64: roundings of 1e-16 over thousands of updates. Measured: losses
    # 3e-15 and 3.4e-14, weights 7e-16; float32: 9e-7 and 1.5e-5, weights 3e-7.
    loss, weights = {
        ("float64", 1): (1e-12, 1e-12),
        ("float64", 2): (1e-12, 1e-12),
        ("float32", 1): (1e-5, 1e-5),
        ("float32", 2): (2e-4, 2e-5),
    }[dtype, example]
    yield "loss, each", loss, entrywise(found.losses, recorded["loss"])
    yield (
        "batches of another accuracy",
        0,
        int(np.sum(np.abs(found.accuracies - recorded["acc"]) > 1e-6)),
    )
    yield (
        "weights",
        weights,
        max(
            relative(to_keras(W), recorded[f"W{i}_after{n}"])
            for n, values in found.kept.items()
            for i, W in enumerate(values)
        ),
    )


def run_example(example, dtype, keep):
    """Train an example as it was recorded: on recorded templates, from recorded initial weights."""
    recorded = golden.load(f"blocks/example{example}-{dtype}.npz")
    names, build = (
        (["templates"], blocks_examples.build_pitches)
        if example == 1
        else (["major", "minor"], blocks_examples.build_thirds)
    )
    initial = inputs_blocks.draw_initial(example, INITIAL_SEEDS[example])
    x, network = build(dtype, None, *(share_from_keras(W, dtype) for W in initial))
    batches = blocks_examples.draw_batches(
        [recorded[name] for name in names], int(recorded["data_seed"]), max(keep)
    )
    return blocks_examples.train(x, network, batches, keep)


def share_from_keras(W, dtype):
    """Return a shared variable: filters, which Keras keeps as (H, W, N, V), as (V, N, H, W)."""
    W = W.transpose(3, 2, 0, 1) if W.ndim == 4 else W
    return pytensor.shared(np.ascontiguousarray(W, dtype), shape=W.shape)


def to_keras(W):
    return W.transpose(2, 3, 1, 0) if W.ndim == 4 else W


def check_templates():
    # Another resampler and other filters than in 2017. Measured with librosa 0.11: 0.045, and 0.31
    # in the cell that differs most.
    yield "mean of all differences", 0.1, compare_templates()["mean"]


def compare_templates():
    """Return how far today's templates are from those of librosa 0.5.0: mean and largest."""
    ours = blocks_examples.find_templates()
    recorded = [golden.load(f"blocks/example{i}-float64.npz") for i in (1, 2)]
    pairs = [
        (ours["pitches"], recorded[0]["templates"]),
        (ours["major"], recorded[1]["major"]),
        (ours["minor"], recorded[1]["minor"]),
    ]
    differences = np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    return {"mean": float(differences.mean()), "largest": float(differences.max())}
