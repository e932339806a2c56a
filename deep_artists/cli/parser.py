"""The arguments of every command, a function for each."""

import argparse
import difflib

from .. import __version__
from . import commands
from .options import (
    add_cluster,
    add_device,
    add_json,
    add_labels,
    add_model,
    add_model_and_audio,
    add_out,
    add_reading,
    add_recipe,
    add_seed,
    add_training,
    path,
)
from .study_blocks import add_blocks
from .study_chroma import add_chroma
from .study_fretboard import add_fretboard
from .study_genre import add_genre


class Parser(argparse.ArgumentParser):
    """A parser that says which command or choice was probably meant."""

    def _check_value(self, action, value):
        near = difflib.get_close_matches(str(value), map(str, action.choices or ()), 1)
        if near and value not in action.choices:
            message = f"there is no {value!r}; did you mean {near[0]!r}?"
            raise argparse.ArgumentError(action, message)
        super()._check_value(action, value)


def make_parser():
    """Return the parser of all commands."""
    parser = Parser(
        prog="deep-artists",
        description="Learn music features by recognising artists: Deep Unlearning (2013), rebuilt.",
    )
    parser.add_argument("--version", action="version", version=f"deep-artists {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        add_reproduce,
        add_fetch,
        add_extract,
        add_dataset,
        add_train,
        add_predict,
        add_features,
        add_plot,
        add_report,
        add_card,
        add_convert,
        add_recipes,
        add_info,
        add_completion,
        add_verify,
        add_study,
    ):
        add(subparsers)
    return parser


def add_command(subparsers, command, help):
    """Add a command that is named after its function."""
    parser = subparsers.add_parser(command.__name__, help=help, description=help)
    parser.set_defaults(command=command)
    return parser


def add_reproduce(subparsers):
    parser = add_command(
        subparsers, commands.reproduce, "run the whole experiment: sound files to results"
    )
    parser.add_argument(
        "audio_dir",
        type=path,
        nargs="?",
        metavar="AUDIO_DIR",
        help="folder of sound files (default: the embedded synthetic corpus)",
    )
    add_out(parser, "run")
    add_labels(parser)
    add_recipe(parser, "page")
    add_training(parser)
    add_device(parser)
    add_seed(parser)
    add_reading(parser, jobs=-1)
    add_cluster(parser)


def add_fetch(subparsers):
    parser = add_command(subparsers, commands.fetch, "real music with artists -> a folder")
    parser.add_argument(
        "collection",
        choices=["open-music"],
        help="open-music: soundtracks of free games from Debian's packages, 14 hours, 900 MB",
    )
    parser.add_argument("out", type=path, metavar="DIR", help="folder for the music")
    parser.add_argument(
        "--packages",
        type=path,
        metavar="FOLDER",
        help="take the .deb files from this folder (default: apt-get download)",
    )


def add_extract(subparsers):
    parser = add_command(subparsers, commands.extract, "sound files -> mel patches")
    parser.add_argument("audio_dir", type=path, metavar="AUDIO_DIR", help="folder of sound files")
    add_out(parser, "patches")
    parser.add_argument(
        "--shard-tracks",
        type=int,
        metavar="N",
        help="write shards of about N tracks (256, say), not a file for each",
    )
    parser.add_argument(
        "--clip",
        default="last30",
        choices=["last30", "all"],
        help="the last 30 s of every recording, as in 2013, or all (default: last30)",
    )
    add_reading(parser, jobs=-1)
    add_cluster(parser)


def add_dataset(subparsers):
    parser = add_command(
        subparsers, commands.dataset, "mel patches -> a labelled set, split by track"
    )
    parser.add_argument(
        "patch_dir", type=path, metavar="PATCH_DIR", help="folder that extract wrote"
    )
    add_out(parser, "set")
    add_labels(parser)
    add_seed(parser)


def add_train(subparsers):
    parser = add_command(subparsers, commands.train, "a set -> a model")
    parser.add_argument(
        "set", type=path, metavar="SET", help="folder that dataset wrote, or a pickle of 2013"
    )
    add_out(parser, "model")
    add_recipe(parser, "page")
    add_training(parser)
    add_device(parser)
    add_seed(parser)


def add_predict(subparsers):
    parser = add_command(
        subparsers, commands.predict, "sound files -> the artists a model takes them for"
    )
    add_model_and_audio(parser)
    parser.add_argument(
        "--top", type=int, default=3, metavar="N", help="artists to name (default: 3)"
    )
    form = parser.add_mutually_exclusive_group()
    for name in ("json", "csv"):
        form.add_argument(
            f"--{name}",
            dest="form",
            action="store_const",
            const=name,
            default="text",
            help=f"print {name.upper()}",
        )
    add_device(parser)
    add_reading(parser, jobs=1)


def add_features(subparsers):
    parser = add_command(
        subparsers, commands.features, "sound files -> what a layer makes of them, as .npz"
    )
    add_model_and_audio(parser)
    add_out(parser, "features.npz")
    parser.add_argument("--layer", default="hidden", choices=["pool", "hidden", "proba"])
    parser.add_argument(
        "--aggregate",
        default="mean",
        choices=["none", "mean", "meanstd"],
        help="over the patches of a track (default: mean)",
    )
    add_device(parser)
    add_reading(parser, jobs=1)


def add_plot(subparsers):
    parser = add_command(
        subparsers, commands.plot, "a run or a model -> pictures (needs deep_artists[plots])"
    )
    parser.add_argument("run_or_model", type=path, metavar="RUN_OR_MODEL")
    add_out(parser, "plots")
    parser.add_argument("--format", default="png", choices=["png", "pdf", "svg"])


def add_report(subparsers):
    parser = add_command(
        subparsers,
        commands.report,
        "a run -> one HTML page to look at and to listen to (needs deep_artists[plots])",
    )
    parser.add_argument("run", type=path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out", type=path, metavar="PATH", help="the page (default: RUN/report.html)"
    )
    parser.add_argument(
        "--audio",
        type=path,
        metavar="AUDIO_DIR",
        help="folder of the sound files (default: where reproduce found them)",
    )
    parser.add_argument(
        "--map",
        default="pca",
        choices=["pca", "tsne"],
        help="how tracks are laid out: principal components or t-SNE (default: pca)",
    )


def add_card(subparsers):
    parser = add_command(
        subparsers, commands.card, "print the card of a model as Markdown: data, errors, versions"
    )
    add_model(parser)


def add_completion(subparsers):
    parser = add_command(
        subparsers,
        commands.completion,
        "print what lets a shell complete commands (needs deep_artists[completion])",
    )
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    parser.set_defaults(make_parser=make_parser)


def add_convert(subparsers):
    parser = add_command(subparsers, commands.convert, "a model pickled in 2013 -> a model")
    parser.add_argument("old", type=path, metavar="OLD.pkl")
    parser.add_argument("new", type=path, metavar="NEW.npz")
    add_recipe(parser, "last")


def add_recipes(subparsers):
    parser = add_command(subparsers, commands.recipes, "list the recipes, or show one")
    parser.add_argument("name", nargs="?", metavar="NAME")


def add_info(subparsers):
    parser = add_command(
        subparsers, commands.info, "what a bug report needs: versions, processor, compiler"
    )
    add_json(parser)


def add_verify(subparsers):
    parser = add_command(
        subparsers, commands.verify, "compare this machine with the recorded numbers of 2013"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out whole runs, and most checks of the other systems",
    )
    add_json(parser)
    add_device(parser)


def add_study(subparsers):
    help = "run another system of its time"
    study = subparsers.add_parser("study", help=help, description=help)
    studies = study.add_subparsers(metavar="SYSTEM", required=True)
    for add in (add_blocks, add_chroma, add_fretboard, add_genre):
        add(studies)
