"""The training step under PyTensor's modes: our C, without the rewrites, Numba, JAX.

    python bench/modes.py --recipe page --rounds 10

Every mode compiles the same graph, (x, y) -> cost with the updates of all parameters, and is given
the same minibatches, so a release of PyTensor can be compared with another, and a mode with the
others. The modes take turns; a round is as many steps as fit into a second, at least one. Printed
are medians over the rounds of the milliseconds a step, and how much the cost of the tenth step
differs from the first mode's. Numba runs our Ops by their NumPy definitions.
"""

import argparse
import json
import os
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import describe_setup
from peak import read_cpu

from deep_artists.artists.network import Network
from deep_artists.artists.recipe import list_recipes, load_recipe
from deep_artists.ops.compile import compile_function, cpu_mode

N_OUT, N_BATCHES, N_COSTS, ROUND_S = 20, 4, 10, 1.0
MODES = {  # name: what is given to compile_function as mode
    "ours": lambda: None,
    "ours-plain": lambda: cpu_mode(fused=False),
    "CVM": lambda: "CVM",
    "NUMBA": lambda: "NUMBA",
    "JAX": lambda: "JAX",
}


def make_minibatches(recipe, floatX):
    rng = np.random.RandomState(0)
    for _ in range(N_BATCHES):
        y = rng.randint(N_OUT, size=recipe.batch_size).astype("int32")
        x = rng.uniform(size=(recipe.batch_size, 64, 40)) * rng.uniform(size=(N_OUT, 64, 1))[y]
        yield x.reshape(len(y), -1).astype(floatX), y


def compile_step(recipe, floatX, mode):
    """Return (step of a minibatch, seconds of compilation)."""
    network = Network(recipe, recipe.batch_size, floatX)
    start = time.perf_counter()
    step = compile_function(
        [network.x, network.y], network.cost, updates=network.updates(), mode=mode
    )
    return step, time.perf_counter() - start


def time_steps(step, minibatches, n):
    """Return the seconds a step, of n."""
    start = time.perf_counter()
    for i in range(n):
        step(*minibatches[i % N_BATCHES])
    return (time.perf_counter() - start) / n


def measure(names, recipe, floatX, rounds):
    """Return a list of dicts: mode, compile_s, ms_per_step (median), rounds_ms, cost_differs_by."""
    minibatches, results, steps = list(make_minibatches(recipe, floatX)), [], []
    for name in names:
        print(f"compiling {name}", file=sys.stderr)
        step, compile_s = compile_step(recipe, floatX, MODES[name]())
        first = time.perf_counter()
        costs = [float(step(*minibatches[i % N_BATCHES])) for i in range(N_COSTS)]
        n = max(1, int(ROUND_S * N_COSTS / (time.perf_counter() - first)))
        steps.append((step, n, []))
        results.append({"mode": name, "compile_s": compile_s, "cost": costs[-1]})
    for _ in range(rounds):
        for step, n, seconds in steps:
            seconds.append(1e3 * time_steps(step, minibatches, n))
    for result, (_, _, ms) in zip(results, steps):
        result |= {"ms_per_step": float(np.median(ms)), "rounds_ms": ms}
        result["cost_differs_by"] = abs(result["cost"] / results[0]["cost"] - 1)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="page", choices=list_recipes())
    parser.add_argument("--floatX", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--out", default=str(HERE / "results" / "modes.json"))
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe, n_out=N_OUT)
    if "JAX" in arguments.modes and not find_spec("jax"):
        print("left out: JAX, which needs pip install jax", file=sys.stderr)
        arguments.modes.remove("JAX")
    results = measure(arguments.modes, recipe, arguments.floatX, arguments.rounds)
    title = f"recipe {recipe.name}, {arguments.floatX}, PyTensor {version('pytensor')}, "
    title += f"{read_cpu()[0]}, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    lines = [
        title,
        "",
        "| mode | compile (s) | ms per step | cost differs by |",
        "|---|---|---|---|",
    ]
    for r in results:
        lines.append(
            f"| {r['mode']} | {r['compile_s']:.1f} | {r['ms_per_step']:.2f} "
            f"| {r['cost_differs_by']:.0e} |"
        )
    print("\n".join(lines))
    Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.out).write_text(
        json.dumps({"title": title, "machine": describe_setup(), "results": results}) + "\n"
    )


if __name__ == "__main__":
    main()
