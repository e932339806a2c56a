"""The command ``deep-artists``: the whole experiment, and its steps by themselves.

What a command finds goes to stdout, what it does and what went wrong to stderr. The exit status
is 0, or 1 where something was left out under ``--strict`` or a check failed, or 2 for an error.
"""

import argparse
import json
import os
import sys

SEED = 23455


def main(argv=None):
    """Run the command line; return the exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return fail("interrupted")
    except (ValueError, OSError, RuntimeError) as error:
        return fail(error)


def fail(message):
    print(f"deep-artists: error: {message}", file=sys.stderr)
    return 2


def make_parser():
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="deep-artists",
        description="Learn music features by recognising artists: Deep Unlearning (2013), rebuilt.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name, run, help):
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(run=run)
        return command

    reproduce = add("reproduce", run_reproduce, "run the whole experiment: sound files to results")
    reproduce.add_argument("audio_dir", nargs="?", metavar="AUDIO_DIR",
                           help="folder of sound files (default: the embedded synthetic corpus)")
    extract = add("extract", run_extract, "sound files -> mel patches")
    extract.add_argument("audio_dir", metavar="AUDIO_DIR", help="folder of sound files")
    dataset = add("dataset", run_dataset, "mel patches -> a labelled set, split by track")
    dataset.add_argument("patch_dir", metavar="PATCH_DIR", help="folder that extract wrote")
    train = add("train", run_train, "a set -> a model")
    train.add_argument("set", metavar="SET", help="folder that dataset wrote, or a pickle of 2013")

    for command in (reproduce, extract):
        command.add_argument("--jobs", type=int, default=-1, metavar="N",
                             help="processes that extract (default: -1, one per core)")
        command.add_argument("--strict", action="store_true",
                             help="exit with status 1 if a file was left out")
    for command in (reproduce, dataset):
        command.add_argument("--labels", default="folder", metavar="RULE",
                             help="folder (AUDIO_DIR/<artist>/<track>), filename (first 18 "
                             "characters, as in 2013) or a CSV file: path, artist[, group]")
    for command in (reproduce, train):
        command.add_argument("--recipe", default="page", metavar="NAME",
                             help="first, second, third, last, page or a .toml file (default: page)")
        command.add_argument("--floatX", default="float32", choices=["float32", "float64"])
        command.add_argument("--epochs", type=int, metavar="N", help="largest number of epochs")
        command.add_argument("--checkpoint", metavar="DIR",
                             help="keep the state of training here, and go on from it")
        command.add_argument("--set", dest="overrides", action="append", default=[],
                             metavar="FIELD=VALUE", help="another value for a field of the recipe")
    for command in (reproduce, dataset, train):
        command.add_argument("--seed", type=int, default=SEED, metavar="N",
                             help=f"of split, initial values and shuffling (default: {SEED})")
    for command, out in ((reproduce, "run"), (extract, "patches"), (dataset, "set"), (train, "model")):
        command.add_argument("--out", default=f"deep_artists_{out}", metavar="DIR",
                             help=f"folder for the results (default: deep_artists_{out})")
    return parser


def run_reproduce(arguments):
    from .dataset import make_dataset
    from .experiment import make_folder, report_failed, report_set, stage, train_and_report
    from .patches import extract_folder

    check_recipe(arguments)
    out = make_folder(arguments.out)
    seconds, audio_dir, labels = {}, arguments.audio_dir, arguments.labels
    if audio_dir is None:
        from .corpus import write_corpus

        with stage(seconds, "corpus"):
            audio_dir = write_corpus(out / "corpus", jobs=arguments.jobs)
        labels = "folder"
    with stage(seconds, "extract"):
        report = extract_folder(audio_dir, out / "patches", jobs=arguments.jobs)
        report_failed(report)
    with stage(seconds, "dataset"):
        datasets = make_dataset(
            out / "patches", out / "set", labels=labels, seed=arguments.seed,
            only={*report.done, *report.reused},  # not what an earlier run left there
        )
        report_set(datasets)
    train_and_report(datasets, out, seconds, arguments.recipe, arguments.floatX, arguments.checkpoint)
    print(f"wrote {out}: patches/ set/ model.npz log.txt results.json")
    return int(arguments.strict and bool(report.failed))


def run_extract(arguments):
    from .experiment import report_failed
    from .patches import extract_folder

    report = extract_folder(arguments.audio_dir, arguments.out, jobs=arguments.jobs)
    report_failed(report)
    print(f"wrote {arguments.out}: {len(report.done)} tracks, {len(report.reused)} were there "
          f"already, {len(report.failed)} left out")
    if not report.done and not report.reused:
        raise ValueError(f"none of the files in {arguments.audio_dir} could be used")
    return int(arguments.strict and bool(report.failed))


def run_dataset(arguments):
    from .dataset import make_dataset
    from .experiment import report_set

    datasets = make_dataset(
        arguments.patch_dir, arguments.out, labels=arguments.labels, seed=arguments.seed
    )
    report_set(datasets)
    sizes = ", ".join(f"{len(s.x)} {n}" for n, s in zip(("train", "valid", "test"), datasets))
    print(f"wrote {arguments.out}: {len(datasets.label_names)} artists; patches: {sizes}")
    return 0


def run_train(arguments):
    from .dataset import open_dataset
    from .experiment import make_folder, train_and_report

    check_recipe(arguments)
    datasets = open_dataset(arguments.set)
    out = make_folder(arguments.out)
    train_and_report(datasets, out, {}, arguments.recipe, arguments.floatX, arguments.checkpoint)
    print(f"wrote {out}: model.npz log.txt results.json")
    return 0


def check_recipe(arguments):
    """Load the recipe before anything takes time; put it in the place of its name."""
    from .recipe import load_recipe

    overrides = {"seed": arguments.seed}
    for override in arguments.overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"--set {override}: FIELD=VALUE is needed, as learning_rate=0.01")
        try:
            overrides[name] = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"--set {override}: {value!r} is no number, true, false or [a, b]") from error
    if arguments.epochs is not None:
        overrides["n_epochs"] = arguments.epochs
    arguments.recipe = load_recipe(arguments.recipe, **overrides)
