"""From nothing to a paper's figure: make music, train, embed, compare, draw.

    python reference/tour.py FOLDER [EPOCHS]

The figure shows how well features of tracks tell an instrument that the network never had as a
label, on artists that the classifier has not seen: of the trained network, and of the same network
as it was before training. The corpus is synthetic; the question is real.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deep_artists


def run(folder, n_epochs=40):
    """Make everything in a folder; return the accuracies by name."""
    folder = Path(folder)
    corpus = deep_artists.write_corpus(folder / "corpus", n_artists=20, n_tracks=5, duration_s=4.0)
    deep_artists.extract_folder(corpus, folder / "patches")
    datasets = deep_artists.make_dataset(folder / "patches", folder / "set")
    trained = deep_artists.train(datasets, "page", n_epochs=n_epochs, batch_size=40).model
    # At so low a rate a training leaves the initial values as they are.
    untrained = deep_artists.train(
        datasets, "page", n_epochs=1, batch_size=40, learning_rate=1e-12
    ).model

    with open(corpus / "tracks.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [corpus / row["path"] for row in rows]
    artists, instruments = ([row[key] for row in rows] for key in ("artist", "instrument"))
    scores = {}
    for name, model in (("untrained", untrained), ("trained", trained)):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        features = model.embed(paths, aggregate="meanstd")
        folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
        scores[name] = cross_val_score(classifier, features, instruments, groups=artists, cv=folds)

    figure = Figure(figsize=(3.5, 2.2), layout="constrained")
    axes = figure.subplots()
    for i, accuracy in enumerate(scores.values()):
        axes.plot(np.full(len(accuracy), i), 100 * accuracy, "o", color="#999999", markersize=3)
        axes.plot(i, 100 * accuracy.mean(), "D", color="#0072b2")
    axes.axhline(20, linestyle="--", color="#d55e00", linewidth=1, label="chance")
    axes.set(ylabel="instruments named right (%)", ylim=(0, 100), xlim=(-0.5, 1.5))
    axes.set_xticks(range(len(scores)), scores)
    axes.legend(frameon=False)
    figure.savefig(folder / "tour.pdf")
    return scores


if __name__ == "__main__":
    found = run(sys.argv[1], *map(int, sys.argv[2:3]))
    for name, accuracy in found.items():
        print(f"{name}: {100 * accuracy.mean():.1f} % ({len(accuracy)} folds)")
