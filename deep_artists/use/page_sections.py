"""The sections of a run's page: each function returns (id, title, body).

What comes from the user, such as the names of artists and tracks, is escaped.
"""

from html import escape
from pathlib import Path

import numpy as np

from ..data.files import printable, read_json
from ..data.mel import N_MELS
from ..data.patches import N_FRAMES
from ..nn.curves import plot_learning_curves
from .card import format_card, format_share
from .charts import embed_tracks, name_output, plot_map, plot_probabilities, shorten
from .page_pieces import encode_png, make_button, make_chart, make_table, percent
from .plots import plot_filters, to_db
from .preferences import choose_patches, locate_filter, rank_patches, turn_back

MOST_ARTISTS = 40  # in a table of confusions
MOST_TRACKS = 400  # on the map
N_PATCHES = 4  # of a filter
N_TRACKS = 3  # drawn over time


def make_results(model, results):
    rows = []
    split_counts = model.about.get("card", {}).get("split", {})
    for split in ("train", "valid", "test"):
        for which, shares in results["errors"].get(split, {}).items():
            counts = split_counts.get(split, {})
            patches = format_share(
                shares["patch_error"], shares.get("patches") or counts.get("patches")
            )
            n_tracks = counts.get("tracks")
            tracks = format_share(shares["track_error"], n_tracks, interval=n_tracks is not None)
            rows.append((f"{split}, {which} parameters", patches, tracks))
    chance = (format_share(results.get(key), None) for key in ("chance", "chance_track"))
    rows.append(("chance: always the commonest artist", *chance))
    head = ("error", "patches", "tracks (95 % interval)")
    text = (
        "<p>Best parameters are those of lowest validation error, last ones those at the end. A "
        "track's artist is the one of highest mean log-probability over its patches. The error on "
        "train is of at most 20,000 of its patches.</p>"
    )
    seconds = ", ".join(f"{k} {v:.0f} s" for k, v in results.get("seconds", {}).items())
    took = f'<p class="faint">{escape(seconds)}</p>' if seconds else ""
    return "results", "Results", text + make_table(head, rows) + took


def make_curves(results):
    text = (
        "<p>The cost of every minibatch, the validation error, and patience: the run ends where "
        "the iterations made meet it, and it grows when validation improves. Squares and diamonds "
        "are errors on train, measured at the end.</p>"
    )
    figure = plot_learning_curves(results)[0].figure
    return "curves", "Learning curves", text + make_chart(figure, "Learning curves")


def make_confusions(model, test):
    tracks, predicted = model.predict_by_track(test.x, test.track)
    actual = np.asarray(test.y)[np.unique(test.track, return_index=True)[1]]
    by_patch = np.asarray(test.y), model.predict(test.x)
    body = (
        "<p>Rows are artists as they are, columns what the network says. Recall is the share of an "
        "artist's tracks that are found, precision the share of those so named that are right, F1 "
        "their harmonic mean.</p>"
        + make_confusion(model, actual, predicted)
        + "<details><summary>The same, by patch</summary>"
        + make_confusion(model, *by_patch)
        + "</details>"
    )
    return "confusions", "Who is taken for whom", body


def make_confusion(model, actual, predicted):
    """Return a table of counts with recall, precision and F1; of the commonest artists."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.unique(np.concatenate([actual, predicted]))
    commonest = np.argsort(-np.array([np.sum(actual == k) for k in labels]), kind="stable")
    shown = np.sort(labels[commonest[:MOST_ARTISTS]])
    counts = confusion_matrix(actual, predicted, labels=shown)
    precision, recall, f1, n = precision_recall_fscore_support(
        actual, predicted, labels=shown, zero_division=0
    )
    names = [shorten(printable(name_output(model, k)), 24) for k in shown]
    head = "".join(f'<th class="up" scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for i, name in enumerate(names):
        cells = "".join(
            f'<td class="n{" right" if i == j else ""}" style="background:rgba(var(--accent-rgb),'
            f'{0.65 * count / max(n[i], 1):.2f})">{count or ""}</td>'
            for j, count in enumerate(counts[i])
        )
        scores = "".join(f"<td>{percent(score[i])}</td>" for score in (recall, precision, f1))
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}{scores}</tr>')
    more = ""
    if len(labels) > len(shown):
        more = f'<p class="note">The {len(shown)} commonest of {len(labels)} artists.</p>'
    scores = "".join(f'<th scope="col">{name}</th>' for name in ("recall", "precision", "F1"))
    return (
        '<div class="scroll" tabindex="0"><table class="confusion"><thead><tr>'
        f'<th scope="col">actual</th>{head}{scores}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f"</table></div>{more}"
    )


def make_filters(model, datasets, sounds):
    test, weights = datasets.test, turn_back(model.best["conv_W"])
    scores = rank_patches(model, test.x)
    n_bands, n_frames = model.recipe.filter_shape
    blocks = []
    for i in range(len(weights)):
        chosen = choose_patches(scores[:, i], N_PATCHES, test.track)
        patches, lowest = [], 0
        for k, p in enumerate(chosen):
            band, frame = locate_filter(model, test.x[p], i)
            lowest = band if k == 0 else lowest
            patches.append(make_patch(model, datasets, sounds, p, (band, frame, n_bands, n_frames)))
        body = "".join(patches) or '<p class="note">No patch of the test part answers to it.</p>'
        sound = make_button(sounds.of_filter(weights[i], lowest), f"filter {i + 1}", "hear it")
        blocks.append(
            f'<div class="filter"><figure><h3>Filter {i + 1}</h3>{make_filter_picture(weights, i)}'
            f'{sound}</figure><div class="patches">{body}</div></div>'
        )
    chart = make_chart(plot_filters(model)[0].figure, "The filters, with their axes")
    text = (
        "<p>A filter is a pattern of power over mel bands and time that slides over a patch of a "
        "quarter of a second: red where it looks for power, blue where it looks for none. Beside "
        "it are the patches of the test part that are most like it, one a track: by its answer "
        "over the patch's norm, since the loudest patch would else come first for nearly every "
        "filter. A white frame marks where the filter lies; low bands are at the bottom, brighter "
        "is louder.</p>"
        "<p>The sound of a patch is the two seconds around it. A filter is made audible by a sine "
        "for each band that it looks for: four times as it is, which is short, then once ten times "
        "slower. What it wants to be silent cannot be heard.</p>"
    )
    silent = f'<p class="note">{escape(sounds.why_silent())}</p>' if sounds.why_silent() else ""
    details = f"<details><summary>All filters, with axes</summary>{chart}</details>"
    return "filters", "What the filters look for", text + silent + "".join(blocks) + details


def make_filter_picture(weights, i):
    from matplotlib import colormaps

    limit = np.abs(weights).max() or 1
    image = colormaps["RdBu_r"](0.5 + 0.5 * weights[i] / limit)[::-1]
    picture = f'<img alt="weights of filter {i + 1}" src="{encode_png(image)}">'
    return f'<div class="picture">{picture}</div>'


def make_patch(model, datasets, sounds, p, frame):
    """Return the picture of a patch of test, with its name and its sound."""
    from matplotlib import colormaps

    test = datasets.test
    track, artist = datasets.track_names["test"][test.track[p]], name_output(model, test.y[p])
    level = to_db(test.x[p])
    image = colormaps["magma"](1 + level / 60)[::-1]
    band, first, n_bands, n_frames = frame
    where = (
        f"left:{100 * first / N_FRAMES:.1f}%;width:{100 * n_frames / N_FRAMES:.1f}%;"
        f"bottom:{100 * band / N_MELS:.1f}%;height:{100 * n_bands / N_MELS:.1f}%"
    )
    start_s, sound = sounds.of_patch(track, test.x[p])
    when = "" if start_s is None else f", {start_s:.1f} s"
    name = escape(printable(f"{artist}: {Path(track).name}{when}"))
    return (
        f'<figure><div class="picture"><img alt="patch of {name}" src="{encode_png(image)}">'
        f'<i style="{where}"></i></div>{make_button(sound, name, "play")}'
        f"<figcaption>{name}</figcaption></figure>"
    )


def make_times(model, datasets, sounds):
    """Return the probabilities over time of the first tracks of different artists."""
    test, charts = datasets.test, []
    tracks, first = np.unique(test.track, return_index=True)
    others = np.sort(np.unique(np.asarray(test.y)[first], return_index=True)[1])
    for t in tracks[others][:N_TRACKS]:
        rows = test.track == t
        x, name = test.x[rows], datasets.track_names["test"][t]
        times_s, sound = sounds.of_track(name, x)
        axes = plot_probabilities(model, x, times_s)
        actual = name_output(model, test.y[np.flatnonzero(rows)[0]])
        title = escape(printable(f"{name} (by {actual})"))
        player = f'<audio controls preload="none" src="{sound}"></audio>' if sound else ""
        chart = make_chart(axes.figure, f"Probabilities of artists over {name}")
        charts.append(f"<div><h3>{title}</h3>{chart}{player}</div>")
    text = (
        "<p>What the network says of every patch of a track, for the artists of highest mean "
        "probability. A quarter of a second is often not enough to tell.</p>"
    )
    return "times", "Over time", f'{text}<div class="pair">{"".join(charts)}</div>'


def make_map(model, datasets, method):
    left, embedded = MOST_TRACKS, []
    for split in (datasets.test, datasets.valid, datasets.train):
        if left:
            embedded.append(embed_tracks(model, split, most=left))
            left -= len(embedded[-1][1])
    features, labels = map(np.concatenate, zip(*embedded))
    if len(features) < 3:
        return "map", "A map of tracks", '<p class="note">There are too few tracks for a map.</p>'
    text = (
        f"<p>{len(features)} tracks of all parts by the mean of their hidden units, in the plane "
        f"that {dict(pca='varies most', tsne='keeps neighbours together (t-SNE)')[method]}. "
        "Each colour, and beyond eight artists each shape, is an artist.</p>"
    )
    axes = plot_map(features, labels, model.label_names, method)
    return "map", "A map of tracks", text + make_chart(axes.figure, "A map of tracks")


def make_card_section(model, run):
    card = escape(format_card(model, f"Model card: {run.resolve().name}"))
    return "card", "The model's card", f"<pre>{card}</pre>"


def make_certificate(run):
    """Return what `verify --json` found on this machine, if its output lies in the run."""
    path = run / "verify.json"
    title = "Is it right?"
    if not path.is_file():
        command = escape(f"deep-artists verify --json > {path}")
        return "verify", title, f'<p class="note">Not compared yet: <code>{command}</code></p>'
    found = read_json(path, checks=list, cite=str)
    rows = [
        (
            c["quantity"],
            c["recorded_by"],
            str(c["bound"]),
            str(c["measured"]),
            "pass" if c["passed"] else "FAIL",
        )
        for c in found["checks"]
    ]
    table = make_table(("quantity", "recorded by", "bound", "measured", ""), rows)
    details = f"<details><summary>{len(rows)} checks</summary>{table}</details>"
    return "verify", title, f"<p>{escape(found['cite'])}</p>{details}"
