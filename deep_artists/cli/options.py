"""The options that several commands share, and the kinds of values they take."""

import argparse
import json

from ..artists.recipe import list_recipes, load_recipe
from . import commands


def add_out(parser, name):
    parser.add_argument(
        "--out",
        type=path,
        default=f"deep_artists_{name}",
        metavar="PATH",
        help=f"where the results go (default: deep_artists_{name})",
    )


def add_json(parser):
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_device(parser):
    parser.add_argument(
        "--device", default="cpu", metavar="NAME", help="cpu or cuda, a GPU (default: cpu)"
    )


def add_seed(parser):
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of what the command draws: split, initial values, shuffling (default: "
        f"{commands.SEED}, or the recipe's for all but the split)",
    )


def add_study_seed(parser, default, drawn):
    parser.add_argument(
        "--seed", type=int, default=default, metavar="N", help=f"of {drawn} (default: {default})"
    )


def add_labels(parser):
    parser.add_argument(
        "--labels",
        type=path,
        default="folder",
        metavar="RULE",
        help="folder (AUDIO_DIR/<artist>/[<album>/]<track>), tags (of the files), filename (first "
        "18 characters, as in 2013) or a CSV file: path, artist[, group], or FMA's tracks.csv",
    )
    parser.add_argument(
        "--group",
        default="album",
        choices=["album", "folder", "none"],
        help="what stays together in train, valid or test (default: album, as the labels give it)",
    )
    parser.add_argument(
        "--drop-silence", action="store_true", help="leave out patches that are exactly zero"
    )


def add_recipe(parser, default):
    parser.add_argument(
        "--recipe",
        default=default,
        metavar="NAME",
        help=f"{', '.join(list_recipes())} or a .toml file (default: {default})",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="another value for a field of the recipe, see below",
    )
    fields = load_recipe(default).to_dict()
    values = [
        f"{name}={json.dumps(value, separators=(',', ':'))}"
        for name, value in fields.items()
        if name not in ("name", "description")
    ]
    parser.epilog = f"Fields of a recipe, with the values of {default}: {' '.join(values)}"


def add_floatX(parser):
    parser.add_argument("--floatX", default="float32", choices=["float32", "float64"])


def add_training(parser):
    parser.add_argument(
        "--corpus", default="", metavar="NAME", help="of the recordings, for the model's card"
    )
    parser.add_argument(
        "--licence", default="", metavar="TEXT", help="of the recordings, for the model's card"
    )
    add_floatX(parser)
    parser.add_argument("--epochs", type=int, metavar="N", help="largest number of epochs")
    parser.add_argument(
        "--checkpoint",
        type=path,
        metavar="DIR",
        help="keep the state of training here, and resume from it",
    )
    parser.add_argument(
        "--memory",
        type=megabytes,
        metavar="MB",
        help="megabytes of patches to hold in memory; a larger set is read from "
        "disk in blocks (default: no limit)",
    )


def add_reading(parser, jobs):
    parser.add_argument(
        "--jobs",
        type=int,
        default=jobs,
        metavar="N",
        help=f"processes that read audio; -1: one per core (default: {jobs})",
    )
    add_strict(parser)


def add_strict(parser):
    parser.add_argument(
        "--strict", action="store_true", help="exit with status 1 if a file was left out"
    )


def add_cluster(parser):
    parser.add_argument(
        "--cluster",
        metavar="tcp://HOST:PORT",
        help="extract on the workers of this Dask scheduler, which share the "
        "file system, instead of --jobs (needs deep_artists[cluster])",
    )
    parser.add_argument(
        "--cluster-timeout",
        type=seconds,
        default=600,
        metavar="SECONDS",
        help="end after so long without any worker (default: 600)",
    )


def add_model(parser):
    parser.add_argument(
        "model",
        type=path,
        metavar="MODEL",
        help="a model, .npz, or open-music, which comes with the package",
    )


def add_model_and_audio(parser):
    add_model(parser)
    parser.add_argument(
        "audio", type=path, nargs="+", metavar="AUDIO", help="sound files or folders"
    )


def path(text):
    """Return a path that is not empty, which would mean the folder one is in."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no path")
    return text


def megabytes(text):
    """Return a finite positive number of megabytes."""
    return positive(text, "megabytes")


def seconds(text):
    """Return a finite positive number of seconds."""
    return positive(text, "seconds")


def positive(text, unit):
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}; a positive number of {unit} is needed")
    return number
