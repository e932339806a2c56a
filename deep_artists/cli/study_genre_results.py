"""What ``deep-artists study genre`` finds: features judged by forests, a table, curves."""

import sys
from importlib.util import find_spec
from itertools import zip_longest


def tell(line):
    """Print a line for who waits."""
    print(line, file=sys.stderr, flush=True)


def judge(rows, what, networks, spectra, labels, parts, arguments):
    """Add to rows, (net, decided by) -> {what: accuracy of the test tracks}."""
    import numpy as np

    from ..data.mapped import drop_pages
    from ..systems.genre_features import compute_tracks, cut_windows, judge_by_forest

    n_fit = len(parts[0]) + len(parts[1])
    fit, test = np.arange(n_fit), np.arange(n_fit, n_fit + len(parts[2]))

    def read_tracks():
        for i in range(len(spectra.names)):
            yield spectra.track(i)
            drop_pages(spectra.x)

    def add(net, by, accuracy):
        rows.setdefault((net, by), {})[what] = accuracy
        tell(f"{what}: {net}, {by}: {100 * accuracy:.1f} %")

    def add_forest(net, by, windows):
        add(
            net,
            f"forest, {by}",
            judge_by_forest(windows, labels, fit, test, arguments.trees, arguments.jobs),
        )

    for net, network in networks.items():
        windows, decisions = compute_tracks(network, read_tracks())
        if what == "genre":
            add(net, "the net itself", float(np.mean(decisions[test] == labels[test])))
        for layer, some in windows.items():
            add_forest(net, layer, some)
    add_forest("no net", "raw spectra", [cut_windows(x) for x in read_tracks()])
    add(
        "no net",
        "commonest label",
        float(np.mean(labels[test] == np.bincount(labels[fit]).argmax())),
    )


def format_rows(rows, columns):
    """Return the table of accuracies.

    >>> print(format_rows({("a", "b"): {"genre": 0.5}}, ["genre", "artist"]))
    net  decided by   genre  artist
    a    b           50.0 %       -
    """
    table = [("net", "decided by", *columns)]
    for (net, by), found in rows.items():
        table.append(
            (net, by, *(f"{100 * found[c]:.1f} %" if c in found else "-" for c in columns))
        )
    widths = [max(map(len, column)) for column in zip_longest(*table)]
    justify = [str.ljust, str.ljust, *[str.rjust] * len(columns)]
    return "\n".join(
        "  ".join(j(cell, w) for j, cell, w in zip(justify, row, widths)) for row in table
    )


def draw_curves(curves, path):
    """Draw validation costs against epochs and seconds; return whether that was possible."""
    if find_spec("matplotlib") is None:
        tell("no curves.png: matplotlib is missing, install deep_artists[plots]")
        return False
    from ..data.figures import make_figure, style
    from ..data.files import new_file

    with style():
        figure = make_figure(2.6)
        grid = figure.subplots(1, 2, sharey=True)
        for name, curve in curves.items():
            n = range(1, len(curve["valid_cost"]) + 1)
            for axes, x in zip(grid, (n, curve["seconds"])):
                axes.plot(x, curve["valid_cost"], ".-", markersize=3, linewidth=1, label=name)
        grid[0].set(xlabel="epochs or updates", ylabel="validation cost")
        grid[1].set(xlabel="seconds", xscale="log")
        grid[1].legend()
        with new_file(path) as file:
            figure.savefig(file, format="png")
    return True
