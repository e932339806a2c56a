"""The tables and the figure of `transfer`, from what it found."""

import json

import numpy as np

SNAPSHOTS = (0, 8000, 20000, 40000, 80000)  # updates
COMPARED = (0, 40000, 80000)
LAYERS = ("pool", "hidden")
DRAWS = 4000  # of the bootstrap
BEST_MEL = "log mel down to 1e-10, patches"  # the best that needs no network


def bootstrap(shares):
    """Return (mean, low, high) in percent: 95 % over instruments of the mean over seeds.

    shares : array [shape=(seeds, instruments)]
    """
    by_instrument = np.mean(shares, axis=0)
    draws = np.random.RandomState(0).randint(len(by_instrument), size=(DRAWS, len(by_instrument)))
    means = by_instrument[draws].mean(axis=1)
    return [100 * value for value in (by_instrument.mean(), *np.percentile(means, [2.5, 97.5]))]


def get_shares(results, prefix, layer, updates):
    """Return, by seed, the shares of right answers for every instrument of the jobs of a kind."""
    return {
        job.removeprefix(prefix): np.array(snapshot["right"][layer])
        for job, result in sorted(results["jobs"].items())
        if job.startswith(prefix)
        for snapshot in result["snapshots"]
        if snapshot["updates"] == updates
    }


def format_interval(shares):
    """Return mean and interval; shares : dict of arrays."""
    mean, low, high = bootstrap(list(shares.values()))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def subtract(a, b):
    """Return a - b, seed by seed, where both have one."""
    return {seed: a[seed] - b[seed] for seed in a if seed in b}


KINDS = {
    "none:last30:23:": "raw",
    "log:last30:23:": "log",
    "log:last30:10:": "log, 10 artists",
    "log:last30:5:": "log, 5 artists",
    "log:all:23:": "log, whole tracks",
}


def describe_versions(results):
    """Return the sentence that says what the figures were measured with."""
    versions = {
        json.dumps(result["versions"], sort_keys=True) for result in results["jobs"].values()
    }
    names = ("deep_artists", "pytensor", "numpy", "python")
    texts = [
        ", ".join(f"{name} {found[name]}" for name in names if found.get(name))
        for found in map(json.loads, sorted(versions))
    ]
    return f"Measured with {'; '.join(dict.fromkeys(texts))}."


def format_tables(results):
    """Return the tables in Markdown, of what was measured."""
    tables = []
    if "synthetic" in results:
        tables.append(format_synthetic(results))
    if results["jobs"]:
        tables += [format_mel(results), format_networks(results), format_comparisons(results)]
    return "\n\n".join("\n".join(lines) for lines in tables)


def format_synthetic(results):
    found = results["synthetic"]
    lines = [f"| features | {' | '.join(found)} |", "|---|---|---|"]
    for kind in next(iter(found.values())):
        shares = [100 * np.array(by_kind[kind]) for by_kind in found.values()]
        cells = [f"{a.mean():.1f} ± {a.std(ddof=1):.1f}" for a in shares]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def format_mel(results):
    lines = ["| features | families right, % |", "|---|---|"]
    for name, shares in results["mel"].items():
        lines.append(f"| {name} | {format_interval({'': shares})} |")
    return lines


def format_networks(results):
    """Return accuracies and gains over the own initial values, and what the teacher has learned."""
    lines = [
        "| input | updates | seeds | pool | gain | hidden | gain | errors: patches, tracks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for prefix, name in KINDS.items():
        for updates in SNAPSHOTS:
            cells = []
            for layer in LAYERS:
                shares = get_shares(results, prefix, layer, updates)
                gain = subtract(shares, get_shares(results, prefix, layer, 0))
                if shares:
                    cells += [format_interval(shares), format_interval(gain) if updates else ""]
            if cells:
                errors = format_errors(results, prefix, updates) if updates else ""
                lines.append(
                    f"| {name} | {updates} | {len(shares)} | {' | '.join(cells)} | {errors} |"
                )
    return lines


def format_errors(results, prefix, updates):
    """Return the mean test errors of patches and of tracks, with deviations over the seeds."""
    errors = [
        (snapshot["errors"]["test"]["patch_error"], snapshot["errors"]["test"]["track_error"])
        for job, result in results["jobs"].items()
        if job.startswith(prefix)
        for snapshot in result["snapshots"]
        if snapshot["updates"] == updates
    ]
    mean = 100 * np.mean(errors, axis=0)
    if len(errors) == 1:
        return ", ".join(f"{m:.1f}" for m in mean)
    deviation = 100 * np.std(errors, axis=0, ddof=1)
    return ", ".join(f"{m:.1f} ± {d:.1f}" for m, d in zip(mean, deviation))


def format_comparisons(results):
    """Return differences in points: log input against raw, whole tracks against their last 30 s,
    and networks against log mel."""
    lines = ["| difference | updates | seeds | points |", "|---|---|---|---|"]
    mel = np.array(results["mel"][BEST_MEL])
    for updates in COMPARED:
        for layer in LAYERS:
            log, raw, whole = (
                get_shares(results, prefix, layer, updates)
                for prefix in ("log:last30:23:", "none:last30:23:", "log:all:23:")
            )
            differences = {
                f"{layer}, log - raw": subtract(log, raw),
                f"{layer}, log, whole tracks - last 30 s": subtract(whole, log),
                f"{layer}, log - {BEST_MEL}": {seed: a - mel for seed, a in log.items()},
                f"{layer}, log, whole tracks - {BEST_MEL}": {s: a - mel for s, a in whole.items()},
            }
            for name, difference in differences.items():
                if difference:
                    cells = f"{updates} | {len(difference)} | {format_interval(difference)}"
                    lines.append(f"| {name} | {cells} |")
    return lines


def draw(results, path):
    """Draw accuracy against updates and artists, with the 95 % interval over instruments."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "deep_artists", "svg.fonttype": "none"}  # same bytes
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True, layout="constrained")
    kinds = {prefix: name for prefix, name in KINDS.items() if ":23:" in prefix}
    for axis, layer in zip(axes, LAYERS):
        for prefix, name in kinds.items():
            points = [(n, get_shares(results, prefix, layer, n)) for n in SNAPSHOTS]
            draw_line(axis, points, name)
        axis.set(title=f"{layer} layer", xlabel="updates on artists")
    for layer in LAYERS:
        points = [(n, get_shares(results, f"log:last30:{n}:", layer, 40000)) for n in (5, 10, 23)]
        draw_line(axes[2], points, f"{layer} layer")
    axes[2].set(title="log, after 40,000 updates", xlabel="artists", xticks=(5, 10, 23))
    for axis in axes:
        mel = bootstrap([results["mel"][BEST_MEL]])[0]
        axis.axhline(mel, color="grey", ls=":", label=BEST_MEL)
        axis.legend(fontsize=6)
    axes[0].set_ylabel("instrument families right, %")
    figure.savefig(path, metadata={"Date": None})


def draw_line(axis, points, label):
    """Draw the means of (x, shares of right answers by seed), with their intervals."""
    points = [(x, *bootstrap(list(shares.values()))) for x, shares in points if shares]
    if points:
        x, mean, low, high = np.array(points).T
        axis.plot(x, mean, ".-", label=label)
        axis.fill_between(x, low, high, alpha=0.15)
