"""The command ``deep-artists``: the whole experiment, and its steps by themselves.

What a command finds goes to stdout, what it does and what went wrong to stderr. The exit status
is 0, or 1 where something was left out under ``--strict`` or a check failed, or 2 for an error.
"""

import argparse
import json
import os
import sys
from pathlib import Path

SEED = 23455


def main(argv=None):
    """Run the command line; return the exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        if getattr(arguments, "jobs", None) == 0:
            raise ValueError("--jobs 0: a number of processes is needed, or -1 for one per core")
        return arguments.run(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return fail("interrupted")
    except MemoryError:
        return fail("there is not enough memory; take a smaller network or fewer patches")
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
    predict = add("predict", run_predict, "sound files -> the artists a model takes them for")
    predict.add_argument("--top", type=int, default=3, metavar="N", help="artists to name (default: 3)")
    form = predict.add_mutually_exclusive_group()
    for name in ("json", "csv"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, default="text",
                          help=f"print {name.upper()}")
    features = add("features", run_features, "sound files -> what a layer makes of them, as .npz")
    features.add_argument("--layer", default="hidden", choices=["pool", "hidden", "proba"])
    features.add_argument("--aggregate", default="mean", choices=["none", "mean", "meanstd"],
                          help="over the patches of a track (default: mean)")
    plot = add("plot", run_plot, "a run or a model -> pictures (needs deep_artists[plots])")
    plot.add_argument("run_or_model", metavar="RUN_OR_MODEL")
    convert = add("convert", run_convert, "a model pickled in 2013 -> a model")
    convert.add_argument("old", metavar="OLD.pkl")
    convert.add_argument("new", metavar="NEW.npz")
    recipes = add("recipes", run_recipes, "list the recipes, or show one")
    recipes.add_argument("name", nargs="?", metavar="NAME")
    info = add("info", run_info, "what a bug report needs: versions, processor, compiler")
    verify = add("verify", run_verify, "compare this machine with the recordings of 2013")
    verify.add_argument("--quick", action="store_true", help="leave out the program's whole runs")
    for command in (info, verify):
        command.add_argument("--json", action="store_true", help="print JSON")
    for command in (predict, features):
        command.add_argument("model", metavar="MODEL", help="a model, .npz")
        command.add_argument("audio", nargs="+", metavar="AUDIO", help="sound files or folders")

    for command, jobs in ((reproduce, -1), (extract, -1), (predict, 1), (features, 1)):
        command.add_argument("--jobs", type=int, default=jobs, metavar="N",
                             help=f"processes that read audio; -1: one per core (default: {jobs})")
        command.add_argument("--strict", action="store_true",
                             help="exit with status 1 if a file was left out")
    extract.add_argument("--shard-tracks", type=int, metavar="N",
                         help="write shards of about N tracks (256, say), not a file for each")
    for command in (reproduce, extract):
        command.add_argument("--cluster", metavar="tcp://HOST:PORT",
                             help="extract on the workers of this Dask scheduler, which share the "
                             "file system, instead of --jobs (needs deep_artists[cluster])")
    for command in (reproduce, dataset):
        command.add_argument("--labels", default="folder", metavar="RULE",
                             help="folder (AUDIO_DIR/<artist>/<track>), filename (first 18 "
                             "characters, as in 2013) or a CSV file: path, artist[, group]")
    for command, recipe in ((reproduce, "page"), (train, "page"), (convert, "last")):
        command.add_argument("--recipe", default=recipe, metavar="NAME",
                             help=f"first, second, third, last, page or a .toml file (default: {recipe})")
        command.add_argument("--set", dest="overrides", action="append", default=[],
                             metavar="FIELD=VALUE", help="another value for a field of the recipe")
    for command in (reproduce, train):
        command.add_argument("--floatX", default="float32", choices=["float32", "float64"])
        command.add_argument("--epochs", type=int, metavar="N", help="largest number of epochs")
        command.add_argument("--checkpoint", metavar="DIR",
                             help="keep the state of training here, and go on from it")
        command.add_argument("--memory", type=float, metavar="MB", help="megabytes of patches to hold "
                             "in memory; a larger set is read from disk in runs (default: no limit)")
    for command in (reproduce, train, predict, features, verify):
        command.add_argument("--device", default="cpu", metavar="NAME",
                             help="cpu or cuda, a GPU (default: cpu)")
    for command in (reproduce, dataset, train):
        command.add_argument("--seed", type=int, default=SEED, metavar="N",
                             help="of what the command draws: split, initial values, shuffling "
                             f"(default: {SEED})")
    for command, out in ((reproduce, "run"), (extract, "patches"), (dataset, "set"),
                         (train, "model"), (plot, "plots"), (features, "features.npz")):
        command.add_argument("--out", default=f"deep_artists_{out}", metavar="PATH",
                             help=f"where the results go (default: deep_artists_{out})")
    return parser


def run_reproduce(arguments):
    from .dataset import make_dataset
    from .experiment import make_folder, report_failed, report_set, stage, train_and_report
    from .extraction import extract_folder, read_failed
    from .patches import AUDIO_SUFFIXES, find_files

    check_recipe(arguments)
    out = make_folder(arguments.out)
    seconds, audio_dir, labels = {}, arguments.audio_dir, arguments.labels
    if audio_dir is None:
        from .corpus import write_corpus

        if labels != "folder":
            raise ValueError(f"--labels {labels} is for a folder of yours: give AUDIO_DIR as well")

        with stage(seconds, "corpus"):
            audio_dir = write_corpus(out / "corpus", jobs=arguments.jobs)
    with stage(seconds, "extract"):
        report = extract_folder(
            audio_dir, out / "patches", jobs=arguments.jobs, cluster=arguments.cluster
        )
        report_failed(report)
    with stage(seconds, "dataset"):
        datasets = make_dataset(
            out / "patches", out / "set", labels=labels, seed=arguments.seed,
            # not what an earlier run left there
            only={*find_files(audio_dir, AUDIO_SUFFIXES)} - {n for n, _ in read_failed(report.report)},
        )
        report_set(datasets)
    train_and_report(datasets, out, seconds, arguments.recipe, arguments.floatX,
                     arguments.checkpoint, arguments.device, arguments.memory)
    made = "" if arguments.audio_dir else "corpus/ "
    print(f"wrote {out}: {made}patches/ set/ model.npz log.txt results.json")
    return int(arguments.strict and bool(report.failed))


def run_extract(arguments):
    from .experiment import report_failed
    from .extraction import extract_folder

    report = extract_folder(
        arguments.audio_dir, arguments.out, jobs=arguments.jobs,
        shard_tracks=arguments.shard_tracks, cluster=arguments.cluster,
    )
    report_failed(report)
    print(f"wrote {arguments.out}: {report.done} tracks, {report.reused} were there "
          f"already, {report.failed} left out")
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
    train_and_report(datasets, out, {}, arguments.recipe, arguments.floatX, arguments.checkpoint,
                     arguments.device, arguments.memory)
    print(f"wrote {out}: model.npz log.txt results.json")
    return 0


def run_predict(arguments):
    from .predict import format_predictions, predict_tracks

    predictions = predict_tracks(
        load_model(arguments), arguments.audio, top=arguments.top, jobs=arguments.jobs
    )
    print(format_predictions(predictions, arguments.form), end="")
    failed = [(p.path, p.failed) for p in predictions if p.failed]
    status = report_left_out(arguments, failed)
    if len(failed) == len(predictions):
        raise ValueError("none of the files could be used")
    return status


def run_features(arguments):
    from .experiment import make_folder
    from .features import extract_features, save_features

    folder = make_folder(Path(arguments.out).parent)
    features = extract_features(
        load_model(arguments), arguments.audio, arguments.layer, arguments.aggregate,
        jobs=arguments.jobs, scratch=folder,
    )
    save_features(features, arguments.out, layer=arguments.layer, aggregate=arguments.aggregate)
    rows, width = features.features.shape
    print(f"wrote {arguments.out}: {len(features.track_names)} tracks, {rows} rows of {width}")
    return report_left_out(arguments, features.failed)


def load_model(arguments):
    from .device import check_device
    from .model import Model

    check_device(arguments.device)
    model = Model.load(arguments.model)
    model.device = arguments.device
    return model


def report_left_out(arguments, failed):
    for path, reason in failed:
        print(f"left out {path}: {reason}", file=sys.stderr)
    return int(arguments.strict and bool(failed))


def run_plot(arguments):
    from .plots import save_all

    for path in save_all(arguments.run_or_model, arguments.out):
        print(f"wrote {path}")
    return 0


def run_convert(arguments):
    from .convert import to_model

    model = to_model(arguments.old, arguments.recipe, **parse_overrides(arguments.overrides))
    model.save(arguments.new)
    print(f"wrote {arguments.new}: {', '.join(model.last)}")
    return 0


def run_recipes(arguments):
    from .recipe import list_recipes, load_recipe

    if arguments.name is None:
        for name in list_recipes():
            print(f"{name:<8}{load_recipe(name).description}")
    else:
        for name, value in load_recipe(arguments.name).to_dict().items():
            print(f"{name} = {json.dumps(value)}")
    return 0


def run_info(arguments):
    from .machine import describe_machine, format_machine

    machine = describe_machine()
    print(json.dumps(machine, indent=1) if arguments.json else format_machine(machine))
    return 0


def run_verify(arguments):
    from .verify import main

    return main(quick=arguments.quick, as_json=arguments.json, device=arguments.device)


def check_recipe(arguments):
    """Load the recipe and see the device before anything takes time; put it for its name."""
    from .device import check_device
    from .recipe import load_recipe

    check_device(arguments.device)

    overrides = {"seed": arguments.seed, **parse_overrides(arguments.overrides)}
    if arguments.epochs is not None:
        overrides["n_epochs"] = arguments.epochs
    arguments.recipe = load_recipe(arguments.recipe, **overrides)


def parse_overrides(texts):
    """Return the fields that --set gives, by name."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: FIELD=VALUE is needed, as learning_rate=0.01")
        try:
            overrides[name] = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"--set {text}: {value!r} is no number, true, false or [a, b]") from error
    return overrides
