"""What the command line does around the steps: time them, report them, write the results."""

import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

from ..data.files import new_file

SHOWN = 50  # of the files left out


def make_folder(path):
    """Make the folder for results, and see that it can be written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{path} cannot be written to ({error}); give another --out") from error
    return path


class stage:
    """Time a stage and name it on stderr."""

    def __init__(self, seconds, name):
        self.seconds, self.name = seconds, name

    def __enter__(self):
        print(f"{self.name} ...", file=sys.stderr, flush=True)
        self.start = time.perf_counter()

    def __exit__(self, *error):
        self.seconds[self.name] = round(time.perf_counter() - self.start, 3)


def report_failed(report):
    """Print the first of the files that an extraction left out, and where the others are listed."""
    from ..data.extraction import read_failed

    for path, reason in islice(read_failed(report.report), SHOWN):
        print(f"left out {path}: {reason}", file=sys.stderr)
    if report.failed > SHOWN:
        print(f"... and others, listed in {report.report}", file=sys.stderr)
    if report.failed:
        total = report.done + report.reused + report.failed
        print(f"{report.failed} of {total} files left out", file=sys.stderr)


def report_set(datasets):
    for name, reason in datasets.info.get("left_out", []):
        print(f"left out {name}: {reason}", file=sys.stderr)
    for split, artists in datasets.info.get("absent", {}).items():
        if artists:
            more = f" and {len(artists) - 20} more artists" if len(artists) > 20 else ""
            print(f"{split} has no track of {', '.join(artists[:20])}{more}", file=sys.stderr)


def train_and_report(
    datasets, out, seconds, recipe, floatX, checkpoint=None, device="cpu", memory_mb=None
):
    """Train, save model, log and results into the folder `out`, print the table.

    seconds : dict, of the stages before; those of training are added.
    """
    import numpy as np

    from ..artists.train import train

    start = time.perf_counter()
    with stage(seconds, "train"):
        result = train(
            datasets,
            recipe,
            floatX=floatX,
            checkpoint=checkpoint,
            device=device,
            memory_mb=memory_mb,
            echo=lambda line: print(line, flush=True),
        )
    seconds["compile"] = round(result.compile_seconds, 3)
    seconds["train"] = round(result.seconds, 3)
    print(f"ran for {(time.perf_counter() - start) / 60:.2f}m", file=sys.stderr)
    model = result.model
    model.save(out / "model.npz")
    with new_file(out / "log.txt") as file:
        file.write("".join(f"{line}\n" for line in result.log).encode())
    with stage(seconds, "evaluate"):
        errors = {
            name: {which: model.evaluate(split, which) for which in ("best", "last")}
            for name, split in (("valid", datasets.valid), ("test", datasets.test))
        }
    chance = measure_chance(datasets.train.y, datasets.test.y)
    results = {
        "recipe": model.recipe.to_dict(),
        "floatX": floatX,
        "device": device,
        "memory_mb": memory_mb,
        "errors": errors,
        "chance": chance,
        "iterations": len(result.costs),
        "interrupted": result.interrupted,
        "best_iteration": result.best_iteration,
        "validation": result.validation,
        "costs": [float(cost) if np.isfinite(cost) else None for cost in result.costs],
        "seconds": seconds,
        "versions": model.about["versions"],
    }
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, allow_nan=False).encode())
    print(format_table(errors, chance, seconds))


def measure_chance(train_y, test_y):
    """Return the test error of always saying the most frequent label of train."""
    import numpy as np

    return float(np.mean(test_y != np.bincount(train_y).argmax()))


def format_table(errors, chance, seconds):
    """Return the table that ends a run."""

    def percent(share):
        return "-" if share is None else f"{100 * share:.1f} %"

    rows = [("error", "patches", "tracks")]
    for split in ("valid", "test"):
        for which in ("best", "last"):
            found = errors[split][which]
            rows.append(
                (
                    f"{split}, {which} parameters",
                    percent(found["patch_error"]),
                    percent(found["track_error"]),
                )
            )
    rows.append(("chance (the commonest artist)", percent(chance), ""))
    lines = [f"{name:<30}{patches:>10}{tracks:>10}" for name, patches, tracks in rows]
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return "\n".join(["", *(line.rstrip() for line in lines), f"seconds: {stages}"])
