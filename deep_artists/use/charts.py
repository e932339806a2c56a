"""Charts of how a run went: cost, validation error, patience; which artist is taken for which.

Every function draws into a Figure of its own, one journal column wide, and returns its Axes. pyplot
and the backend in use are left alone.
"""

from contextlib import contextmanager

import numpy as np

from ..nn.loop import IMPROVEMENT_THRESHOLD, PATIENCE_INCREASE

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"  # colour-blind people tell them apart

MOST_LABELS = 150  # of a confusion matrix

STYLE = {"font.size": 7, "axes.titlesize": 7, "axes.labelsize": 7, "legend.fontsize": 6}
STYLE |= {"axes.linewidth": 0.5, "axes.titlepad": 3, "axes.labelpad": 2, "legend.frameon": False}
STYLE |= {"xtick.labelsize": 6, "xtick.major.width": 0.5, "xtick.major.size": 2}
STYLE |= {"ytick.labelsize": 6, "ytick.major.width": 0.5, "ytick.major.size": 2}


@contextmanager
def style():
    """Use our own style inside the block, whatever the user's style is."""
    try:
        import matplotlib.style
    except ImportError as error:
        raise RuntimeError(
            'plots need matplotlib, which is not there: pip install "deep_artists[plots]"'
        ) from error
    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def make_figure(height_in):
    """Return an empty Figure as wide as a journal's column, 89 mm."""
    from matplotlib.figure import Figure

    return Figure(figsize=(3.5, height_in), dpi=300, layout="constrained")


def trace_patience(validation, patience):
    """Return how patience grew: a list of (updates made, patience from there on).

    >>> trace_patience([(200, 0.5), (400, 0.6), (600, 0.4)], patience=300)
    [(0, 300), (200, 398), (600, 1198)]
    """
    steps, best = [(0, patience)], np.inf
    for updates, error in validation:
        longer = (updates - 1) * PATIENCE_INCREASE
        if error < best * IMPROVEMENT_THRESHOLD and longer > steps[-1][1]:
            steps.append((updates, longer))
        best = min(best, error)
    return steps


@style()
def plot_learning_curves(results):
    """Draw cost, validation error and patience over the iterations of a run.

    Parameters
    ----------
    results : dict or train.Result
        As results.json holds it, or what `train.train` returned.

    Returns
    -------
    np.ndarray of Axes [shape=(3,)]
        Cost; validation error, the best iteration marked; patience. The run stops where patience
        meets the dashed line.
    """
    if not isinstance(results, dict):
        results = vars(results) | {"recipe": results.model.recipe.to_dict()}
    costs, validation, best, patience = _take_history(results)
    n = len(costs)
    window = max(5, n // 200)
    smooth = np.median(costs[: n // window * window].reshape(-1, window), axis=1)
    figure = make_figure(3.8)
    cost, error, wait = grid = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    cost.plot(costs, color=GREY, linewidth=0.2, label="every minibatch", rasterized=True)
    middles = (np.arange(len(smooth)) + 0.5) * window
    cost.plot(middles, smooth, color=BLUE, linewidth=1, label=f"median of {window} minibatches")
    cost.set(ylabel="cost", yscale="log")
    updates, errors = validation.T
    error.plot(updates, 100 * errors, color=BLUE, linewidth=0.5, label="validation")
    for lowest in 100 * errors[updates == best]:  # none where no validation was reached
        label = f"best: {lowest:.1f} % at iteration {best}"
        error.plot(best, lowest, "o", color=ORANGE, markersize=3, label=label)
    error.set(ylabel="error (%)", ylim=(0, None))
    steps = trace_patience(validation, patience)
    grown = zip(*steps, (n, steps[-1][1]))
    wait.step(*grown, where="post", color=BLUE, linewidth=1, label="patience")
    wait.plot([0, n], [0, n], "--", color=GREY, linewidth=1, label="iterations made")
    wait.set(xlabel="iteration", ylabel="iterations", xlim=(0, n), ylim=(0, None))
    for axes in grid:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
    figure.align_ylabels(grid)
    return grid


def _take_history(results):
    """Return costs (n,), validation (k, 2), best iteration and patience of a run's results."""
    keys = ("recipe", "costs", "validation", "best_iteration")
    if missing := [key for key in keys if key not in results]:
        raise ValueError(f"the results have no {', '.join(missing)}; they are none of train's")
    try:
        costs = np.asarray(results["costs"], np.float64)
        validation = np.asarray(results["validation"], np.float64).reshape(
            len(results["validation"]), 2
        )
        best, patience = int(results["best_iteration"]), int(results["recipe"]["patience"])
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(f"the results are none of train's ({error})") from error
    if costs.ndim != 1 or not len(costs):
        raise ValueError(f"the results have costs of shape {costs.shape}; a list of them is needed")
    return costs, validation, best, patience


@style()
def plot_confusion(model, split, per="track", parameters="best"):
    """Draw which label is taken for which.

    Parameters
    ----------
    model : Model
    split : (x, y) or (x, y, track)
        x float (n, 2560), y int (n,), track int (n,).
    per : {'track', 'patch'}
        What is counted; a track needs `track`.
    parameters : {'best', 'last'}

    Returns
    -------
    Axes
        Each row is a true label, and its entries are shares of that label. Rows in blue are
        labels that do not occur in the split. Beyond 150 labels, the commonest of the split are
        drawn and the others are joined into one.
    """
    from matplotlib import colormaps
    from sklearn.metrics import confusion_matrix

    x, y, track = (*split, None)[:3]
    if per not in ("track", "patch") or (per == "track" and track is None):
        raise ValueError(f"per = {per!r}; there are 'patch' and, if tracks are known, 'track'")
    if per == "track":
        tracks, predicted = model.predict_by_track(x, track, parameters)
        actual = np.asarray(y)[np.unique(track, return_index=True)[1]]
    else:
        actual, predicted = np.asarray(y), model.predict(x, parameters)
    n = max(len(model.label_names), actual.max() + 1, predicted.max() + 1)
    names = [*model.label_names, *map(str, range(len(model.label_names), n))]
    what = {"track": "tracks", "patch": "patches"}[per]
    error = f"{len(actual)} {what}, error {100 * np.mean(actual != predicted):.1f} %"
    if n > MOST_LABELS:  # more than can be seen, and n squared of them
        kept = np.sort(np.argsort(-np.bincount(actual, minlength=n), kind="stable")[:MOST_LABELS])
        place = np.full(n, MOST_LABELS)
        place[kept] = np.arange(MOST_LABELS)
        actual, predicted = place[actual], place[predicted]
        names = [*(names[i] for i in kept), f"{n - MOST_LABELS} others"]
        n = MOST_LABELS + 1
    names = [name if len(name) <= 20 else f"{name[:19]}…" for name in names]
    counts = confusion_matrix(actual, predicted, labels=range(n))
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = np.where(counts.any(axis=1, keepdims=True), counts / total, np.nan)
    axes = make_figure(3.1).subplots()
    colours = colormaps["gray_r"].with_extremes(bad="#cfe2f3")
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto")
    step = -(-n // 30)  # so many names can be read
    axes.set_xticks(range(0, n, step), names[::step], rotation=90, parse_math=False)
    axes.set_yticks(range(0, n, step), names[::step], parse_math=False)
    axes.set(xlabel="predicted", ylabel="actual", title=error)
    axes.figure.colorbar(image, label=f"share of the {what} of a label")
    return axes
