"""What starting takes: processor time of whole commands, with an empty cache and a warm one.

    python bench/start.py [--only COMMAND ...] [--rounds N] [--json FILE]

Each command runs in a process of its own, on a small corpus made for the purpose; "first" means
that the compile cache was emptied before. Prints a table of medians: seconds of processor time,
child processes included, and of the clock. Processor time on a busy machine is up to twice that on
an idle one.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["--epochs", "1", "--set", "batch_size=10", "--set", "n_hidden=8"]


def run(folder, *arguments):
    """Run the command; return its seconds of processor time and of the clock."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'cache'}",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "deep_artists", *map(str, arguments)]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def measure(folder, rounds, only):
    """Yield (what, medians of processor time and of the clock)."""
    sys.path.insert(0, str(ROOT))
    from deep_artists import write_corpus

    write_corpus(folder / "audio", n_artists=3, n_tracks=5, duration_s=4)
    run(folder, "extract", "audio", "--out", "patches", "--jobs", "1")
    run(folder, "dataset", "patches", "--out", "set")
    run(folder, "train", "set", "--out", "model", *QUICK)
    track = next((folder / "audio").rglob("*.flac"))
    commands = {
        "train": ["train", "set", "--out", "model", *QUICK],
        "predict": ["predict", "model/model.npz", track],
        "features": ["features", "model/model.npz", track],
        "verify --quick": ["verify", "--quick"],
    }
    for name, arguments in commands.items():
        if only and name.split()[0] not in only:
            continue
        for first in (True, False):
            if name.startswith("verify") and not first:
                continue
            taken = []
            for _ in range(rounds):
                if first:
                    shutil.rmtree(folder / "cache", ignore_errors=True)
                taken.append(run(folder, *arguments))
            yield f"{'first' if first else 'warm'} {name}", np.median(taken, axis=0).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="of train, predict, features, verify")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {}
    print(f"{'command':<22}{'processor, s':>14}{'clock, s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for what, (processor, wall) in measure(Path(folder), arguments.rounds, arguments.only):
            found[what] = {"processor_s": processor, "clock_s": wall}
            print(f"{what:<22}{processor:>14.1f}{wall:>10.1f}", flush=True)
    if arguments.json:
        from machine import describe_setup

        arguments.json.write_text(json.dumps({"found": found, "machine": describe_setup()}))


if __name__ == "__main__":
    main()
