"""Write the tables of measured figures into the READMEs, from the JSON that the scripts kept.

    python bench/tables.py            # after measuring again
    python bench/tables.py --check    # exit status 1 if a README holds anything else

A table stands between two comments, <!-- table NAME --> and <!-- end of table -->; what is between
them is written here and by nobody's hand. The JSON lies in bench/measured/, times in a folder for
each machine.
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
import roofline  # noqa: E402
import scale  # noqa: E402
import scale_extract  # noqa: E402
import transfer_tables  # noqa: E402

MEASURED = ROOT / "bench" / "measured"
MACHINES = sorted(path.name for path in MEASURED.iterdir() if path.is_dir())
RECIPES = ("page", "last", "third", "second", "first")
STEPS = [f"{recipe}-float32" for recipe in RECIPES]
STEPS += ["page-float32-music", "page-float64"]
PEERS = {
    "torch": "PyTorch",
    "torch-compiled": "PyTorch, compiled",
    "jax": "JAX",
    "theano-1.0.5": "Theano 1.0.5",
    "theano-0.6": "Theano 0.6",
}


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


def on_every_machine(name):
    """Yield (machine, what a script measured there), where it was measured."""
    for machine in MACHINES:
        if measured := read(f"{machine}/{name}"):
            yield machine, measured


def make_peers():
    """Return the training step of every recipe beside the peers', a table for each machine."""
    return "\n\n".join(format_peers(machine) for machine in MACHINES)


def format_peers(machine):
    """Return the table of one machine: times, and how many times as long a peer takes."""
    found = {step: read(f"{machine}/peers-{step}") for step in STEPS}
    found = {step: measured for step, measured in found.items() if measured}
    results = [result for measured in found.values() for result in measured["results"]]
    versions = {result["peer"]: result["version"] for result in results}
    peers = [peer for peer in PEERS if peer in versions]
    lines = [
        f"| recipe, dtype | ms a step | {' | '.join(PEERS[peer] for peer in peers)} |",
        "|---|---|" + "---|" * len(peers),
    ]
    for step, measured in found.items():
        ours = [find_rounds(measured, "deep_artists", threads) for threads in (2, 1)]
        cells = ["{} ({})".format(*(f"{1e3 * np.median(times):.2f}" for times in ours))]
        for peer in peers:
            theirs = [find_rounds(measured, peer, threads) for threads in (2, 1)]
            ratios = [format_ratio(a, b) for a, b in zip(theirs, ours) if a is not None]
            cells.append("{} ({})".format(*ratios) if ratios else "")
        recipe, *more = step.split("-")
        lines.append(f"| `{recipe}`, {', '.join(more)} | {' | '.join(cells)} |")
    setups = dict.fromkeys(describe(measured) for measured in found.values())
    others = ", ".join(versions[peer] for peer in peers if peer != "torch-compiled")
    return "\n".join([*lines, "", f"{' '.join(setups)} {others}."])


def format_ratio(theirs, ours):
    """Return the median over the turns of how many times as long the peer took."""
    ratio = np.median(theirs / ours)
    return f"{ratio:.1f}" if ratio < 20 else f"{ratio:.0f}"


def make_speed():
    """Return how long PyTorch takes for a step, as a sentence."""
    lines = [
        "For a training step PyTorch, eager or compiled, whichever is faster, takes this multiple",
        "of our time, on one thread and on two (float32; see `bench/README.md`):",
        "",
        f"| processor | {' | '.join(f'`{recipe}`' for recipe in RECIPES)} |",
        "|---|" + "---|" * len(RECIPES),
    ]
    for machine in MACHINES:
        cells = []
        for recipe in RECIPES:
            measured = read(f"{machine}/peers-{recipe}-float32")
            ratios = []
            for threads in (1, 2):
                ours = find_rounds(measured, "deep_artists", threads)
                theirs = [find_rounds(measured, p, threads) for p in ("torch", "torch-compiled")]
                ratios.append(f"{min(np.median(times / ours) for times in theirs):.1f}")
            cells.append(", ".join(ratios))
        setup = measured["machine"]
        name = f"{setup['processor']}, commit {setup['revision'][:12]}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def make_start():
    """Return what starting takes."""
    measured = dict(on_every_machine("start"))
    names = [found["machine"]["processor"] for found in measured.values()]
    lines = [f"| command | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for command in next(iter(measured.values()))["found"]:
        taken = [found["found"][command] for found in measured.values()]
        cells = [f"{t['processor_s']:.1f} ({t['clock_s']:.1f})" for t in taken]
        lines.append(f"| {command} | {' | '.join(cells)} |")
    setups = " ".join(describe(found) for found in measured.values())
    return "\n".join([*lines, "", f"Seconds of processor time (of the clock). {setups}"])


def make_roofline():
    """Return the share of the processor's peak that is reached."""
    return "\n\n".join(
        f"{roofline.format_table(found['rows'])}\n\n{found['title']}. {describe(found)}"
        for _, found in on_every_machine("roofline")
    )


def make_genre():
    """Return the training step of the genre network beside PyTorch's."""
    return "\n\n".join(
        f"{format_genre(found)}\n\n{describe(found)} PyTorch {found['torch']}."
        for _, found in on_every_machine("genre")
    )


def format_genre(found):
    """Return the table of `genre_torch`, of one machine."""
    lines = ["| network, minibatch | ms | PyTorch takes |", "|---|---|---|"]
    for name, (ours, theirs) in found["ms"].items():
        lines.append(f"| {name} | {ours:.2f} | {theirs / ours:.2f} times as long |")
    return "\n".join(lines)


def make_scale(format_table):
    """Return a function that makes one of the tables of `scale`."""

    def make():
        return "\n\n".join(
            f"{format_table(found)}\n\n{describe(found)}" for _, found in on_every_machine("scale")
        )

    return make


def make_scale_extract():
    """Return what extraction takes by track."""
    return "\n\n".join(
        f"{scale_extract.format_table(found['rows'])}\n\n{describe(found)}"
        for _, found in on_every_machine("scale_extract")
    )


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
    "genre": make_genre,
    "roofline": make_roofline,
    "scale": make_scale(scale.format_growth),
    "scale_sets": make_scale(scale.format_sets),
    "scale_catalogue": make_scale(scale.format_catalogue),
    "scale_extract": make_scale_extract,
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
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
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
