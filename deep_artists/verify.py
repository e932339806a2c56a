"""This machine against the recordings: front end, Ops, initial values, network, whole runs.

What is computed here is compared with what Theano 0.6, librosa of 2013 or the 2013 program
computed, never with an earlier result of this package. Each bound stands beside its check.
"""

import hashlib
import json
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from .device import check_device
from .machine import describe_machine, format_machine
from .model import NAMES
from .recipe import load_recipe
from .reference import golden, inputs

DTYPES = ("float32", "float64")
EPOCHS = {"first": 1, "second": 2, "third": 1, "last": 50, "page": 14}  # of the recorded runs
N_STEPS = 10


class Check(NamedTuple):
    """A row of the table."""

    quantity: str
    recorded_by: str
    bound: float | None  # the largest difference that passes; None: nothing could be measured
    measured: float | str  # the difference found here, or why there is none
    passed: bool


class Report(NamedTuple):
    """What `verify` found."""

    checks: list  # of Check
    parameters_sha256: dict  # "recipe dtype" -> of the bytes after ten steps, in order of NAMES
    left_out: list  # of str: checks that `quick` left out


def verify(quick=False, parts=None, device="cpu"):
    """Compare what this machine computes with the recordings.

    Parameters
    ----------
    quick : bool
        Leave out the whole runs of the program.
    parts : iterable of str, optional
        Only checks with one of these words in their name: 'frontend', 'ops', 'initial', 'network',
        'program', 'bits', the name of an Op, a recipe or a dtype.
    device : {'cpu', 'cuda'}
        What computes; on cuda our kernels' outputs must also be those of the C code, bit for bit.

    Returns
    -------
    Report
        A check that cannot be made, of a changed recording say, fails and gives the reason.

    Examples
    --------
    >>> checks = verify(parts=["initial"]).checks
    >>> len(checks), all(check.passed for check in checks)
    (5, True)
    """
    from tqdm import tqdm

    check_device(device)
    report = Report([], {}, [])
    ladder = [rung for rung in list_ladder(report.parameters_sha256, device)
              if parts is None or {*rung[0].split()} & {*parts}]
    if quick:
        report.left_out.extend(rung[0] for rung in ladder if rung[0].startswith("program"))
    # disable=None: on a terminal only; tqdm writes to stderr.
    bar = tqdm([rung for rung in ladder if rung[0] not in report.left_out], disable=None)
    for name, recorded_by, check, *arguments in bar:
        bar.set_description(name)
        try:
            for quantity, bound, measured in check(*arguments):
                row = f"{name}: {quantity}", recorded_by, bound, measured, bool(measured <= bound)
                report.checks.append(Check(*row))
        except Exception as error:  # the other checks are still worth making
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            report.checks.append(Check(name, recorded_by, None, reason, False))
    return report


def list_ladder(digests, device="cpu"):
    """Return (name, who recorded it, check, its arguments).

    A check yields (quantity, bound, measured); that of a network adds to the digests.
    """
    theano, every_run = "Theano 0.6.0rc3", [(name, floatX) for name in EPOCHS for floatX in DTYPES]
    program_runs = [run for run in every_run if run[1] == "float64" or run[0] == "last"]
    kernels = () if device in ("cpu", "jax") else DTYPES
    return [
        ("frontend", "librosa of 2013-07-01", check_frontend),
        *((f"bits {dtype}", "the C kernels", check_bits, dtype, device) for dtype in kernels),
        *((f"ops {op} {dtype}", theano, check_op, op, dtype, device)
          for op in OPS for dtype in DTYPES),
        *((f"ops one_pass {dtype}", theano, check_one_pass, dtype, device) for dtype in DTYPES),
        *((f"initial {name}", theano, check_initial, name) for name in EPOCHS),
        *((f"network {name} {floatX}", theano, check_network, name, floatX, digests, device)
          for name, floatX in every_run),
        *((f"program {name} {floatX}", "the 2013 program", check_program, name, floatX, device)
          for name, floatX in program_runs),
    ]


# --- differences: inf for another shape or dtype ---


def relative(ours, recorded):
    """Return the largest difference over the largest recorded entry."""
    return entrywise(ours, recorded, float(np.abs(recorded).max()))


def entrywise(ours, recorded, least=0.0):
    """Return the largest difference over its recorded entry, or over `least` if that is more."""
    if not alike(ours, recorded):
        return np.inf
    scale = np.maximum(np.abs(recorded.astype(np.float64)), max(least, 1e-100))
    return float(np.max(np.abs(np.subtract(ours, recorded, dtype=np.float64)) / scale))


def unequal(ours, recorded):
    """Return how many entries differ."""
    return int(np.sum(ours != recorded)) if alike(ours, recorded) else np.inf


def alike(ours, recorded):
    return (np.shape(ours), np.asarray(ours).dtype) == (recorded.shape, recorded.dtype)


def check_inputs(arrays, recorded, prefix=""):
    """See that inputs made here by rule have the bytes of those recorded."""
    for name, array in arrays.items():
        if inputs.sha256(array) != recorded[f"{prefix}{name}_sha256"].item().decode():
            raise ValueError(f"input {prefix}{name} as made here is not the recorded one")


# --- the front end ---


def check_frontend():
    import soundfile

    from .patches import extract_patches, mel_filters, mel_power

    recorded, clip = golden.load("frontend/clip.npz"), golden.path("frontend/clip.wav")
    y, _ = soundfile.read(clip, dtype="float64")
    # The same formulas in float64. Measured: 1.2e-15.
    yield "mel filter bank", 1e-14, relative(mel_filters(), recorded["mel_basis"])
    # Sums of positive terms, so every entry is close; 0 in digital silence. Measured: 2e-14.
    yield "mel power, each entry", 1e-13, entrywise(mel_power(y), recorded["mel"])
    # A last bit turns where the float64 value lies between two float32. Measured: none.
    patches, theirs = extract_patches(clip), recorded["patches"]
    yield "patches, share of other entries", 1e-4, unequal(patches, theirs) / theirs.size
    # One unit in the last place is 1.2e-7 at most.
    yield "patches, each entry", 1.2e-7, entrywise(patches, theirs)


# --- Ops, through the C code of compiled graphs ---

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
UNFUSED_CASES = ("ordinary", "network", "equal", "tied")
POOLSIZES = {case: poolsize for case, _, poolsize in inputs.MAX_POOL}


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
        if op == "rectify" and quantity in ("out", "gv") and device.startswith("jax"):
            bound = 1  # the denormal that matters: on the host XLA's threads flush it to 0
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
    import pytensor
    import pytensor.tensor as pt

    from .ops.conv2d import conv2d
    from .ops.fusion import compile_function
    from .ops.max_pool import max_pool_2d
    from .ops.rectify import rectify
    from .ops.softmax import softmax

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
        outputs = {"p_y_given_x": p, "argmax": pt.argmax(p, axis=1), "nll": nll, "cost": cost,
                   "gz": pytensor.grad(cost, z)}
    function = compile_function(
        variables, list(outputs.values()), fused=op != "softmax_unfused", device=device
    )
    return {name: np.asarray(value) for name, value in zip(outputs, function(*arrays.values()))}


def check_bits(dtype, device):
    """Every kernel of a device against its C code."""
    from .ops.fusion import compile_function

    differing = {}
    for variables, outputs, arrays in list_kernel_cases(dtype):
        ours, c = (
            compile_function(variables, outputs, fused=False, device=where)(*arrays)
            for where in (device, "cpu")
        )
        for output, a, b in zip(outputs, ours, c):
            kernel = output.owner.op.function
            count = unequal(np.asarray(a).view(f"u{b.itemsize}"), b.view(f"u{b.itemsize}"))
            differing[kernel] = differing.get(kernel, 0) + count
    for kernel, count in differing.items():
        yield kernel, 0, count


def list_kernel_cases(dtype):
    """Yield (inputs, outputs, arrays): graphs of single Ops, on the recordings' inputs."""
    import pytensor.tensor as pt

    from .ops.conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput
    from .ops.conv_pool import ConvPool, ConvPoolGradFilters
    from .ops.dot import FixedDot
    from .ops.max_pool import MaxPool, MaxPoolGrad
    from .ops.softmax import (
        NegativeLogLikelihood, NegativeLogLikelihoodGrad, Softmax, SoftmaxGrad,
    )

    def variables(arrays):
        return [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in arrays]

    patches = load_dataset("page")[0][0][:12].astype(dtype).reshape(-1, 1, 64, 40)
    rng = np.random.RandomState(0)
    filters = (rng.uniform(size=(10, 1, 33, 11)) - 0.5).astype(dtype)
    page = {"x": patches, "W": filters, "g": rng.uniform(size=(12, 10, 32, 30)).astype(dtype)}
    for case, arrays in [*inputs.conv2d_cases(dtype), ("page", page)]:
        x, W, g = given = variables(arrays.values())
        ds = (16, 10) if case == "page" else (1, 2)
        if arrays["g"].shape[3] < 2:
            ds = (1, 1)
        p, winners = ConvPool(ds)(x, W)
        yield given, [
            Conv2D()(x, W), Conv2DGradInput()(W, g), Conv2DGradFilters()(x, g), p, winners,
            ConvPoolGradFilters(ds)(x, winners, p, W),
        ], list(arrays.values())
    for case, arrays in inputs.max_pool_cases(dtype):
        z, g = given = variables(arrays.values())
        p = MaxPool(POOLSIZES[case])(z)
        outputs = [p, MaxPoolGrad(POOLSIZES[case])(z, p, g)]
        yield given, outputs, list(arrays.values())
    for _, arrays in inputs.softmax_cases(dtype):
        z, y = given = variables(arrays.values())
        nll, p = NegativeLogLikelihood()(z, y)
        gradients = SoftmaxGrad()(p, p), NegativeLogLikelihoodGrad()(p, y, nll)
        yield given, [Softmax()(z), nll, p, *gradients], list(arrays.values())
    A, B = (rng.uniform(size=shape).astype(dtype) - 0.5 for shape in ((80, 1024), (1024, 60)))
    given = variables((A, B))
    yield given, [FixedDot()(*given), FixedDot()(given[1].T, given[0].T)], [A, B]


# --- the network ---


@cache
def load_dataset(name):
    return golden.make_dataset(2010, 10) if name == "first" else golden.make_dataset()


def load_recorded_recipe(name):
    """Return a recipe as it was recorded: in stored order, one output per artist of the set."""
    return load_recipe(name, shuffle=False, n_out=10 if name == "first" else 20)


def check_initial(name):
    from .network import Network

    recorded, wrong = golden.load("network/initial.npz"), []
    for floatX in DTYPES:
        for key, value in Network(load_recorded_recipe(name), 1, floatX).values().items():
            if key in ("conv_W", "hidden_W"):
                digest = recorded[f"{floatX}/{name}/{key}_sha256"].item().decode()
                wrong.append(inputs.sha256(value) != digest)
            else:
                wrong.append(value.any())
    yield "parameters of other bytes", 0, int(sum(wrong))


def check_network(name, floatX, digests, device):
    recorded = golden.load(f"network/{name}-{floatX}.npz")
    x, y = load_dataset(name)[0]
    check_inputs({"train_x": x, "train_y": y}, recorded)
    costs, after = take_steps(name, floatX, {1, N_STEPS}, device)
    digest = hashlib.sha256(b"".join(after[N_STEPS][key].tobytes() for key in NAMES))
    digests[f"{name} {floatX}"] = digest.hexdigest()
    # float64: sums in another order. Measured: 5e-16 and 1.2e-14. float32: 1e-6 and 6e-6, but
    # `page` has hidden units so near 0 that rounding decides whether they are on, and with another
    # BLAS Theano leaves itself by 9e-5. A wrong tie moves parameters by percents.
    cost, parameters = (1e-12, 1e-12) if floatX == "float64" else (2e-5, 1e-4)
    if (name, floatX) == ("page", "float32"):
        parameters = 1e-3
    yield "cost", cost, entrywise(costs, recorded["cost"])
    for n, values in after.items():
        yield f"parameters after {n}", parameters, compare_parameters(values, n, recorded)


def take_steps(name, floatX, keep, device="cpu"):
    """Train on minibatches in stored order; return the costs, and parameters after some of them."""
    from .train import Functions

    functions = Functions(load_recorded_recipe(name), floatX, load_dataset(name), device=device)
    costs, after = [], {}
    for i in range(max(keep)):
        costs.append(np.asarray(functions.train_model(i % functions.n_batches[0])))
        if i + 1 in keep:
            after[i + 1] = functions.network.values()
    return np.array(costs), after


def compare_parameters(values, n, recorded):
    """Return the largest relative difference of all parameters after n updates."""
    found = []
    for name, value in values.items():
        rows, columns = (value.sum(axis, np.float64).astype(value.dtype) for axis in (-1, 0))
        # Of large parameters only sums were kept.
        for kept, ours in (("", value), ("_row_sums", rows), ("_column_sums", columns)):
            if f"{name}{kept}_after{n}" in recorded:
                found.append(relative(ours, recorded[f"{name}{kept}_after{n}"]))
    return np.max(found).item()


def check_program(name, floatX, device):
    from .train import train

    log = golden.log(f"program/{name}-{floatX}.log")
    recorded = golden.load(f"program/{name}-{floatX}.npz")
    result = train(
        load_dataset(name), load_recorded_recipe(name), floatX, EPOCHS[name], device=device
    )
    kept = {n for n in (1, 50) if f"conv_W_after{n}" in recorded}
    after = take_steps(name, floatX, kept, device)[1] | {len(recorded["cost"]): result.model.last}
    # float64: roundings of 1e-16 grow over 400 iterations. Measured: 1.2e-14 and 2.1e-14. float32:
    # 4e-6 and 6.4e-4; the program's own float32 leaves its float64 by 4e-6 and 2e-4.
    cost, parameters = {"float32": (2e-5, 5e-3), "float64": (1e-12, 1e-11)}[floatX]
    yield "cost", cost, entrywise(result.costs, recorded["cost"])
    for n, values in after.items():
        yield f"parameters after {n}", parameters, compare_parameters(values, n, recorded)
    ours = "".join(f"{line}\n" for line in result.log).splitlines(keepends=True)
    lines = zip_longest(ours, log.splitlines(keepends=True))
    yield "printed lines that differ", 0, sum(a != b for a, b in lines)


# --- the report ---


def format_table(checks):
    """Return the checks as a table of text.

    Parameters
    ----------
    checks : list of Check

    Returns
    -------
    str

    Examples
    --------
    >>> print(format_table([Check("mel power", "librosa", 1e-13, 2e-14, True)]))
    quantity   recorded by  bound    measured here
    mel power  librosa      1.0e-13  2.0e-14        pass
    """
    rows = [("quantity", "recorded by", "bound", "measured here", "")]
    for check in checks:
        reason = f" {check.measured}" if isinstance(check.measured, str) else ""
        numbers = ("-", "-") if reason else map(format_number, (check.bound, check.measured))
        rows.append((*check[:2], *numbers, ("pass" if check.passed else "FAIL") + reason))
    widths = [max(map(len, column)) for column in list(zip(*rows))[:4]]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[4]]).rstrip() for row in rows)


def format_number(value):
    return f"{value:.1e}" if isinstance(value, float) and value else f"{value:g}"


def main(quick=False, as_json=False, device="cpu"):
    """Verify, print what was found, return the exit status: 1 if a check failed.

    Parameters
    ----------
    quick, device
        See `verify`.
    as_json : bool
        Print one JSON document instead of text.
    """
    report, machine = verify(quick, device=device), describe_machine(device)
    n_passed = sum(check.passed for check in report.checks)
    version = machine["versions"]["deep_artists"] or ""
    revision = f"git {machine['revision']}" if machine["revision"] else ""
    cite = ("Deep Unlearning (McFee and Montecchio, HAMR 2013), rebuilt by deep_artists "
            f"{' '.join(filter(None, (version, revision)))}: {n_passed} of {len(report.checks)} "
            "checks passed.")
    if as_json:
        checks = [check._asdict() for check in report.checks]
        for check in checks:
            if isinstance(check["measured"], float) and not np.isfinite(check["measured"]):
                check["measured"] = str(check["measured"])  # JSON has no inf and no nan
        print(json.dumps({**report._asdict(), "checks": checks, "machine": machine, "cite": cite,
                          "passed": n_passed == len(checks)}, indent=1, allow_nan=False))
    else:
        print(format_table(report.checks))
        print("\nMeasured is the largest difference of an array, relative to its largest recorded\n"
              "entry (cost, nll, 'each': to that entry); where the bound is 0, what differs is\n"
              "counted. g<name> is the gradient for that input.")
        if report.left_out:
            print(f"Left out by --quick: {', '.join(report.left_out)}.")
        print(f"\nThis machine:\n{format_machine(machine)}")
        print("\nSHA-256 of the parameters after ten steps; where it is the same, so is every bit:")
        for run, digest in report.parameters_sha256.items():
            print(f"{run:<16}{digest}")
        print(f"\nTo cite: {cite}")
    return int(n_passed < len(report.checks))
