"""Sigtia and Dixon's network trained Hessian-free: every recorded run of their program."""

import numpy as np
import pytensor.tensor as pt

from ..nn.hessian_free import Functions, gauss_newton_product
from ..ops.compile import compile_function
from ..reference import golden, inputs_genre
from ..systems.genre import Network
from ..systems.genre_train import train_hessian_free
from .check_genre import compare_parameters, make_batches
from .compare import Rung, relative, unequal

# run -> options of `hessian_free`. Of the later ones CG loses digits at their small lambda, in the
# original against itself too; there what goes into CG is compared, see `check_curvature`.
DAMPED = {
    "hf-damped": {"lambda_": 20.0},
    "hf-full-damped": {"lambda_": 20.0},
    "hf-precond": {"lambda_": 1.0, "preconditioned": True},
}
DRIFTING = {
    "hf-linear": {},
    "hf-global": {"global_backtracking": True, "max_cg_iterations": 60},
    "hf-full": {},
    "hf-output": {"section": "output"},
}


def list_rungs():
    """Return the rungs of Hessian-free training."""
    checks = {check_hessian_free: DAMPED, check_curvature: DRIFTING}
    return [
        Rung(f"genre {run} float64", "Sigtia and Dixon's program", check, (run,), slow=True)
        for check, runs in checks.items()
        for run in runs
    ]


def make_run(run, recorded):
    """Return the network and the three sets of a Hessian-free run."""
    size = "full" if run.startswith("hf-full") else "small"
    n_in, n_hidden, *_ = inputs_genre.SETS[size]
    network = Network(n_in, n_hidden, floatX="float64")
    number = 10 if run == "hf-global" else 5
    batch_size = {"small": 69, "full": 141}[size]
    return network, make_batches(size, batch_size, recorded, (None, number))


def check_hessian_free(run):
    recorded = golden.load(f"genre/{run}-float64.npz")
    network, (train, cg, valid) = make_run(run, recorded)
    after, items = [network.values()], [cg.list_starts()]

    def after_update(update):
        after.append(network.values())
        items.append(cg.list_starts())

    n = len(recorded["lambda_"])
    history = train_hessian_free(network, train, cg, valid, n, after_update, **DAMPED[run])
    updates = history.updates

    def gather(name):
        return np.array([getattr(update, name) for update in updates])

    # float64, sums in another order. Measured: 1.6e-14 at most.
    for ours, theirs in (
        ("costs", "cost"),
        ("lambda_", "lambda_"),
        ("before_cost", "before_cost"),
        ("after_cost", "after_cost"),
        ("predicted", "delta_cost"),
        ("rho", "rho"),
    ):
        yield theirs.rstrip("_"), 1e-12, relative(gather(ours), recorded[theirs])
    yield "cg_iterations", 0, unequal(gather("cg_iterations"), recorded["cg_iterations"])
    # Near the minimum of q two candidates may cost the same to the last bit or two.
    tied = np.abs(gather("after_cost") / recorded["after_cost"] - 1) < 1e-14
    other = gather("backtracked_to") != recorded["backtracked_to"]
    yield "backtracked_to, but for ties", 0, int(np.sum(other & ~tied))
    kept = [items[u] for u in range(n)]
    theirs = [recorded[f"cg_items_{u}"] for u in range(1, n + 1)]
    yield "minibatches of CG", 0, unequal(np.array(kept, np.int32), np.array(theirs))
    found = []
    for u, update in enumerate(updates, 1):
        kept = recorded[f"gradient_{u}"]
        found.append(relative(update.gradient[-len(kept) :], kept))
        found.append(relative(np.array(update.cg_costs), recorded[f"cg_costs_{u}"]))
        for ours, name in ((update.cg_start, "cg_start"), (update.step, "step")):
            if f"{name}_{u}" in recorded and recorded[f"{name}_{u}"].any():
                kept = recorded[f"{name}_{u}"]
                found.append(relative(ours[-len(kept) :], kept))
    yield "gradients, candidates, steps", 1e-12, max(found)
    yield (
        "parameters",
        1e-12,
        max(compare_parameters(values, u, recorded) for u, values in enumerate(after)),
    )


def check_curvature(run):
    """G v, the first gradient, and every update by itself, from where the recorded one started."""
    recorded = golden.load(f"genre/{run}-float64.npz")
    network, (train, cg, valid) = make_run(run, recorded)
    options = dict(DRIFTING[run])
    options |= choose_section(network, options.pop("section", "lin_output"))
    params = list(network.params.values())
    vectors = [p.type() for p in params]
    graph = gauss_newton_product(options["loss"], options["section"], params, vectors)
    product = compile_function([network.x, network.y, *vectors], graph)
    functions = Functions(None, None, product, params)
    v = np.random.RandomState(3).uniform(size=functions.ends[-1]) - 0.5
    ours = functions.product(list(cg), v) + 0.1 * v
    # Products of one pass, as the network's. Measured: 1e-15.
    yield "(G + 0.1) v", 1e-13, relative(ours[-len(recorded["Gv"]) :], recorded["Gv"])
    yield from check_single_updates(run, recorded, network, (train, cg, valid), options)


def check_single_updates(run, recorded, network, sets, options):
    """Every update by itself, from where the recorded one started."""
    train, cg, valid = sets
    found = []
    for u in range(1, len(recorded["lambda_"]) + 1):
        if f"cg_start_{u}" in recorded:
            set_recorded(network, recorded, u - 1)
            cg.starts, cg.position = [int(i) for i in recorded[f"cg_items_{u}"]], 0
            options["cg_start"] = recorded[f"cg_start_{u}"]
        elif u > 1:
            break
        options["lambda_"] = float(recorded["lambda_"][u - 1])
        train_hessian_free(network, train, cg, valid, 1, found.append, **options)
    kept = recorded["gradient_1"]
    yield "first gradient", 1e-13, relative(found[0].gradient[-len(kept) :], kept)
    before = np.array([update.before_cost for update in found])
    yield "costs before", 1e-13, relative(before, recorded["before_cost"][: len(found)])
    # CG drifts by rounding, in its first candidates little. Measured: 1e-15, hf-output 3e-12.
    costs = [np.array(update.cg_costs[:5]) for update in found]
    theirs = [recorded[f"cg_costs_{u}"][:5] for u in range(1, len(found) + 1)]
    yield "first candidates", 1e-8, max(map(relative, costs, theirs))
    counts = np.array([update.cg_iterations for update in found])
    most = np.abs(counts - recorded["cg_iterations"][: len(found)]).max()
    yield "CG iterations", int(run == "hf-output"), int(most)
    if "step_1" in recorded:
        # Measured: 9.8e-11 (hf-global), 3.5e-8 (hf-linear), 8.6e-5 (hf-output); another section or
        # damping gives 1e-1.
        bound = {"hf-global": 1e-8, "hf-linear": 1e-5, "hf-output": 1e-3}[run]
        steps = [relative(update.step, recorded[f"step_{u}"]) for u, update in enumerate(found, 1)]
        yield "steps", bound, max(steps)


def choose_section(network, name):
    """Return the section, and the cost as a graph of it."""
    if name == "lin_output":
        return {"section": network.lin_output, "loss": network.test_cost}
    z, y = network.output, network.y
    loss = -pt.mean(pt.sum(y * pt.log(z) + (1 - y) * pt.log(1 - z), axis=1))
    return {"section": z, "loss": loss}


def set_recorded(network, recorded, u):
    """Set the parameters to those after u recorded updates."""
    network.set_values(
        {name: recorded[f"{name[0]}_{name[1:]}_after{u}"] for name in network.params}
    )
