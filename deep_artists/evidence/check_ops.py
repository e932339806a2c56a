"""The Ops in compiled graphs, values and gradients, compared with those of Theano 0.6."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..ops.compile import compile_function
from ..ops.conv2d import conv2d
from ..ops.max_pool import max_pool_2d
from ..ops.rectify import rectify
from ..ops.softmax import softmax
from ..reference import golden, inputs
from .compare import DTYPES, Rung, check_inputs, entrywise, relative, unequal

# Quantity -> difference, bound in float32, bound in float64. Where there is arithmetic, it is the
# same in another order: sums of up to 1792 products, or exp and log of another library. Measured
# for conv2d: 1.5e-6 and 4e-15, for the others 2e-7 and 2e-16. A wrong tie gives 1e-2 and more.
EXACT = (unequal, 0, 0)
SUM = (relative, 1e-5, 1e-13)
ROW = (relative, 2e-6, 1e-14)
NLL = (lambda ours, recorded: entrywise(ours, recorded, least=1.0), 2e-6, 1e-14)
OPS = {
    "conv2d": {"out": SUM, "gx": SUM, "gW": SUM},
    "max_pool": {"out": EXACT, "gx": EXACT},
    "rectify": {"out": EXACT, "gv": EXACT, "gp": EXACT, "gb": ROW},
    "softmax": {"p_y_given_x": ROW, "argmax": EXACT, "nll": NLL, "cost": ROW, "gz": ROW},
}
# The tutorial's -log(p)[y] without the rewrite that keeps it finite, where p[y] is far from 0.
OPS["softmax_unfused"] = {key: OPS["softmax"][key] for key in ("nll", "cost", "gz")}
# On the host XLA's threads flush the smallest denormal to 0: one entry of rectify's out and gv.
FLUSHED = {("rectify", "out"), ("rectify", "gv")}
UNFUSED_CASES = ("ordinary", "network", "equal", "tied")
POOLSIZES = {case: poolsize for case, _, poolsize in inputs.MAX_POOL}


def list_rungs(device):
    """Return a rung for every Op and dtype."""
    theano = "Theano 0.6.0rc3"
    return [
        *(
            Rung(f"ops {op} {dtype}", theano, check_op, (op, dtype, device))
            for op in OPS
            for dtype in DTYPES
        ),
        *(
            Rung(f"ops one_pass {dtype}", theano, check_one_pass, (dtype, device))
            for dtype in DTYPES
        ),
    ]


def check_op(op, dtype, device):
    of_theano = op.removesuffix("_unfused")
    recorded = golden.load(f"ops/{of_theano}.npz")
    found = {quantity: [] for quantity in OPS[op]}
    for case, arrays in getattr(inputs, f"{of_theano}_cases")(dtype):
        if op == "softmax_unfused" and case not in UNFUSED_CASES:
            continue
        check_inputs(arrays, recorded, f"{dtype}/{case}/")
        build = "rectify of p + b" if case == "bias" else op
        ours = evaluate(build, arrays, device, POOLSIZES.get(case))
        for quantity in found.keys() & ours.keys():
            theirs = recorded[f"{dtype}/{case}/{quantity}"]
            found[quantity].append(OPS[op][quantity][0](ours[quantity], theirs))
    for quantity, (_, *bounds) in OPS[op].items():
        bound = bounds[DTYPES.index(dtype)]
        if (op, quantity) in FLUSHED and device.startswith("jax"):
            bound = 1
        yield quantity, bound, np.max(found[quantity]).item()


def check_one_pass(dtype, device):
    """max_pool_2d(conv2d(x, W)) as it is trained: where W is 1, the recorded max_pool_2d."""
    recorded, differing, errors = golden.load("ops/max_pool.npz"), [], []
    for case, arrays in inputs.max_pool_cases(dtype):
        if POOLSIZES[case] not in ((2, 2), (8, 8), (16, 10)):  # those of the recipes
            continue
        check_inputs(arrays, recorded, f"{dtype}/{case}/")
        x, g = (a.reshape(-1, 1, *a.shape[2:]) for a in arrays.values())
        W = np.ones((1, 1, 1, 1), dtype)
        ours = evaluate("one_pass", {"x": x, "W": W, "g": g}, device, POOLSIZES[case])
        out, gx = (recorded[f"{dtype}/{case}/{quantity}"] for quantity in ("out", "gx"))
        products = x.astype(np.float64) * gx.reshape(x.shape)
        differing.append(unequal(ours["out"].reshape(out.shape), out))
        errors.append(abs(ours["gW"].item() - products.sum()) / np.abs(products).sum())
    yield "out", 0, np.max(differing).item()
    # One sum over all winning cells. Measured: 1.1e-6 and 2e-15.
    yield "gW", {"float32": 1e-5, "float64": 1e-13}[dtype], np.max(errors).item()


def evaluate(op, arrays, device, poolsize=None):
    """Run the compiled graph of an Op and its gradients; return values by their recorded names."""
    build = {
        "conv2d": conv2d,
        "max_pool": lambda x: max_pool_2d(x, poolsize),
        "one_pass": lambda x, W: max_pool_2d(conv2d(x, W), poolsize),
        "rectify": rectify,
        "rectify of p + b": lambda p, b: rectify(p + b.dimshuffle("x", 0, "x", "x")),
    }
    variables = [pt.TensorType(a.dtype, (None,) * a.ndim)(name) for name, a in arrays.items()]
    if op in build:
        *wrt, g = variables
        out = build[op](*wrt)
        gradients = pytensor.grad(pt.sum(out * g), wrt)
        outputs = {"out": out} | {f"g{v.name}": gradient for v, gradient in zip(wrt, gradients)}
    else:
        z, y = variables
        p = softmax(z)
        nll = -pt.log(p)[pt.arange(y.shape[0]), y]
        cost = pt.mean(nll)
        outputs = {
            "p_y_given_x": p,
            "argmax": pt.argmax(p, axis=1),
            "nll": nll,
            "cost": cost,
            "gz": pytensor.grad(cost, z),
        }
    function = compile_function(
        variables, list(outputs.values()), fused=op != "softmax_unfused", device=device
    )
    return {name: np.asarray(value) for name, value in zip(outputs, function(*arrays.values()))}
