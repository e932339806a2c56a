"""The experiment on real music: every number of the README's table about it.

    deep-artists fetch open-music MUSIC
    python bench/real_music.py MUSIC --work FOLDER

A run is RECIPE:SEED, as page:1; the seed is that of the split, of the initial values and of the
shuffling. Runs that are done are not done again: results are kept in bench/measured, from
which alone the table is written (--table).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

RESULTS = HERE / "measured" / "real_music.json"
RECIPES = ("page", "last", "second", "today")
RUNS = [f"{recipe}:{seed}" for seed in (1, 2, 3) for recipe in RECIPES]


def run(name, music, work, jobs, n_epochs):
    """Return what a run finds, as a dict that JSON can hold."""
    from deep_artists import __version__, extract_folder, load_recipe, make_dataset, train
    from deep_artists.cli.report import measure_chance
    from deep_artists.data.versions import get_versions

    recipe_name, seed = name.split(":")
    recipe = load_recipe(recipe_name, seed=int(seed), n_out=0)
    if n_epochs:
        recipe = recipe.replace(n_epochs=n_epochs)
    patches = work / f"patches-{recipe.clip}"
    extract_folder(music, patches, jobs=jobs, clip=recipe.clip)
    folder = work / f"real-{recipe.clip}-{seed}"
    datasets = make_dataset(patches, folder, music / "tracks.csv", int(seed))
    result = train(datasets, recipe, checkpoint=work / f"run-{recipe_name}-{seed}", echo=print)
    splits = {"valid": datasets.valid, "test": datasets.test}
    return {
        "errors": {
            split: {which: result.model.evaluate(data, which) for which in ("best", "last")}
            for split, data in splits.items()
        },
        "chance": measure_chance(datasets.train, datasets.test),
        "patches": [len(split.x) for split in datasets],
        "updates": len(result.costs),
        "best_iteration": result.best_iteration,
        "interrupted": result.interrupted,
        "diverged_at": result.diverged_at,
        "seconds": round(result.seconds),
        "versions": {**get_versions(), "deep_artists": __version__},
    }


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
        cells = [f"`{recipe}`", str(len(runs)), f"{np.mean([r['updates'] for r in runs]):,.0f}"]
        for error in ("patch_error", "track_error"):
            both = [
                describe([r["errors"]["test"][which][error] for r in runs])
                for which in ("best", "last")
            ]
            cells.append(" / ".join(both))
        chance = [describe([r["chance"][e] for r in runs]) for e in ("patch_error", "track_error")]
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
    parser.add_argument("--epochs", type=int, metavar="N", help="at the most, to save time")
    parser.add_argument("--processes", type=int, default=-1, metavar="N")
    parser.add_argument("--table", action="store_true", help="print the table of what was found")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in [] if arguments.table else arguments.runs:
        if name not in results:
            results[name] = run(
                name, arguments.music, arguments.work, arguments.processes, arguments.epochs
            )
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(format_table(results))


if __name__ == "__main__":
    main()
