"""Do features learned from artists serve another task? Every number of the tables about it.

    deep-artists fetch open-music MUSIC
    python bench/transfer.py MUSIC --work FOLDER

The teacher is real music with its artists, the task another: to name the family of an instrument
that was never heard, see `transfer_task`.

A job is COMPRESSION:CLIP:ARTISTS:SUBSET:SEED, as log:last30:23:0:1; it trains recipe `page`, with
the learning rate of `today` where its input is compressed, and looks at the features after 0, 8000,
20000 ... updates: those after 0 are its own initial values, with which all others are
paired. What is done is not done again; results are kept in bench/measured, and tables
are written from that file alone (--tables).
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from transfer_tables import LAYERS, SNAPSHOTS, draw, format_tables  # noqa: E402
from transfer_task import (  # noqa: E402
    cross_validate,
    describe_patches,
    find_soundfont,
    load_task,
    measure_mel,
    render_instruments,
    share_right,
)

RESULTS = HERE / "measured" / "transfer.json"
LEARNING_RATES = {"none": 0.05, "log": 0.01}  # those of page and today
SPLIT_SEED = 23455
JOBS = [
    *(f"log:last30:23:0:{seed}" for seed in range(1, 6)),
    *(f"none:last30:23:0:{seed}" for seed in range(1, 6)),
    *(f"log:all:23:0:{seed}" for seed in range(1, 6)),
    *(f"log:last30:{n}:{subset}:{subset}" for n in (5, 10) for subset in range(1, 4)),
]


def make_set(patches, labels, n_artists, subset, folder):
    """Return the labelled set of some of the artists, made if it is not there."""
    from deep_artists import make_dataset, open_dataset
    from deep_artists.data.tracks import label_tracks

    if (folder / "dataset.json").exists():
        return open_dataset(folder)
    tracks, _ = label_tracks(patches, labels, group="none")
    artists = sorted({track.artist for track in tracks})
    if n_artists < len(artists):
        artists = np.random.RandomState(1000 + subset).permutation(artists)[:n_artists]
    only = {track.name for track in tracks if track.artist in artists}
    whole = patches.name.endswith("all")
    return make_dataset(patches, folder, labels, SPLIT_SEED, only, group="none", drop_silence=whole)


def learn(job, dataset, most, echo):
    """Train; yield (updates, model, cost of the last 200) at every snapshot up to most updates."""
    from deep_artists import Model, load_recipe
    from deep_artists.artists.train import compile_steps
    from deep_artists.data.compression import compress, measure

    compression, clip, _, _, seed = job.split(":")
    recipe = load_recipe(
        "page",
        compression=compression,
        clip=clip,
        seed=int(seed),
        learning_rate=LEARNING_RATES[compression],
        n_out=len(dataset.label_names),
    )
    splits, about = [split[:2] for split in dataset], {}
    if compression == "log":
        about["input"] = measure(dataset.train.x)
        splits = [(compress(x, **about["input"]), y) for x, y in splits]
    steps = compile_steps(recipe, "float32", splits)
    del splits
    iteration, costs, n_batches = 0, [], steps.n_batches[0]
    for updates in [n for n in SNAPSHOTS if n <= most]:
        while iteration < updates:
            if iteration % n_batches == 0:
                steps.start_epoch(iteration // n_batches + 1)
            first = iteration % n_batches
            n = min(updates - iteration, n_batches - first)
            costs = [*costs, *map(float, steps.train(range(first, first + n)))][-200:]
            iteration += n
        values = steps.network.values()
        echo(f"{job}: {updates} updates")
        model = Model(values, values, recipe, dataset.label_names, about)
        yield updates, model, np.mean(costs or 0)


def run_job(job, music, work, task, most, echo=print):
    """Yield what a job finds, as a dict that JSON can hold, after every snapshot."""
    from deep_artists import __version__
    from deep_artists.data.versions import get_versions

    x, labels, groups = task
    start = time.perf_counter()
    _, clip, n_artists, subset, _ = job.split(":")
    dataset = make_set(
        work / f"patches-{clip}",
        music / "tracks.csv",
        int(n_artists),
        int(subset),
        work / f"set-{clip}-{n_artists}-{subset}",
    )
    ends = np.cumsum([len(patches) for patches in x])[:-1]
    sizes = {name: len(split.x) for name, split in zip(("train", "valid", "test"), dataset)}
    found = {
        "job": job,
        "patches": sizes,
        "artists": dataset.label_names,
        "snapshots": [],
        "versions": {**get_versions(), "deep_artists": __version__},
    }
    for updates, model, cost in learn(job, dataset, most, echo):
        right = {}
        for layer in LAYERS:
            rows = np.split(model.transform(np.concatenate(x), layer), ends)
            features = np.array([describe_patches(row) for row in rows])
            right[layer] = share_right(features, labels, groups)
        errors = {
            name: model.evaluate(split)
            for name, split in (("valid", dataset.valid), ("test", dataset.test))
        }
        found["snapshots"].append(
            {"updates": updates, "cost": float(cost), "errors": errors, "right": right}
        )
        means = {layer: round(float(np.mean(shares)), 3) for layer, shares in right.items()}
        echo(f"    {means} test {errors['test']}")
        yield found | {"seconds": round(time.perf_counter() - start)}


def measure_synthetic(run, work, jobs):
    """Return the accuracies of naming the instrument of a synthetic track, by corpus and features.

    run : Path, of ``deep-artists reproduce``: the corpus that the network learned from, and it
    """
    from deep_artists import Model, extract_folder, write_corpus
    from deep_artists.artists.network import Network
    from deep_artists.data.compression import log1p_power
    from deep_artists.data.tracks import open_patches

    model = Model.load(run / "model.npz")
    initial = Network(model.recipe, None, model.floatX).values()
    untrained = Model(initial, initial, model.recipe, model.label_names, model.about)
    kinds = {
        "mel power": lambda x: x.reshape(-1, 64, 40).transpose(0, 2, 1).reshape(-1, 64),
        "mel power, log(1 + 1e4 x)": lambda x: log1p_power(kinds["mel power"](x)),
        "mel power, log(1e-10 + x)": lambda x: np.log(1e-10 + kinds["mel power"](x)),
        "hidden layer, untrained": untrained.transform,
        "hidden layer, trained": model.transform,
    }
    found = {}
    for name, corpus in (
        ("corpus the network learned from", run / "corpus"),
        ("20 other artists", write_corpus(work / "other-corpus", seed=2014, jobs=jobs)),
    ):
        extract_folder(corpus, work / f"{corpus.name}-patches", jobs=jobs)
        patches = open_patches(work / f"{corpus.name}-patches")
        with open(corpus / "tracks.csv", newline="", encoding="utf-8") as file:
            rows = {row["path"]: row for row in csv.DictReader(file)}
        x = [np.array(patches.open(track)[0]) for track in patches.names]
        instrument = np.array([rows[track]["instrument"] for track in patches.names])
        artist = np.array([rows[track]["artist"] for track in patches.names])
        found[name] = {}
        for kind, function in kinds.items():
            features = np.array([describe_patches(function(patches)) for patches in x])
            right = cross_validate(features, instrument, artist, 10)
            found[name][kind] = right.mean(axis=1).tolist()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "music",
        type=Path,
        nargs="?",
        metavar="MUSIC",
        help="what `deep-artists fetch open-music` wrote",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("transfer"),
        metavar="FOLDER",
        help="for patches and sets (default: transfer)",
    )
    parser.add_argument(
        "--synthetic",
        type=Path,
        metavar="RUN",
        help="what `deep-artists reproduce` wrote: the same on its corpus",
    )
    parser.add_argument("--updates", type=int, default=40000, metavar="N")
    parser.add_argument("--jobs", nargs="*", default=JOBS, metavar="JOB")
    parser.add_argument(
        "--task",
        type=Path,
        metavar="FOLDER",
        help="another task, <label>/<file>, as GTZAN's genres_original; give --results as well",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--processes", type=int, default=-1, metavar="N")
    parser.add_argument("--tables", action="store_true", help="print the tables of what was found")
    parser.add_argument("--figure", type=Path, metavar="SVG", help="draw it (needs matplotlib)")
    arguments = parser.parse_args()
    results = {"mel": {}, "jobs": {}}
    if arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    if arguments.synthetic and "synthetic" not in results:
        results["synthetic"] = measure_synthetic(
            arguments.synthetic, arguments.work, arguments.processes
        )
        arguments.results.write_text(json.dumps(results))
    if arguments.music and not arguments.tables:
        measure_all(arguments, results)
    print(format_tables(results))
    if arguments.figure:
        draw(results, arguments.figure)


def measure_all(arguments, results):
    """Do the jobs that are not done, and keep what they find after each."""
    from deep_artists import extract_folder
    from deep_artists.data.files import new_file

    work = arguments.work
    task, jobs = arguments.task, arguments.processes
    if task is None:
        task = work / "instruments"
        render_instruments(task, find_soundfont(work))
    extract_folder(task, work / f"{task.name}-patches", jobs=jobs)
    for clip in sorted({job.split(":")[1] for job in arguments.jobs}):
        extract_folder(arguments.music, work / f"patches-{clip}", jobs=jobs, clip=clip)
    task = load_task(work / f"{task.name}-patches")
    results["mel"] = results["mel"] or measure_mel(*task)
    for job in arguments.jobs:
        done = results["jobs"].get(job, {"snapshots": []})["snapshots"]
        if not done or done[-1]["updates"] < arguments.updates:
            for found in run_job(job, arguments.music, work, task, arguments.updates):
                results["jobs"][job] = found
                with new_file(arguments.results) as file:
                    file.write(json.dumps(results).encode())


if __name__ == "__main__":
    main()
