"""What share of the processor's peak the convolution and the whole training step reach.

    python bench/roofline.py --recipe page --threads 1 2

The peak loop (peak.py), the layer of convolution, pooling, bias and rectifier, and the step take
turns; a share compares what was measured in one turn. Counted are useful operations: 2 * batch *
filters * rows * columns * taps for the layer; for the step also the dense layers, forward and
backward, and the gradient of the filters from one winner per window. With one thread time is that
of the thread, which other programs do not count in; with more it is the wall's.

`cores got` is processor time over wall time: where it is less than the threads, the machine was
busy with something else. `step / its Ops` is the wall time of a step that PyTensor profiles, over
the time inside its Ops.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peak import choose_isa, compile_peak, read_cpu

PEAK_ITERATIONS = 3_000_000  # about 10 ms
REPEAT_S = 0.02


def count_operations(recipe):
    """Return the useful operations of the convolution, forward, and of the whole step."""
    (rows, columns), (h, w) = recipe.pooled_shape, recipe.poolsize
    taps, n = np.prod(recipe.filter_shape), 2 * recipe.batch_size
    convolution = n * recipe.nkerns * rows * h * columns * w * taps
    dense = n * recipe.n_hidden * (recipe.n_in + recipe.n_out)
    return int(convolution), int(convolution + 3 * dense + n * recipe.n_in * taps)


def compile_layer_and_step(recipe, floatX):
    """Return the two functions, without arguments, and the step once more with a profile."""
    import pytensor
    from pytensor.compile import ProfileStats

    from deep_artists.artists.network import Network
    from deep_artists.ops.compile import compile_function

    rng = np.random.RandomState(0)
    x = rng.uniform(size=(recipe.batch_size, 2560)).astype(floatX)
    y = rng.randint(recipe.n_out, size=recipe.batch_size).astype("int32")
    network = Network(recipe, recipe.batch_size, floatX)
    givens = {network.x: pytensor.shared(x, shape=x.shape)}
    layer = compile_function([], network.layer0.output, givens=givens)
    givens[network.y] = pytensor.shared(y, shape=y.shape)
    updates = network.updates()
    step, profiled = (
        compile_function([], network.cost, updates=updates, givens=givens, profile=profile)
        for profile in (False, ProfileStats(atexit_print=False))
    )
    return layer, step, profiled


def measure(function, threads, repeat):
    """Return the seconds of one call."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    function()  # wakes threads, fills caches
    start = clock()
    for _ in range(repeat):
        function()
    return (clock() - start) / repeat


def sum_ops(function, kernel_type):
    """Return the seconds in every Op so far: kernels by name, the others together."""
    total = Counter()
    for (_, node), seconds in function.profile.apply_time.items():
        total[str(node.op) if isinstance(node.op, kernel_type) else "other Ops"] += seconds
    return total


def take_turns(functions, recipe, floatX, threads, rounds):
    """Return a row of figures per round, and the mean seconds of every Op in a step."""
    from deep_artists.ops.kernel import KernelOp

    layer, step, profiled = functions
    run_peak = compile_peak(floatX)
    peak_operations = run_peak(PEAK_ITERATIONS, threads)
    layer_operations, step_operations = count_operations(recipe)
    repeat = {f: int(max(1, REPEAT_S / measure(f, threads, 3))) for f in functions}
    rows, op_s = [], Counter()
    for _ in range(rounds):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        peak = peak_operations / measure(lambda: run_peak(PEAK_ITERATIONS, threads), threads, 1)
        layer_s = measure(layer, threads, repeat[layer])
        step_s = measure(step, threads, repeat[step])
        cores = (time.process_time() - cpu_start) / (time.perf_counter() - wall_start)
        before, start = sum_ops(profiled, KernelOp), time.perf_counter()
        for _ in range(repeat[profiled]):
            profiled()
        profiled_s = (time.perf_counter() - start) / repeat[profiled]
        ops = {
            name: (seconds - before[name]) / repeat[profiled]
            for name, seconds in sum_ops(profiled, KernelOp).items()
        }
        op_s.update(ops)
        rows.append(
            (
                cores,
                peak / 1e9,
                layer_s * 1e3,
                layer_operations / layer_s / peak * 100,
                step_s * 1e3,
                step_operations / step_s / peak * 100,
                profiled_s / sum(ops.values()),
            )
        )
    return rows, {name: seconds / rounds for name, seconds in op_s.items()}


def describe(values, form):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:{form}} ({low:{form}} - {high:{form}})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="page")
    parser.add_argument("--batch", type=int, help="default: the recipe's own")
    parser.add_argument("--floatX", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    from threadpoolctl import threadpool_limits

    from deep_artists.artists.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, n_out=20)
    if arguments.batch:
        recipe = recipe.replace(batch_size=arguments.batch)
    functions = compile_layer_and_step(recipe, arguments.floatX)
    compile_peak(arguments.floatX)
    title = (
        f"recipe {recipe.name}, batch {recipe.batch_size}, {arguments.floatX}, {choose_isa()}, "
        f"{read_cpu()[0]}, medians of {arguments.rounds} rounds (quartiles)"
    )
    found = []
    for threads in arguments.threads:
        with threadpool_limits(threads, user_api="openmp"):
            rows, op_s = take_turns(functions, recipe, arguments.floatX, threads, arguments.rounds)
        columns = [
            describe(values, form)
            for values, form in zip(zip(*rows), (".1f", ".0f", ".2f", ".0f", ".2f", ".0f", ".2f"))
        ]
        found.append([str(threads), *columns])
    print(
        f"{title}\n\n{format_table(found)}\n\nms of the step in each Op, {threads} threads, mean:\n"
    )
    for name, seconds in sorted(op_s.items(), key=lambda item: -item[1]):
        print(f"    {seconds * 1e3:7.3f}  {name}")
    if arguments.json:
        from machine import describe_setup

        kept = {"title": title, "rows": found, "op_s": op_s, "machine": describe_setup()}
        arguments.json.write_text(json.dumps(kept, indent=1))


def format_table(rows):
    """Return the table in Markdown."""
    names = "threads,cores got,peak GFLOP/s,layer ms,% of peak,step ms,% of peak,step / its Ops"
    lines = [names.split(","), ["---"] * 8, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
