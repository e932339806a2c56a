"""Learning curves of a run: cost, validation error, patience."""

import numpy as np

from ..data.figures import BLUE, GREEN, GREY, ORANGE, check_axes, make_figure, style
from .patience import trace_patience


@style()
def plot_learning_curves(results, axes=None):
    """Draw cost, validation error and patience over the iterations of a run.

    Parameters
    ----------
    results : dict or train.Result
        As results.json holds it, or what `train.train` returned. The errors on train are
        drawn where the results have them.
    axes : three Axes, optional
        To draw into.

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
    if axes is None:
        axes = make_figure(3.8).subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    cost, error, wait = grid = check_axes(axes, 3)
    cost.plot(costs, color=GREY, linewidth=0.2, label="every minibatch", rasterized=True)
    middles = (np.arange(len(smooth)) + 0.5) * window
    cost.plot(middles, smooth, color=BLUE, linewidth=1, label=f"median of {window} minibatches")
    finite = costs[np.isfinite(costs)]
    wide = len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min()
    cost.set(ylabel="cost", yscale="log" if wide else "linear")
    updates, errors = validation.T
    error.plot(updates, 100 * errors, color=BLUE, linewidth=0.5, label="validation")
    for lowest in 100 * errors[updates == best]:  # none where no validation was reached
        label = f"best: {lowest:.1f} % at iteration {best}"
        error.plot(best, lowest, "o", color=ORANGE, markersize=3, label=label)
    for which, (updates_made, share) in _take_train_errors(results, best, n).items():
        label = f"train, {which} parameters: {100 * share:.1f} %"
        marker = dict(best="s", last="D")[which]
        error.plot(updates_made, 100 * share, marker, color=GREEN, markersize=3, label=label)
    error.set(ylabel="error (%)", ylim=(0, None))
    steps = trace_patience(validation, patience)
    grown = zip(*steps, (n, steps[-1][1]))
    wait.step(*grown, where="post", color=BLUE, linewidth=1, label="patience")
    wait.plot([0, n], [0, n], "--", color=GREY, linewidth=1, label="iterations made")
    wait.set(xlabel="iteration", ylabel="iterations", xlim=(0, n), ylim=(0, None))
    for axes in grid:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
    cost.figure.align_ylabels(list(grid))
    return grid


def _take_train_errors(results, best, n):
    """Return (updates made, patch error on train) of the best and the last parameters."""
    train = (results.get("errors") or {}).get("train") or {}
    return {
        which: (made, float(train[which]["patch_error"]))
        for which, made in (("best", best), ("last", n))
        if which in train
    }


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
