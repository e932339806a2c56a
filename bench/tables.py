"""Write the tables of measured figures into the READMEs, from the JSON that the scripts kept.

    python bench/tables.py            # after measuring again
    python bench/tables.py --check    # exit status 1 if a README holds anything else

A table stands between two comments, <!-- table NAME --> and <!-- end of table -->; what is between
them is written here and by nobody's hand. The JSON lies in bench/measured/.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import real_music  # noqa: E402
import recipes  # noqa: E402
import transfer_tables  # noqa: E402

MEASURED = ROOT / "bench" / "measured"
RECIPES = ("page", "last", "third", "second", "first")
PEERS = {"torch": "PyTorch", "torch-compiled": "PyTorch, compiled"}


def describe_setup():
    """Return what a figure depends on: versions, commit, processor; no path of this machine."""
    from deep_artists.evidence.machine import describe_machine

    machine = describe_machine()
    kept = ("versions", "revision", "processor", "instruction_set", "threads")
    return {name: machine[name] for name in kept}


def read(name):
    """Return what a script measured, or None."""
    path = MEASURED / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def describe(measured):
    """Return the sentence that says where the figures are from."""
    machine = measured["machine"]
    versions = ", ".join(
        f"{name} {machine['versions'][name]}"
        for name in ("deep_artists", "pytensor", "numpy", "python")
        if machine["versions"].get(name)
    )
    revision, _, dirty = (machine["revision"] or "not known").partition("-")
    revision = revision[:12] + (" and changes not committed" if dirty else "")
    return f"{machine['processor']}, {machine['instruction_set']}; {versions}; commit {revision}."


def find_rounds(measured, peer, threads):
    """Return the wall times of a peer's rounds, in s."""
    for result in measured["results"]:
        if (result["peer"], result["threads"]) == (peer, threads):
            return np.array(result["rounds"])[:, 0]
    return None


def make_peers():
    """Return the training step of every recipe beside PyTorch's."""
    found = {recipe: read(f"peers-{recipe}-float32") for recipe in RECIPES}
    found = {recipe: measured for recipe, measured in found.items() if measured}
    lines = [
        f"| recipe | ms a step | {' | '.join(f'{peer} takes' for peer in PEERS.values())} |",
        "|---|---|" + "---|" * len(PEERS),
    ]
    for recipe, measured in found.items():
        cells = [f"`{recipe}`", []]
        for threads in (2, 1):
            cells[1].append(
                f"{np.median(find_rounds(measured, 'deep_artists', threads)) * 1e3:.2f}"
            )
        for peer in PEERS:
            times = []
            for threads in (2, 1):
                theirs = find_rounds(measured, peer, threads)
                ours = find_rounds(measured, "deep_artists", threads)
                times.append("" if theirs is None else f"{np.median(theirs / ours):.1f}")
            cells.append(times)
        shown = [cell if isinstance(cell, str) else f"{cell[0]} ({cell[1]})" for cell in cells]
        lines.append(f"| {' | '.join([*shown[:2], *(f'{c} times as long' for c in shown[2:])])} |")
    first = next(iter(found.values()))
    versions = {r["peer"]: r["version"] for r in first["results"]}
    return "\n".join(
        [
            *lines,
            "",
            "Two threads (one thread), float32, medians of rounds in which the programs take "
            f"turns. {describe(first)} {versions['torch']}.",
        ]
    )


def make_speed():
    """Return how long PyTorch takes for a step, as a sentence."""
    parts = []
    for recipe in RECIPES:
        if measured := read(f"peers-{recipe}-float32"):
            ours = find_rounds(measured, "deep_artists", 2)
            theirs = [find_rounds(measured, peer, 2) for peer in PEERS]
            ratio = min(np.median(times / ours) for times in theirs if times is not None)
            parts.append(f"{ratio:.1f} (`{recipe}`)")
            machine = measured["machine"]
    return (
        f"PyTorch takes {', '.join(parts)} times as long for a training step: float32, two\n"
        f"threads, eager or compiled, whichever is faster; {machine['processor']}, commit "
        f"{machine['revision'][:12]}. `bench/README.md` has more."
    )


def make_start():
    """Return what starting takes."""
    measured = read("start")
    if measured is None:
        return ""
    lines = ["| command | processor, s | clock, s |", "|---|---|---|"]
    for command, taken in measured["found"].items():
        lines.append(f"| {command} | {taken['processor_s']:.1f} | {taken['clock_s']:.1f} |")
    return "\n".join([*lines, "", describe(measured)])


def make_recipes():
    """Return the errors of the recipes on the synthetic corpus."""
    measured = read("recipes")
    versions = measured["page"]["versions"]
    setup = f"deep_artists {versions['deep_artists']}, PyTensor {versions['pytensor']}"
    return "\n".join([recipes.format_table(measured), "", f"Measured with {setup}."])


def make_real_music():
    """Return the errors of the recipes on real music."""
    measured = read("real_music") or {}
    versions = [
        (v["deep_artists"], v["pytensor"]) for v in (r["versions"] for r in measured.values())
    ]
    texts = [f"deep_artists {ours}, PyTensor {theirs}" for ours, theirs in sorted(set(versions))]
    return "\n".join([real_music.format_table(measured), "", f"Measured with {'; '.join(texts)}."])


def make_transfer(format_table):
    """Return a function that makes one of the tables of `transfer`."""

    def make():
        measured = read("transfer")
        return "\n".join([*format_table(measured), "", transfer_tables.describe_versions(measured)])

    return make


TABLES = {
    "peers": make_peers,
    "speed": make_speed,
    "start": make_start,
    "recipes": make_recipes,
    "real_music": make_real_music,
    "transfer": make_transfer(transfer_tables.format_networks),
    "transfer_mel": make_transfer(transfer_tables.format_mel),
    "transfer_synthetic": make_transfer(transfer_tables.format_synthetic),
    "transfer_differences": make_transfer(transfer_tables.format_comparisons),
}
FILES = ("README.md", "bench/README.md", "deep_artists/use/README.md")


def render(text):
    """Return the text of a README with every table as it should be."""

    def replace(match):
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}"

    pattern = r"(<!-- table (\w+) -->)\n.*?(<!-- end of table -->)"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    others = []
    for name in FILES:
        path = ROOT / name
        text = path.read_text()
        if render(text) != text:
            others.append(name)
            if not arguments.check:
                path.write_text(render(text))
    print(f"{'not as measured' if arguments.check else 'written'}: {', '.join(others) or 'none'}")
    return int(arguments.check and bool(others))


if __name__ == "__main__":
    sys.exit(main())
