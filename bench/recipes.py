"""The experiment on the synthetic corpus by every recipe: the first table of README.md.

    python bench/recipes.py --work FOLDER

`page` is what `deep-artists reproduce` does; the others are trained on its set. Runs that are there
are not made again, and what they found is kept in bench/measured.
"""

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from real_music import call, keep_results  # noqa: E402

RESULTS = HERE / "measured" / "recipes.json"
RECIPES = {
    "page": "the project page",
    "last": "the program's last version, 07-01 16:36",
    "third": "06-30 12:51",
    "second": "06-29 21:09",
    "first": "06-29 18:10, `--set n_out=20`",
}


def run(recipe, work):
    """Return what a run finds, as a dict that JSON can hold."""
    out = work / f"run-{recipe}"
    if not (out / "results.json").exists():
        if recipe == "page":
            call("reproduce", "--out", out)
        else:
            options = ["--set", "n_out=20"] if recipe == "first" else []
            call("train", work / "run-page" / "set", "--out", out, "--recipe", recipe, *options)
    return keep_results(out)


def format_table(results):
    """Return the table in Markdown."""
    lines = [
        "| recipe | what it is | updates | patch error, valid / test | track error, valid / test |",
        "|---|---|---|---|---|",
    ]
    for recipe, found in results.items():
        name = f"`{recipe}`{' (default)' if recipe == 'page' else ''}"
        errors = [
            " / ".join(f"{100 * found['errors'][s]['best'][e]:.1f}" for s in ("valid", "test"))
            for e in ("patch_error", "track_error")
        ]
        updates = f"{found['iterations']:,}".replace(",", " ")
        lines.append(f"| {name} | {RECIPES[recipe]} | {updates} | {errors[0]} % | {errors[1]} % |")
    chance = results["page"]
    cells = f"{100 * chance['chance']:.1f} % | {100 * chance['chance_track']:.1f} %"
    return "\n".join([*lines, f"| | always the commonest artist | | {cells} |"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("recipes"), metavar="FOLDER")
    arguments = parser.parse_args()
    results = {recipe: run(recipe, arguments.work) for recipe in RECIPES}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(format_table(results))


if __name__ == "__main__":
    main()
