"""Charts of how good a model is: which artist is taken for which, when, and how near they are.

A function draws into the Axes it is given, or into a Figure of its own, one journal column wide,
and returns its Axes.
"""

import numpy as np

from ..data.figures import make_figure, style
from ..data.mel import HOP_LENGTH, SR_HZ
from ..data.patches import N_FRAMES

PATCH_S = N_FRAMES * HOP_LENGTH / SR_HZ
MOST_LABELS = 150  # of a confusion matrix
MOST_IN_LEGEND = 24
# Okabe and Ito's, which colour-blind people tell apart; beyond eight artists other markers.
COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #666666 #b5a800".split()
MARKERS = "os^Dvp*XP<>hd"


@style()
def plot_confusion(model, split, per="track", parameters="best", ax=None):
    """Draw which label is taken for which.

    Parameters
    ----------
    model : Model
    split : (x, y) or (x, y, track)
        x float (n, 2560), y int (n,), track int (n,).
    per : {'track', 'patch'}
        What is counted; a track needs `track`.
    parameters : {'best', 'last'}
    ax : Axes, optional
        To draw into.

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
    names = [shorten(name) for name in names]
    counts = confusion_matrix(actual, predicted, labels=range(n))
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = np.where(counts.any(axis=1, keepdims=True), counts / total, np.nan)
    axes = make_figure(3.1).subplots() if ax is None else ax
    colours = colormaps["gray_r"].with_extremes(bad="#cfe2f3")
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto")
    step = -(-n // 30)  # so many names can be read
    axes.set_xticks(range(0, n, step), names[::step], rotation=90, parse_math=False)
    axes.set_yticks(range(0, n, step), names[::step], parse_math=False)
    axes.set(xlabel="predicted", ylabel="actual", title=error)
    axes.figure.colorbar(image, label=f"share of the {what} of a label")
    return axes


@style()
def plot_probabilities(model, x, times_s=None, top=5, parameters="best", ax=None):
    """Draw what the network says of a track, patch by patch.

    Parameters
    ----------
    model : Model
    x : np.ndarray [shape=(n, 2560)], float
        The patches of a track, in time order.
    times_s : np.ndarray [shape=(n,)], optional
        When they begin; from 0 on, patch after patch, if not given.
    top : int
        Artists to draw, those of highest mean probability.
    parameters : {'best', 'last'}
    ax : Axes, optional
        To draw into.

    Returns
    -------
    Axes
        A row for each artist, the likeliest on top; the others, if any, are joined into one.
    """
    p = model.transform(x, "proba", parameters).astype(np.float64)
    times_s = PATCH_S * np.arange(len(p)) if times_s is None else np.asarray(times_s)
    best = np.argsort(-p.mean(axis=0), kind="stable")[:top]
    others = np.clip(1 - p[:, best].sum(axis=1), 0, 1)
    names = [shorten(name_output(model, i)) for i in best]
    shares = [f"{name} {100 * share:.0f} %" for name, share in zip(names, p[:, best].mean(axis=0))]
    rows = p[:, best].T
    if len(best) < p.shape[1]:
        rows = np.vstack([rows, others[None]])
        shares.append(f"others {100 * others.mean():.0f} %")
    axes = make_figure(0.75 + 0.16 * len(rows)).subplots() if ax is None else ax
    step = times_s[1] - times_s[0] if len(times_s) > 1 else PATCH_S
    extent = (times_s[0], times_s[0] + step * len(p), len(rows) - 0.5, -0.5)
    image = axes.imshow(
        rows, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest"
    )
    axes.set_yticks(range(len(rows)), shares, parse_math=False)
    axes.set(xlabel="s")
    axes.figure.colorbar(image, ax=axes, label="probability", pad=0.02)
    return axes


def embed_tracks(model, split, parameters="best", most=None):
    """Return the mean hidden units of the first tracks of a split, and their labels.

    Returns
    -------
    features : np.ndarray [shape=(tracks, n_hidden)]
    labels : np.ndarray [shape=(tracks,)], int
    """
    tracks, first = np.unique(split.track, return_index=True)
    tracks, first = tracks[:most], first[:most]
    rows = [
        model.transform(split.x[split.track == t], "hidden", parameters).mean(axis=0)
        for t in tracks
    ]
    return np.array(rows), np.asarray(split.y)[first]


def flatten_map(features, method="pca", seed=0):
    """Return places in a plane for rows of features: tracks that sound alike lie close.

    Parameters
    ----------
    features : np.ndarray [shape=(n, k)]
    method : {'pca', 'tsne'}
        Principal components, of which the sign is chosen so that it does not depend on the
        machine; or t-SNE, which draws from `seed` and shows neighbours, not distances.

    Returns
    -------
    places : np.ndarray [shape=(n, 2)]
    names : list of str
        Of the two axes.
    """
    if method not in ("pca", "tsne"):
        raise ValueError(f"method = {method!r}; there are 'pca' and 'tsne'")
    if len(features) < 3:
        raise ValueError(f"{len(features)} tracks; at least 3 are needed for a map")
    if method == "pca":
        from sklearn.decomposition import PCA

        pca = PCA(2, svd_solver="full").fit(features)
        shares = 100 * pca.explained_variance_ratio_
        names = [f"component {i + 1} ({s:.0f} % of variance)" for i, s in enumerate(shares)]
        return pca.transform(features), names
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(features) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
    return places, ["t-SNE 1", "t-SNE 2"]


@style()
def plot_map(features, labels, names, method="pca", ax=None):
    """Draw tracks as points of a plane, coloured by artist.

    Parameters
    ----------
    features, labels
        As `embed_tracks` returns them.
    names : list of str
        Of the labels.
    method : {'pca', 'tsne'}
        See `flatten_map`.
    ax : Axes, optional
        To draw into.

    Returns
    -------
    Axes
    """
    places, axis_names = flatten_map(features, method)
    axes = make_figure(3.4).subplots() if ax is None else ax
    for k, label in enumerate(np.unique(labels)):
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k // len(COLOURS) % len(MARKERS)]
        own = places[labels == label]
        name = shorten(names[label]) if label < len(names) else f"output {label}"
        # In a label, $ begins a formula and a leading _ hides it.
        name = f" {name}" if name.startswith("_") else name
        axes.plot(*own.T, marker, color=colour, markersize=3, label=name.replace("$", r"\$"))
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    if len(np.unique(labels)) <= MOST_IN_LEGEND:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), ncols=1, handletextpad=0.1)
    return axes


def name_output(model, i):
    """Return the artist of an output, or its number where it has none."""
    return model.label_names[i] if i < len(model.label_names) else f"output {i}"


def shorten(name, most=20):
    """Return a name that fits beside an axis.

    >>> shorten("a" * 30)
    'aaaaaaaaaaaaaaaaaaa…'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"
