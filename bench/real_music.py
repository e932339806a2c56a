"""The experiment on real music: every number of the README's table about it.

    deep-artists fetch open-music MUSIC
    python bench/real_music.py MUSIC --work FOLDER

A run is RECIPE:SEED, as page:1; the seed is that of the split, of the initial values and of the
shuffling. It is made by the commands extract, dataset and train, and leaves its model in
FOLDER/run-RECIPE-SEED. Runs that are done are not done again: results are kept in bench/measured,
from which alone the table is written (--table).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

RESULTS = HERE / "measured" / "real_music.json"
RECIPES = ("page", "last", "second", "today")
RUNS = [f"{recipe}:{seed}" for seed in (1, 2, 3) for recipe in RECIPES]
CORPUS = "open music: soundtracks of free games, as deep-artists fetch open-music brings it"
LICENCE = "each track's own: GPL, CC BY, CC BY-SA or BSD, see deep_artists/data/open_music.csv"


def call(command, *arguments):
    subprocess.run([sys.executable, "-m", "deep_artists", command, *arguments], check=True)


def run(name, music, work, jobs):
    """Return what a run finds, as a dict that JSON can hold."""
    from deep_artists import load_recipe

    recipe, seed = name.split(":")
    clip = load_recipe(recipe).clip
    patches, folder, out = (
        work / part for part in (f"patches-{clip}", f"real-{clip}-{seed}", f"run-{recipe}-{seed}")
    )
    call("extract", music, "--out", patches, "--clip", clip, "--jobs", str(jobs))
    labels = ("--labels", music / "tracks.csv", "--seed", seed)
    call("dataset", patches, "--out", folder, *labels)
    options = f"--recipe {recipe} --set n_out=0 --seed {seed}".split()
    card = "--corpus", CORPUS, "--licence", LICENCE
    call("train", folder, "--out", out, "--checkpoint", out / "kept", *options, *card)
    return keep_results(out)


def keep_results(out):
    """Return what is kept of a run's results.json."""
    results = json.loads((out / "results.json").read_text())
    names = (
        "errors",
        "chance",
        "chance_track",
        "iterations",
        "best_iteration",
        "diverged_at",
        "seconds",
        "versions",
    )
    return {name: results.get(name) for name in names}


def format_table(results):
    """Return the table in Markdown: means over the seeds, with standard deviations."""
    lines = [
        "| recipe | seeds | updates | test patches, best / last | test tracks, best / last | "
        "chance, patches / tracks |",
        "|---|---|---|---|---|---|",
    ]
    for recipe in RECIPES:
        runs = [results[name] for name in sorted(results) if name.split(":")[0] == recipe]
        if not runs:
            continue
        cells = [f"`{recipe}`", str(len(runs)), f"{np.mean([r['iterations'] for r in runs]):,.0f}"]
        for error in ("patch_error", "track_error"):
            both = [
                describe([r["errors"]["test"][which][error] for r in runs])
                for which in ("best", "last")
            ]
            cells.append(" / ".join(both))
        chance = [describe([r[e] for r in runs]) for e in ("chance", "chance_track")]
        lines.append(f"| {' | '.join(cells)} | {' / '.join(chance)} |")
    return "\n".join(lines)


def describe(shares):
    """Return mean and standard deviation in percent.

    >>> describe([0.5, 0.6])
    '55.0 ± 7.1'
    """
    mean = f"{100 * np.mean(shares):.1f}"
    return f"{mean} ± {100 * np.std(shares, ddof=1):.1f}" if len(shares) > 1 else mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("music", type=Path, nargs="?", metavar="MUSIC")
    parser.add_argument("--work", type=Path, default=Path("real_music"), metavar="FOLDER")
    parser.add_argument("--runs", nargs="*", default=RUNS, metavar="RECIPE:SEED")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--processes", type=int, default=-1, metavar="N")
    parser.add_argument("--table", action="store_true", help="print the table of what was found")
    arguments = parser.parse_args()
    path = arguments.results
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in [] if arguments.table else arguments.runs:
        if name not in results:
            results[name] = run(name, arguments.music, arguments.work, arguments.processes)
            path.write_text(json.dumps(results, indent=1) + "\n")
    print(format_table(results))


if __name__ == "__main__":
    main()
