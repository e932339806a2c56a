"""The 2013 network: initial values, ten steps of every recipe, the program's whole runs."""

import hashlib
import json
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from ..artists.network import Network
from ..artists.recipe import NAMES, load_recipe
from ..artists.train import compile_steps, train
from ..reference import golden, inputs
from .compare import DTYPES, Rung, check_inputs, entrywise, relative

EPOCHS = {"first": 1, "second": 2, "third": 1, "last": 50, "page": 14}  # of the recorded runs
N_STEPS = 10
BITS = Path(golden.__file__).with_name("bits.json")


def list_rungs(device, digests):
    """Return the rungs of the 2013 network.

    digests : dict, gets "recipe dtype" -> SHA-256 of the parameters after ten steps
    """
    theano, all_runs = "Theano 0.6.0rc3", [(name, floatX) for name in EPOCHS for floatX in DTYPES]
    program_runs = [
        (name, floatX) for name, floatX in all_runs if floatX == "float64" or name == "last"
    ]
    return [
        *(Rung(f"initial {name}", theano, check_initial, (name,)) for name in EPOCHS),
        *(
            Rung(f"network {name} {floatX}", theano, check_network, (name, floatX, digests, device))
            for name, floatX in all_runs
        ),
        *(
            Rung(
                f"program {name} {floatX}",
                "the 2013 program",
                check_program,
                (name, floatX, device),
                slow=True,
            )
            for name, floatX in program_runs
        ),
    ]


@cache
def load_dataset(name):
    return golden.make_dataset(2010, 10) if name == "first" else golden.make_dataset()


def load_recorded_recipe(name):
    """Return a recipe as it was recorded: in stored order, one output per artist of the set."""
    return load_recipe(name, shuffle=False, n_out=10 if name == "first" else 20)


def check_initial(name):
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
    # float64: sums in another order. Measured: 5e-16 and 1.4e-15. float32: 1e-6 and 6e-6, but
    # `page` has hidden units so near 0 that rounding decides whether they are on, and with another
    # BLAS Theano leaves itself by 9e-5. A wrong tie moves parameters by percents.
    cost, parameters = (1e-12, 1e-13) if floatX == "float64" else (2e-5, 1e-4)
    if (name, floatX) == ("page", "float32"):
        parameters = 1e-3
    yield "cost", cost, entrywise(costs, recorded["cost"])
    for n, values in after.items():
        yield f"parameters after {n}", parameters, compare_parameters(values, n, recorded)


def compare_bits(digests):
    """Return for every run of `digests` whether its parameters have the bits on record.

    The record is of this version of deep_artists, on the cpu: ``reference/bits.json``.
    """
    on_record = json.loads(BITS.read_text())["parameters_sha256"]
    return {run: digest == on_record[run] for run, digest in digests.items()}


def take_steps(name, floatX, keep, device="cpu"):
    """Train on minibatches in stored order; return the costs, and parameters after some of them."""
    steps = compile_steps(load_recorded_recipe(name), floatX, load_dataset(name), device)
    costs, after = [], {}
    for i in range(max(keep)):
        costs.append(np.asarray(steps.train_model(i % steps.n_batches[0])))
        if i + 1 in keep:
            after[i + 1] = steps.network.values()
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
    log = golden.log(f"program/{name}-{floatX}.log")
    recorded = golden.load(f"program/{name}-{floatX}.npz")
    result = train(
        load_dataset(name), load_recorded_recipe(name), floatX, EPOCHS[name], device=device
    )
    kept = {n for n in (1, 50) if f"conv_W_after{n}" in recorded}
    after = take_steps(name, floatX, kept, device)[1] | {len(recorded["cost"]): result.model.last}
    # float64: roundings of 1e-16 grow over 400 iterations. Measured: 8e-15 and 1.4e-14. float32:
    # 4e-6 and 2.2e-4; the program's own float32 leaves its float64 by 4e-6 and 2e-4.
    cost, parameters = {"float32": (2e-5, 5e-3), "float64": (1e-12, 1e-11)}[floatX]
    yield "cost", cost, entrywise(result.costs, recorded["cost"])
    for n, values in after.items():
        yield f"parameters after {n}", parameters, compare_parameters(values, n, recorded)
    ours = "".join(f"{line}\n" for line in result.log).splitlines(keepends=True)
    lines = zip_longest(ours, log.splitlines(keepends=True))
    yield "printed lines that differ", 0, sum(a != b for a, b in lines)
