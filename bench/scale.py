"""How the training step grows: with artists, filters, batch, and sets larger than memory.

    python bench/scale.py --rounds 5 --set-mb 2000 --memory-mb 300

One thing is changed at a time, around recipe `page` with 20 artists and minibatches of 80; the
configurations take turns. The set is written to `--folder`; "cold" means that the system was told
to forget the file before the epoch, so that it comes from the disk. Prints tables, the arithmetic
of a catalogue among them, and writes bench/results/scale.json and, with Matplotlib, scale.png.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RESULTS = Path(__file__).resolve().parent / "results"
GROWN = {
    "n_out": (10, 100, 1000, 3000, 10_000),
    "nkerns": (5, 10, 20, 40, 80),
    "batch_size": (10, 20, 40, 80, 160, 320, 640),
}
PATCHES, ROW_BYTES = 129, 10_240  # of a 30 s track; of a patch


def load(**overrides):
    from deep_artists.artists.recipe import load_recipe

    return load_recipe("page", **{"n_out": 20, "shuffle": False, **overrides})


def compile_step(**overrides):
    """Return the training step and that of validation, without arguments, on one minibatch."""

    from deep_artists.artists.train import compile_steps

    recipe, rng = load(**overrides), np.random.RandomState(0)
    n = recipe.batch_size
    split = rng.uniform(size=(n, 2560)).astype("float32"), rng.randint(recipe.n_out, size=n)
    steps = compile_steps(recipe, "float32", [split] * 3)
    steps.train_model(0), steps.validate_model(0)
    return lambda: steps.train_model(0), lambda: steps.validate_model(0)


def time_call(function, least_s):
    """Return the seconds of one call, the mean over least_s."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < least_s:
        function()
        calls += 1
    return (time.perf_counter() - start) / calls


def measure_growth(rounds):
    """Return rows of (what, value, seconds per training step, per validation minibatch)."""
    rows = []
    for what, values in GROWN.items():
        steps = [step for value in values for step in compile_step(**{what: value})]
        seconds = [[time_call(step, 0.3) for step in steps] for _ in range(rounds)]
        medians = np.median(seconds, axis=0).reshape(-1, 2)
        rows += [(what, value, *map(float, s)) for value, s in zip(values, medians)]
    return rows


def write_set(folder, megabytes):
    """Write patches, and map them."""
    rng, path = np.random.RandomState(0), Path(folder, "scale_x.npy")
    rows, times = rng.uniform(size=(1000, 2560)).astype("float32"), max(2, int(megabytes / 10.24))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (1000 * times, 2560)}
        )
        file.writelines(rows for _ in range(times))
        os.fsync(file.fileno())
    return path


def forget(path):
    """Take a file out of the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_sets(path, memory_mb, rounds):
    """Return rows of (how, order, cache, seconds per step), and megabytes per second of reading."""
    from deep_artists.artists.train import compile_steps
    from deep_artists.data.mapped import drop_pages
    from deep_artists.nn.stream import open_streams

    x = np.asarray(np.load(path, mmap_mode="r"))
    y, n = np.arange(len(x)) % 20, int(0.9 * len(x))
    splits = [(x[:n], y[:n]), (x[n:], y[n:]), (x[n:], y[n:])]
    runs, seconds, reading = {}, {}, {}
    for order in ("stored", "shuffled"):
        recipe = load(shuffle=order == "shuffled")
        for how, limit in (("whole set", None), (f"{memory_mb:.0f} MB", memory_mb)):
            streams = open_streams(
                splits, recipe.batch_size, "float32", limit, recipe.seed if recipe.shuffle else None
            )
            runs[how, order] = compile_steps(recipe, "float32", streams or splits), streams
    for turn in range(rounds + 1):
        for (how, order), (steps, streams) in runs.items():
            for cache in ("warm", "cold"):
                if cache == "cold":
                    drop_pages(x)
                    forget(path)
                steps.start_epoch(2 * turn + (cache == "cold"))
                # What was read ahead before the cache was emptied would come for nothing.
                skip = 0 if not streams else streams[0].chunks * streams[0].chunk // 80
                some = min(steps.n_batches[0], skip + 500)
                for i in range(skip):
                    steps.train_model(i)
                start = time.perf_counter()
                for i in range(skip, some):
                    steps.train_model(i)
                if turn:  # the first one warms up
                    seconds.setdefault((how, order, cache), []).append(
                        (time.perf_counter() - start) / (some - skip)
                    )
    for order in ("stored", "shuffled"):
        stream = runs[f"{memory_mb:.0f} MB", order][1][0]
        if stream.coming is not None:
            stream.coming[1].result()  # one reader at a time
        for cache in ("cold", "warm"):
            drop_pages(x)
            if cache == "cold":
                forget(path)
            start = time.perf_counter()
            n_rows = sum(len(stream.read(99, block)[0]) for block in range(stream.n_blocks))
            reading[f"in blocks, {order}, {cache}"] = (
                n_rows * ROW_BYTES / (time.perf_counter() - start)
            )
    drop_pages(x)
    forget(path)
    start = time.perf_counter()
    for i in np.random.RandomState(0).permutation(len(x))[:3000]:
        x[i].sum()
    reading["single patches, shuffled, cold"] = 3000 * ROW_BYTES / (time.perf_counter() - start)
    rows = [(*key, float(np.median(s))) for key, s in seconds.items()]
    return rows, {name: speed / 1e6 for name, speed in reading.items()}


def count_catalogue(growth, reading, extraction_s):
    """Return the lines of the table of a catalogue: what, and its value for each size."""
    patches = {"train": 0.64 * PATCHES, "valid": 0.16 * PATCHES}  # of a track
    cost = {
        value: (step / 80, check / 80) for what, value, step, check in growth if what == "n_out"
    }

    def scale(form, value):
        return [form.format(n * value) for n in (10**6, 10**7)]

    lines = [
        ("tracks", scale("{:,.0f}", 1)),
        ("patches to train on, millions", scale("{:,.0f}", patches["train"] / 1e6)),
        ("patches on disk, TB", scale("{:,.1f}", PATCHES * ROW_BYTES / 1e12)),
        ("extraction, core hours", scale("{:,.0f}", extraction_s / 3600)),
    ]
    for k, (step, check) in cost.items():
        if k >= 1000:
            lines += [
                (f"an epoch, {k:,} artists, h", scale("{:,.1f}", patches["train"] * step / 3600)),
                ("a validation pass, h", scale("{:,.2f}", patches["valid"] * check / 3600)),
            ]
    for name, speed in reading.items():
        if "shuffled, cold" in name:
            hours = patches["train"] * ROW_BYTES / (speed * 1e6) / 3600
            lines.append((f"reading an epoch {name}, h", scale("{:,.1f}", hours)))
    return lines


def format_growth(results):
    """Return the table of steps by artists, filters and batch."""
    lines = ["| what | value | ms per step | us per patch | validation, us per patch |"]
    lines.append("|---|---|---|---|---|")
    for what, value, step, check in results["growth"]:
        batch_size = value if what == "batch_size" else 80
        lines.append(
            f"| {what} | {value} | {1e3 * step:.2f} | {1e6 * step / batch_size:.1f} "
            f"| {1e6 * check / batch_size:.1f} |"
        )
    return "\n".join(lines)


def format_sets(results):
    """Return the tables of steps and of reading, by where the set is."""
    lines = ["| in memory | order | page cache | ms per step |", "|---|---|---|---|"]
    for how, order, cache, seconds in results["sets"]:
        lines.append(f"| {how} | {order} | {cache} | {1e3 * seconds:.2f} |")
    lines += ["", "| reading | MB/s |", "|---|---|"]
    lines += [f"| {name} | {speed:.0f} |" for name, speed in results["reading_mb_s"].items()]
    return "\n".join(lines)


def format_catalogue(results):
    """Return the arithmetic of a catalogue."""
    lines = ["| of a catalogue | | |", "|---|---|---|"]
    extraction_s = results["arguments"]["extraction_s"]
    for name, values in count_catalogue(results["growth"], results["reading_mb_s"], extraction_s):
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def plot(results, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6), dpi=150, layout="constrained")
    names = {"n_out": "artists", "nkerns": "filters", "batch_size": "minibatch"}
    *axes, last = figure.subplots(1, 4)
    for a, (what, name) in zip(axes, names.items()):
        rows = [(value, 1e3 * s) for w, value, s, _ in results["growth"] if w == what]
        a.loglog(*zip(*rows), "o-", color="#0072b2", markersize=3)
        a.set(xlabel=name, ylabel="ms per step", yticks=[1, 3, 10, 30, 100, 300])
        a.set_xticks([value for value, _ in rows], [f"{value}" for value, _ in rows], fontsize=6)
        a.set_yticks(a.get_yticks(), [f"{tick:g}" for tick in a.get_yticks()])
        a.set_ylim(0.8, 400)
        a.minorticks_off()
    labels = [" ".join(row[:3]) for row in results["sets"]]
    last.barh(labels, [1e3 * row[3] for row in results["sets"]], color="#0072b2")
    last.tick_params(labelsize=6)
    last.set_xlabel("ms per step")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set-mb", type=float, default=2000)
    parser.add_argument("--memory-mb", type=float, default=300)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on the disk to measure")
    parser.add_argument(
        "--extraction-s",
        type=float,
        default=0.067,
        help="of one core and track, from test_pipeline.py (default: 0.067)",
    )
    arguments = parser.parse_args()

    from machine import describe_setup

    growth = measure_growth(arguments.rounds)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = write_set(folder, arguments.set_mb)
        sets, reading = measure_sets(path, arguments.memory_mb, arguments.rounds)
    results = {
        "growth": growth,
        "sets": sets,
        "reading_mb_s": reading,
        "arguments": vars(arguments),
        "machine": describe_setup(),
    }
    for format_table in (format_growth, format_sets, format_catalogue):
        print(f"\n{format_table(results)}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scale.json").write_text(json.dumps(results, indent=1))
    try:
        plot(results, RESULTS / "scale.png")
    except ImportError:
        print("\nno Matplotlib, no picture", file=sys.stderr)


if __name__ == "__main__":
    main()
