"""``deep-artists study genre``: train Sigtia and Dixon's networks and compare what they learn."""

import json
import re

from .options import add_floatX, add_out, add_strict, add_study_seed
from .study_genre_results import draw_curves, format_rows, judge, tell

RATES = {"sigmoid": 0.1, "relu": 0.003}
# Of the initial weights: from the wide ones of 2014 raw magnitudes kill most units.
RELU_BOUND = 0.1
HF_BATCH, HF_BATCHES = 500, 20  # frames of a minibatch, minibatches of curvature


def add_genre(studies):
    """Add the command."""
    help = "genres by a network on spectra: ReLU, dropout, Hessian-free (Sigtia and Dixon 2014)"
    parser = studies.add_parser("genre", help=help, description=help)
    parser.set_defaults(command=study_genre)
    parser.add_argument(
        "audio_dir",
        nargs="?",
        metavar="AUDIO_DIR",
        help="folder GENRE/*.wav, .au, .mp3, ..., as GTZAN's (default: the "
        "embedded synthetic corpus, the instrument as genre, the artist as the "
        "second label)",
    )
    add_out(parser, "genre")
    parser.add_argument(
        "--lists",
        nargs=3,
        metavar=("TRAIN", "VALID", "TEST"),
        help="text files that name the tracks of each part, a line each "
        "(default: drawn, 64, 16 and 20 %% of each genre)",
    )
    parser.add_argument(
        "--second", metavar="DIR", help="another such folder, to judge the same features by"
    )
    parser.add_argument(
        "--hidden",
        type=int,
        default=50,
        metavar="N",
        help="units of each of the three hidden layers (default: 50)",
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="of SGD (default: 200, of the embedded corpus 30)"
    )
    parser.add_argument(
        "--updates",
        type=int,
        metavar="N",
        help="of Hessian-free (default: 100, of the embedded corpus 15)",
    )
    for activation, rate in RATES.items():
        parser.add_argument(
            f"--rate-{activation}",
            type=float,
            default=rate,
            metavar="RATE",
            help=f"learning rate of the {activation} net (default: {rate})"
            + f"; it starts from weights in -{RELU_BOUND} .. {RELU_BOUND}" * (activation == "relu"),
        )
    parser.add_argument(
        "--standardise",
        action="store_true",
        help="the reproduction's front end: Hann window, inputs standardised by "
        "the training frames",
    )
    parser.add_argument(
        "--trees", type=int, default=500, metavar="N", help="of each random forest (default: 500)"
    )
    add_floatX(parser)
    add_study_seed(parser, 23455, "the split and of the order of minibatches")
    parser.add_argument(
        "--jobs",
        type=int,
        default=-1,
        metavar="N",
        help="processes that read audio, threads of the forests (default: -1, one per core)",
    )
    add_strict(parser)


def study_genre(arguments):
    """Run the study; return the exit status."""
    import numpy as np

    from ..data.files import new_file
    from ..data.spectra import extract_spectra, measure_scaling
    from ..data.versions import get_versions
    from .report import make_folder, stage

    out, seconds = make_folder(arguments.out), {}
    embedded = arguments.audio_dir is None
    n_epochs, n_updates = arguments.epochs, arguments.updates
    if n_epochs is None:
        n_epochs = 30 if embedded else 200
    if n_updates is None:
        n_updates = 15 if embedded else 100
    if min(n_epochs, n_updates, arguments.hidden, arguments.trees) < 1:
        raise ValueError("--epochs, --updates, --hidden and --trees: at least 1 is needed")
    window = "hann" if arguments.standardise else None

    with stage(seconds, "spectra"):
        folder, parts, second, left_out = list_tracks(arguments, out)
        for name, reason in left_out:
            tell(f"left out {name}: {reason}")
        names = [track.name for part in parts for track in part]
        spectra = extract_spectra(folder, names, out / "spectra.f32", window, arguments.jobs, tell)
        if spectra.failed:
            tell(f"{len(spectra.failed)} of {len(names)} files left out")
        check_lengths(spectra)
    parts = drop_failed(parts, spectra.failed)
    genres = sorted({track.artist for part in parts for track in part})
    labels = np.array([genres.index(track.artist) for part in parts for track in part])
    train, valid = cut_sets(spectra, labels, parts, len(genres))
    scaling = measure_scaling(train[0]) if arguments.standardise else None

    networks, curves = {}, {}
    for name, options in list_networks(arguments).items():
        with stage(seconds, name):
            networks[name], curves[name] = train_network(
                arguments, options, train, valid, len(genres), scaling, n_epochs, n_updates
            )
        save_network(
            networks[name], genres, out / f"{'_'.join(re.findall('[a-z]+', name.lower()))}.npz"
        )

    judged = [("genre", spectra, labels, parts)]
    if embedded:
        judged.append(("artist", spectra, second, parts))
    elif arguments.second:
        with stage(seconds, "second spectra"):
            judged.append(read_second(arguments, out, window))
    rows = {}
    for what, some, labels_of, parts_of in judged:
        with stage(seconds, f"judge by {what}"):
            judge(rows, what, networks, some, labels_of, parts_of, arguments)

    results = {
        "study": "genre",
        "genres": genres,
        "tracks": [len(part) for part in parts],
        "options": {name: value for name, value in vars(arguments).items() if name != "command"},
        "accuracy": [{"net": net, "decided by": by, **found} for (net, by), found in rows.items()],
        "curves": curves,
        "seconds": seconds,
        "versions": get_versions(),
        "left_out": [*left_out, *(failed for _, some, _, _ in judged for failed in some.failed)],
    }
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, allow_nan=False, indent=1).encode())
    drawn = draw_curves(curves, out / "curves.png")
    print(format_rows(rows, [what for what, *_ in judged]))
    print(f"wrote {out}: results.json{' curves.png' if drawn else ''} and the nets, *.npz")
    return int(arguments.strict and bool(results["left_out"]))


def list_tracks(arguments, out):
    """Return the folder, the tracks of train, valid and test, a second label for each track (for
    the embedded corpus), and what was left out."""
    import csv

    import numpy as np

    from ..data.spectra import find_genres, find_silent_genres, read_lists
    from ..data.tracks import SPLITS, Track, split_tracks

    second, left_out = None, []
    if arguments.audio_dir is None:
        from ..data.corpus import write_corpus

        if arguments.lists or arguments.second:
            raise ValueError(
                "--lists and --second are for a folder of yours: give AUDIO_DIR as well"
            )
        folder = write_corpus(out / "corpus", jobs=arguments.jobs)
        with open(folder / "tracks.csv", newline="", encoding="utf-8") as file:
            described = {row["path"]: row for row in csv.DictReader(file)}
        tracks = [Track(name, row["instrument"], name) for name, row in sorted(described.items())]
    else:
        folder, tracks = find_genres(arguments.audio_dir)
        left_out = find_silent_genres(folder, tracks)
    if arguments.lists:
        parts, unknown = read_lists(arguments.lists, tracks)
        left_out += unknown
    else:
        split = split_tracks(tracks, arguments.seed)
        parts = [sorted(split[name]) for name in SPLITS]
    if arguments.audio_dir is None:
        artists = [described[track.name]["artist"] for part in parts for track in part]
        second = np.unique(artists, return_inverse=True)[1]
    return folder, parts, second, left_out


def drop_failed(parts, failed):
    """Return the parts without the tracks that could not be read."""
    bad = {name for name, _ in failed}
    parts = [[track for track in part if track.name not in bad] for part in parts]
    if not all(parts):
        raise ValueError(
            "train, valid and test have "
            f"{', '.join(str(len(part)) for part in parts)} tracks that can be read; "
            "each needs at least 1"
        )
    return parts


def check_lengths(spectra):
    """Say how many tracks are too short for a window; refuse where all are."""
    import numpy as np

    from ..systems.genre_features import WINDOW

    short = int(np.sum(np.diff(spectra.ends, prepend=0) <= WINDOW))
    if short == len(spectra.names):
        raise ValueError(f"no track has more than {WINDOW} frames; features need so many")
    if short:
        tell(f"{short} tracks have no more than {WINDOW} frames: forests count them as wrong")


def cut_sets(spectra, labels, parts, n_genres):
    """Return the frames of train and of valid, each (x, y), y one-hot; x is mapped."""
    import numpy as np

    frames = np.diff(spectra.ends, prepend=0)
    y = np.eye(n_genres, dtype=np.float32)[np.repeat(labels, frames)]
    ends = [
        int(spectra.ends[len(parts[0]) - 1]),
        int(spectra.ends[len(parts[0]) + len(parts[1]) - 1]),
    ]
    return [(spectra.x[a:b], y[a:b]) for a, b in ((0, ends[0]), (ends[0], ends[1]))]


def list_networks(arguments):
    """Return what is compared: name -> options of `train_network`."""
    from ..systems.genre import DROPOUT_RATES

    return {
        "ReLU + dropout, SGD": dict(
            activation="relu", dropout_rates=DROPOUT_RATES, learning_rate=arguments.rate_relu
        ),
        "sigmoid, SGD": dict(activation="sigmoid", learning_rate=arguments.rate_sigmoid),
        "sigmoid, HF": dict(activation="sigmoid", learning_rate=None),
    }


def train_network(arguments, options, train, valid, n_genres, scaling, n_epochs, n_updates):
    """Train a network; return it with its best parameters, and its learning curves."""
    import numpy as np

    from ..nn.batches import Batches
    from ..systems.genre import N_IN, Network, draw_values
    from ..systems.genre_train import train_hessian_free, train_sgd

    options = dict(options)
    learning_rate = options.pop("learning_rate")
    n_hidden = [arguments.hidden] * 3
    if options["activation"] == "relu":
        rng = np.random.RandomState(arguments.seed)
        options["values"] = draw_values(rng, (N_IN, *n_hidden, n_genres), RELU_BOUND)
    network = Network(N_IN, n_hidden, n_genres, floatX=arguments.floatX, scaling=scaling, **options)
    rng = np.random.RandomState(arguments.seed)
    if learning_rate is None:
        sets = [
            Batches(*train, HF_BATCH, rng),
            Batches(*train, HF_BATCH, rng, min(HF_BATCHES, -(-len(train[0]) // HF_BATCH))),
            Batches(*valid, HF_BATCH, rng),
        ]
        history = train_hessian_free(network, *sets, n_updates=n_updates, say=tell)
    else:
        sets = [Batches(*some, 20, rng) for some in (train, valid)]
        history = train_sgd(network, *sets, learning_rate, n_epochs, say=tell)
    best = history.best
    if best is None or not all(np.isfinite(value).all() for value in best.values()):
        raise ValueError(
            f"{options['activation']}: the net diverged; try a lower learning rate "
            f"(--rate-{options['activation']})"
        )
    network.set_values(history.best)
    finite = [
        [float(v) if np.isfinite(v) else None for v in (costs.mean(), errors.mean())]
        for costs, errors in zip(history.valid_costs, history.valid_errors)
    ]
    costs, errors = zip(*finite)
    return network, {"seconds": history.seconds, "valid_cost": costs, "valid_error": errors}


def save_network(network, genres, path):
    """Write a network's parameters and what it takes to make it again, without pickle."""
    import numpy as np

    from ..data.files import new_file

    about = {"sizes": network.sizes, "activation": network.activation, "genres": genres}
    with new_file(path) as file:
        np.savez(file, about=np.array(json.dumps(about)), **network.values())


def read_second(arguments, out, window):
    """Return the second folder as what `judge` takes."""
    import numpy as np

    from ..data.spectra import extract_spectra, find_genres
    from ..data.tracks import SPLITS, split_tracks

    folder, tracks = find_genres(arguments.second)
    split = split_tracks(tracks, arguments.seed)
    parts = [sorted(split[name]) for name in SPLITS]
    names = [track.name for part in parts for track in part]
    spectra = extract_spectra(folder, names, out / "second.f32", window, arguments.jobs, tell)
    parts = drop_failed(parts, spectra.failed)
    labels = np.unique([track.artist for part in parts for track in part], return_inverse=True)[1]
    return f"{folder.name} (second)", spectra, labels, parts
