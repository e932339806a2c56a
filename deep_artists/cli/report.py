"""What the command line does around the steps: time them, report them, write the results."""

import json
import os
import tempfile
import time
from itertools import islice
from pathlib import Path

from ..data.files import new_file, printable, remove_unfinished
from .output import note, say

SHOWN = 50  # of the files left out
MOST_OF_TRAIN = 20_000  # patches, of which the error on train is measured
WHICH = ("best", "last")  # parameters


def make_folder(path):
    """Make the folder for results, and see that it can be written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{path} cannot be written to ({error}); give another --out") from error
    return path


class stage:
    """Time a stage and name it on stderr."""

    def __init__(self, seconds, name):
        self.seconds, self.name = seconds, name

    def __enter__(self):
        note(f"{self.name} ...")
        self.start = time.perf_counter()

    def __exit__(self, *error):
        self.seconds[self.name] = round(time.perf_counter() - self.start, 3)


def report_failed(report):
    """Print the first of the files that an extraction left out, and where the others are listed."""
    from ..data.extraction import read_failed

    for path, reason in islice(read_failed(report.report), SHOWN):
        note(f"left out {printable(path)}: {printable(reason)}")
    if report.failed > SHOWN:
        note(f"... and others, listed in {printable(report.report)}")
    if report.failed:
        total = report.done + report.reused + report.failed
        note(f"{report.failed} of {total} files left out")
    if report.others:
        commonest = sorted(report.others.items(), key=lambda item: (-item[1], item[0]))
        kinds = [f"{n} {printable(suffix) or 'without suffix'}" for suffix, n in commonest]
        more = f", {len(kinds) - 20} kinds more" if len(kinds) > 20 else ""
        note(f"left out, not sound files: {', '.join(kinds[:20])}{more}")


def report_set(datasets):
    """Print what a set leaves out, and which artists its parts lack."""
    left_out = datasets.info.get("left_out", [])
    for name, reason in left_out[:SHOWN]:
        note(f"left out {printable(name)}: {printable(reason)}")
    if len(left_out) > SHOWN:
        note(f"... and {len(left_out) - SHOWN} others, listed in dataset.json")
    for doubt in datasets.info.get("doubts", []):
        note(printable(doubt))
    report_silence(datasets.info)
    for split, artists in datasets.info.get("absent", {}).items():
        if artists:
            names = ", ".join(map(printable, artists[:20]))
            more = f" and {len(artists) - 20} more artists" if len(artists) > 20 else ""
            note(f"{split} has no track of {names}{more}")


def report_silence(info):
    """Print how many patches are silence, and of whom most."""
    silence = info.get("silence", {})
    counts = silence.get("tracks", {})
    if not counts:
        return
    artist_of = {t["name"]: t["artist"] for tracks in info["tracks"].values() for t in tracks}
    by_artist = {}
    for name, n in counts.items():
        artist = artist_of.get(name)  # none, where all of the track was left out
        total, tracks = by_artist.get(artist, (0, 0))
        by_artist[artist] = total + n, tracks + 1
    artist, (most, tracks) = max(by_artist.items(), key=lambda item: item[1])
    what = "were left out" if silence["dropped"] else "are kept (--drop-silence leaves them out)"
    note(
        f"{sum(counts.values())} patches of {len(counts)} tracks are silence, exactly zero, and "
        f"{what}; {most} of them are of {tracks} tracks of {printable(str(artist))}"
    )


def remove_results(out):
    """Remove the results of an earlier run from a folder."""
    for name in ("results.json", "log.txt", "model.npz", "report.html"):
        (out / name).unlink(missing_ok=True)


def announce_earlier(out):
    """Say that a run will take the place of an earlier one."""
    try:
        recipe = json.loads((out / "results.json").read_text())["recipe"]["name"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    note(f"{printable(out)} holds a run of recipe {printable(recipe)}: its results are replaced")


def save_model(model, path):
    """Save a model that took hours to train; if it cannot be, put it elsewhere and say so."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
        return
    except OSError as error:
        failure = error
    for find_folder in (Path.cwd, tempfile.gettempdir, Path.home):
        try:
            other = Path(find_folder()) / f"deep_artists_model_{time.time_ns()}.npz"
            model.save(other)
        except (OSError, RuntimeError):  # no such folder, not writable, full
            continue
        raise OSError(f"the model cannot be written to {path} ({failure}); it is in {other}")
    raise OSError(f"the model cannot be written to {path} ({failure}), nor anywhere else")


def train_and_report(
    datasets,
    out,
    seconds,
    recipe,
    floatX,
    checkpoint=None,
    device="cpu",
    memory_mb=None,
    corpus="",
    licence="",
    audio_dir=None,
    set_dir=None,
):
    """Train, save model, log and results into the folder `out`, print the table.

    seconds : dict, of the stages before; those of training are added.
    corpus, licence, audio_dir : of the recordings, where they are known.
    set_dir : where the set lies, if not in the folder.
    """
    import numpy as np

    from ..artists.train import train
    from ..use.card import make_card

    remove_unfinished(out)
    start = time.perf_counter()
    with stage(seconds, "train"):
        result = train(
            datasets,
            recipe,
            floatX=floatX,
            checkpoint=checkpoint,
            device=device,
            memory_mb=memory_mb,
            echo=say,
        )
    seconds["compile"] = round(result.compile_seconds, 3)
    seconds["train"] = round(result.seconds, 3)
    note(f"ran for {(time.perf_counter() - start) / 60:.2f}m")
    model = result.model
    for name in ("results.json", "log.txt", "report.html"):  # of an earlier model
        (out / name).unlink(missing_ok=True)
    save_model(model, out / "model.npz")
    with new_file(out / "log.txt") as file:
        file.write("".join(f"{line}\n" for line in result.log).encode())
    with stage(seconds, "evaluate"):
        errors = {
            name: {which: model.evaluate(split, which) for which in WHICH}
            for name, split in (("valid", datasets.valid), ("test", datasets.test))
        }
        errors["train"] = evaluate_some(model, datasets.train)
        by_artist = score_artists(model, datasets.test)
    chance = measure_chance(datasets.train, datasets.test)
    model.about["card"] = make_card(datasets, errors, chance, corpus, licence)
    save_model(model, out / "model.npz")  # it was safe before its errors were known
    results = {
        "recipe": model.recipe.to_dict(),
        "floatX": floatX,
        "device": device,
        "memory_mb": memory_mb,
        "audio_dir": audio_dir,
        "set_dir": set_dir,
        "errors": errors,
        "chance": chance["patch_error"],
        "chance_track": chance["track_error"],
        "test_by_artist": by_artist,
        "iterations": len(result.costs),
        "interrupted": result.interrupted,
        "diverged_at": result.diverged_at,
        "best_iteration": result.best_iteration,
        "validation": result.validation,
        "costs": [float(cost) if np.isfinite(cost) else None for cost in result.costs],
        "seconds": seconds,
        "versions": model.about["versions"],
    }
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, allow_nan=False).encode())
    say(format_table(errors, chance, seconds))
    if not result.validation:
        note(
            f"the best parameters are the last: {len(result.costs)} minibatches ended before the "
            "first validation; --set validation_frequency=0 validates once an epoch"
        )
    if result.diverged_at is not None:
        note(
            f"training diverged: from iteration {result.diverged_at} on its cost is not finite, "
            "and the last parameters are worth nothing; try a lower learning_rate (--set)"
        )


def evaluate_some(model, train):
    """Return the patch errors on train: on at most 20,000 of its patches, evenly spread."""
    step = -(-len(train.x) // MOST_OF_TRAIN)
    some = train.x[::step], train.y[::step]
    return {which: model.evaluate(some, which) | {"patches": len(some[1])} for which in WHICH}


def measure_chance(train, test):
    """Return the errors on test of always saying the commonest label of train.

    Of train's patches for patches, of its tracks for tracks; None where tracks are not known.
    """
    import numpy as np

    chance = {"patch_error": float(np.mean(test.y != np.bincount(train.y).argmax()))}
    if test.track is None:
        return chance | {"track_error": None}
    train_y, test_y = (
        split.y[np.unique(split.track, return_index=True)[1]] for split in (train, test)
    )
    return chance | {"track_error": float(np.mean(test_y != np.bincount(train_y).argmax()))}


def score_artists(model, test):
    """Return precision, recall and F1 of every artist of test: of patches, and of tracks if known.

    Those of the best parameters. An artist who is never named has a precision of 0.
    """
    import numpy as np

    y = {"patches": (np.asarray(test.y), model.predict(test.x))}
    if test.track is not None:
        tracks, predicted = model.predict_by_track(test.x, test.track)
        y["tracks"] = test.y[np.unique(test.track, return_index=True)[1]], predicted
    return {
        model.label_names[label]: {
            of: score(true == label, predicted == label) for of, (true, predicted) in y.items()
        }
        for label in np.unique(test.y)
    }


def score(is_artist, is_named):
    """Return scikit-learn's scores, which takes a second to import: both are bool arrays."""
    n, n_named, n_right = (int(a.sum()) for a in (is_artist, is_named, is_artist & is_named))
    return {
        "precision": n_right / n_named if n_named else 0.0,
        "recall": n_right / n,
        "f1": 2 * n_right / (n_named + n),
        "n": float(n),
    }


def format_table(errors, chance, seconds):
    """Return the table that ends a run."""

    def percent(share):
        return "-" if share is None else f"{100 * share:.1f} %"

    rows = [("error", "patches", "tracks")]
    for split in ("valid", "test"):
        for which in ("best", "last"):
            found = errors[split][which]
            rows.append(
                (
                    f"{split}, {which} parameters",
                    percent(found["patch_error"]),
                    percent(found["track_error"]),
                )
            )
    rows.append(
        (
            "chance (the commonest artist)",
            percent(chance["patch_error"]),
            percent(chance["track_error"]),
        )
    )
    lines = [f"{name:<30}{patches:>10}{tracks:>10}" for name, patches, tracks in rows]
    lines.append("(of all patches; the log counts whole minibatches only, as in 2013)")
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return "\n".join(["", *(line.rstrip() for line in lines), f"seconds: {stages}"])
