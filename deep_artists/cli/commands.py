"""What each command does. What it needs is imported here, when it runs."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path

from ..data.files import printable
from .output import note, say

SEED = 23455
ATTRIBUTION = "ATTRIBUTION.md"


def reproduce(arguments):
    from ..data.dataset import make_dataset
    from ..data.extraction import extract_folder
    from ..data.files import own_folder
    from .report import (
        announce_earlier,
        remove_results,
        report_failed,
        report_set,
        stage,
        train_and_report,
    )

    check_recipe(arguments)
    check_labels(arguments.labels)
    out = Path(arguments.out)
    seconds, audio_dir, labels = {}, arguments.audio_dir, arguments.labels
    if audio_dir is None and labels != "folder":
        raise ValueError(f"--labels {labels} is for a folder of yours: give AUDIO_DIR as well")
    with own_folder(out):
        announce_earlier(out)
        if audio_dir is None:
            from ..data.corpus import write_corpus

            with stage(seconds, "corpus"):
                audio_dir = write_corpus(out / "corpus", jobs=arguments.jobs)
        with stage(seconds, "extract"):
            report = extract_folder(
                audio_dir,
                out / "patches",
                jobs=arguments.jobs,
                cluster=arguments.cluster,
                cluster_timeout_s=arguments.cluster_timeout,
                clip=arguments.recipe.clip,
            )
            report_failed(report)
        with stage(seconds, "dataset"):
            datasets = make_dataset(out / "patches", out / "set", **get_set_options(arguments))
            report_set(datasets)
        remove_results(out)  # they are of another set
        train_and_report(
            datasets,
            out,
            seconds,
            arguments.recipe,
            arguments.floatX,
            arguments.checkpoint,
            arguments.device,
            arguments.memory,
            **describe_corpus(arguments, audio_dir),
        )
    made = "" if arguments.audio_dir else "corpus/ "
    say(f"wrote {printable(out)}: {made}patches/ set/ model.npz log.txt results.json")
    say(list_next_commands(out))
    return int(arguments.strict and bool(report.failed))


def fetch(arguments):
    from ..data.open_music import fetch_open_music

    there, changed, missing = fetch_open_music(arguments.out, arguments.packages, say=note)
    for path in changed:
        note(f"its package now has another file under this name: {printable(path)}")
    reasons = Counter(reason for _, reason in missing)
    for reason, n in reasons.items():
        note(f"missing {n} tracks: {printable(reason)}")
    out = printable(arguments.out)
    say(f"wrote {out}: {len(there)} tracks, tracks.csv ATTRIBUTION.md licenses/")
    say(f"next: deep-artists reproduce {out} --labels {out}/tracks.csv")
    return int(bool(missing))


def extract(arguments):
    from ..data.extraction import extract_folder
    from .report import report_failed

    report = extract_folder(
        arguments.audio_dir,
        arguments.out,
        jobs=arguments.jobs,
        shard_tracks=arguments.shard_tracks,
        cluster=arguments.cluster,
        cluster_timeout_s=arguments.cluster_timeout,
        clip=arguments.clip,
    )
    report_failed(report)
    say(
        f"wrote {printable(arguments.out)}: {report.done} tracks, {report.reused} were there "
        f"already, {report.failed} left out"
    )
    if not report.done and not report.reused:
        raise ValueError(f"none of the files in {arguments.audio_dir} could be used")
    return int(arguments.strict and bool(report.failed))


def dataset(arguments):
    from ..data.dataset import make_dataset
    from .report import report_set

    datasets = make_dataset(arguments.patch_dir, arguments.out, **get_set_options(arguments))
    report_set(datasets)
    sizes = ", ".join(f"{len(s.x)} {n}" for n, s in zip(("train", "valid", "test"), datasets))
    say(f"wrote {printable(arguments.out)}: {len(datasets.label_names)} artists; patches: {sizes}")
    return 0


def train(arguments):
    from ..data.dataset import open_dataset
    from ..data.files import own_folder
    from .report import announce_earlier, train_and_report

    check_recipe(arguments)
    datasets = open_dataset(arguments.set)
    with own_folder(arguments.out):
        announce_earlier(Path(arguments.out))
        train_and_report(
            datasets,
            Path(arguments.out),
            {},
            arguments.recipe,
            arguments.floatX,
            arguments.checkpoint,
            arguments.device,
            arguments.memory,
            corpus=arguments.corpus,
            licence=arguments.licence,
            set_dir=str(Path(arguments.set).resolve()),
        )
    say(f"wrote {printable(arguments.out)}: model.npz log.txt results.json")
    return 0


def predict(arguments):
    from ..use.predict import format_predictions, predict_tracks

    predictions = predict_tracks(
        load_model(arguments), arguments.audio, top=arguments.top, jobs=arguments.jobs
    )
    text = format_predictions(predictions, arguments.form)
    if sys.stdout is not None and sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))  # names in CSV are as they are
    say(text, end="")
    failed = [(p.path, p.failed) for p in predictions if p.failed]
    status = report_left_out(arguments, failed)
    if len(failed) == len(predictions):
        raise ValueError("none of the files could be used")
    return status


def features(arguments):
    from ..use.features import extract_features, save_features
    from .report import make_folder

    folder = make_folder(Path(arguments.out).parent)
    features = extract_features(
        load_model(arguments),
        arguments.audio,
        arguments.layer,
        arguments.aggregate,
        jobs=arguments.jobs,
        scratch=folder,
    )
    save_features(features, arguments.out, layer=arguments.layer, aggregate=arguments.aggregate)
    rows, width = features.features.shape
    tracks = f"{len(features.track_names)} tracks"
    say(f"wrote {printable(arguments.out)}: {tracks}, {rows} rows of {width}")
    return report_left_out(arguments, features.failed)


def load_model(arguments):
    from ..artists.model import Model
    from ..ops.device import check_device

    check_device(arguments.device)
    model = Model.load(arguments.model)
    model.device = arguments.device
    if (iteration := model.about.get("diverged_at")) is not None:
        note(f"{printable(arguments.model)}: its training diverged at iteration {iteration}")
    return model


def report_left_out(arguments, failed):
    for path, reason in failed:
        note(f"left out {printable(path)}: {printable(reason)}")
    return int(arguments.strict and bool(failed))


def plot(arguments):
    from ..use.plots import save_all

    for path in save_all(arguments.run_or_model, arguments.out, arguments.format):
        say(f"wrote {printable(path)}")
    return 0


def report(arguments):
    from ..use.page import write_page

    out = arguments.out or Path(arguments.run, "report.html")
    path, notes = write_page(
        arguments.run, out, audio_dir=arguments.audio, map_method=arguments.map
    )
    for text in notes:
        note(printable(text))
    say(f"wrote {printable(path)}")
    return 0


def card(arguments):
    from ..artists.model import Model
    from ..use.card import format_card

    say(format_card(Model.load(arguments.model), Path(arguments.model).stem), end="")
    return 0


def completion(arguments):
    try:
        import shtab
    except ImportError as error:
        raise RuntimeError(
            'completion needs shtab, which is not there: pip install "deep_artists[completion]"'
        ) from error
    say(shtab.complete(arguments.make_parser(), arguments.shell))
    return 0


def convert(arguments):
    from ..use.convert import to_model

    model = to_model(arguments.old, arguments.recipe, **parse_overrides(arguments.overrides))
    model.save(arguments.new)
    say(f"wrote {printable(arguments.new)}: {', '.join(model.last)}")
    return 0


def recipes(arguments):
    from ..artists.recipe import list_recipes, load_recipe

    if arguments.name is None:
        for name in list_recipes():
            say(f"{name:<8}{load_recipe(name).description}")
    else:
        for name, value in load_recipe(arguments.name).to_dict().items():
            say(f"{name} = {json.dumps(value)}")
    return 0


def info(arguments):
    from ..evidence.machine import describe_machine, format_machine

    machine = describe_machine()
    say(json.dumps(machine, indent=1) if arguments.json else format_machine(machine))
    return 0


def verify(arguments):
    from ..evidence.report import main

    return main(quick=arguments.quick, as_json=arguments.json, device=arguments.device)


def check_recipe(arguments):
    """Check the device and load the recipe before anything slow; put it in place of its name."""
    from ..artists.recipe import load_recipe
    from ..ops.device import check_device

    if arguments.device == "cpu":
        from ..ops.compile import check_compiler

        check_compiler()
    check_device(arguments.device)
    overrides = parse_overrides(arguments.overrides)
    if arguments.seed is not None:
        overrides = {"seed": arguments.seed, **overrides}
    if arguments.epochs is not None:
        overrides["n_epochs"] = arguments.epochs
    arguments.recipe = load_recipe(arguments.recipe, **overrides)


def check_labels(labels):
    """Check before anything slow that a table of labels is there."""
    if labels not in ("folder", "tags", "filename") and not Path(labels).is_file():
        raise ValueError(
            f"--labels {labels}: no such file; folder, tags, filename or a CSV file is needed"
        )


def describe_corpus(arguments, audio_dir):
    """Return what a card says of the recordings: as the user states it, or the folder's name."""
    if arguments.audio_dir is None:
        from ..data.corpus import LICENCE, NAME

        name, licence = NAME, LICENCE
    else:
        name, licence = Path(audio_dir).resolve().name, ""
        if Path(audio_dir, ATTRIBUTION).is_file():  # as `fetch` writes it
            licence = f"each track's own, see {ATTRIBUTION} of the folder"
    return {
        "corpus": arguments.corpus or name,
        "licence": arguments.licence or licence,
        "audio_dir": str(Path(audio_dir).resolve()),
    }


def list_next_commands(out):
    """Return what can be done with a run, as commands to copy."""
    run, model = shlex.quote(str(out)), shlex.quote(str(out / "model.npz"))
    rows = [
        (f"report {run}", "a page to look at and to listen to"),
        (f"card {model}", "the card of the model, to cite it"),
        (f"predict {model} SONG.mp3", "the artists it is taken for"),
        (f"features {model} FOLDER", "a row of features for every track"),
    ]
    width = max(len(command) for command, _ in rows)
    return "\nnext:\n" + "\n".join(f"  deep-artists {c:<{width}}  # {what}" for c, what in rows)


def get_set_options(arguments):
    """Return the options of `make_dataset`; its seed is for the split, a recipe's for training."""
    return {
        "labels": arguments.labels,
        "seed": SEED if arguments.seed is None else arguments.seed,
        "group": arguments.group,
        "drop_silence": arguments.drop_silence,
    }


def parse_overrides(texts):
    """Return the fields that --set gives, by name."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: FIELD=VALUE is needed, as learning_rate=0.01")
        try:
            overrides[name] = json.loads(value)
        except (ValueError, RecursionError) as error:
            if not value.isidentifier():
                raise ValueError(
                    f"--set {text}: {value!r} is no number, word, true, false or [a, b]"
                ) from error
            overrides[name] = value
    return overrides
