"""Do features learned from artists serve another task? Every number of the tables about it.

    deep-artists fetch open-music MUSIC
    python bench/transfer.py MUSIC --work FOLDER

The teacher is real music with its artists, the task another: to name the family of an instrument
that was never heard. 80 General MIDI instruments in ten families play the same six phrases each,
by another sound font (FluidR3, from Debian's fluid-soundfont-gm), which needs fluidsynth.

A job is COMPRESSION:CLIP:ARTISTS:SUBSET:SEED, as log:last30:23:0:1; it trains recipe `page`, with
the learning rate of `today` where its input is compressed, and looks at the features after 0, 8000,
20000 ... updates: those after 0 are its own initial values, with which all others are
paired. What is done is not done again; results are kept in bench/measured, and tables
are written from that file alone (--tables).
"""

import argparse
import csv
import json
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

RESULTS = HERE / "measured" / "transfer.json"
SNAPSHOTS = (0, 8000, 20000, 40000)  # updates
LEARNING_RATES = {"none": 0.05, "log": 0.01}  # those of page and today
LAYERS = ("pool", "hidden")
SPLIT_SEED = 23455
SHUFFLES, FOLDS, C = 3, 4, 1.0
DRAWS = 4000
JOBS = [
    *(f"log:last30:23:0:{seed}" for seed in range(1, 6)),
    *(f"none:last30:23:0:{seed}" for seed in range(1, 6)),
    *(f"log:all:23:0:{seed}" for seed in range(1, 4)),
    *(f"log:last30:{n}:{subset}:{subset}" for n in (5, 10) for subset in range(1, 4)),
]

# --- the task: instruments ---

FAMILIES = (
    "piano chromatic_percussion organ guitar bass strings ensemble brass reed pipe"
).split()  # General MIDI's first ten, eight programs each
PHRASES, PHRASE_S, SLOT_S, LEAD_S = 6, 6, 9, 1
TICKS_A_SECOND = 960


def compose_phrases():
    """Return lists of (start in s, length in s, pitch, velocity): the same for every instrument."""
    rng, phrases = random.Random(2013), []
    for beat_s, chord in ((0.5, 0), (0.5, 0), (0.5, 0), (1, 3), (1, 4), (2, 0)):
        notes = []
        for i in range(int(PHRASE_S / beat_s)):
            pitch, velocity = rng.randint(43, 72), rng.randint(50, 120)
            length = beat_s * rng.choice([0.5, 0.75, 0.95])
            for interval in (0, chord, 7) if chord else (0,):
                notes.append((i * beat_s, length, pitch + interval, velocity))
        phrases.append(notes)
    return phrases


def write_midi(program):
    """Return a MIDI file in which a program plays all phrases, one a slot."""
    events = [(0, b"\xc0" + bytes([program]))]
    for i, phrase in enumerate(compose_phrases()):
        for start, length, pitch, velocity in phrase:
            start += LEAD_S + SLOT_S * i
            events.append((round(start * TICKS_A_SECOND), bytes([0x90, pitch, velocity])))
            events.append((round((start + length) * TICKS_A_SECOND), bytes([0x80, pitch, 0])))
    track, now = b"", 0
    for tick, event in sorted(events):  # at one tick, notes end (0x80) before others begin (0x90)
        track += encode_length(tick - now) + event
        now = tick
    track += encode_length(3 * TICKS_A_SECOND) + b"\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_A_SECOND // 2)  # 120 beats a minute
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def encode_length(n):
    """Return a MIDI number: seven bits a byte, all but the last marked."""
    encoded = bytes([n & 127])
    while n := n >> 7:
        encoded = bytes([n & 127 | 128]) + encoded
    return encoded


def render_instruments(folder, soundfont):
    """Write ``<family>/<program>-<phrase>.flac``, phrases of 6 s, each with its peak at 0.7."""
    import soundfile

    for program in range(8 * len(FAMILIES)):
        family = folder / FAMILIES[program // 8]
        family.mkdir(parents=True, exist_ok=True)
        last = family / f"{program:03d}-{PHRASES - 1}.flac"
        if last.exists():
            continue
        midi, wav = folder / "playing.mid", folder / "playing.wav"
        midi.write_bytes(write_midi(program))
        options = "-niq -R 0 -C 0 -g 0.5 -r 44100 -o synth.dynamic-sample-loading=1 -F".split()
        subprocess.run(
            ["fluidsynth", *options, wav, soundfont, midi],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        y, sr = soundfile.read(wav)
        for i in range(PHRASES):
            phrase = y[(LEAD_S + SLOT_S * i) * sr :][: PHRASE_S * sr]
            peak = np.abs(phrase).max()
            assert len(phrase) == PHRASE_S * sr and peak > 1e-3, f"program {program} is silent"
            soundfile.write(last.with_name(f"{program:03d}-{i}.flac"), phrase * (0.7 / peak), sr)
        midi.unlink()
        wav.unlink()


def find_soundfont(work):
    """Return FluidR3's path; if it is not installed, take it out of Debian's package."""
    path = Path("usr/share/sounds/sf2/FluidR3_GM.sf2")
    for root in (Path("/"), work / "soundfont"):
        if (root / path).exists():
            return root / path
    (work / "soundfont").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "fluid-soundfont-gm"], cwd=root, check=True)
    [package] = root.glob("fluid-soundfont-gm_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root / path


def describe_patches(rows):
    """Return the mean and the standard deviation over a phrase's patches, one after the other."""
    rows = np.asarray(rows, np.float64)
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)])


def load_task(folder):
    """Return the patches of every file, their labels, and the groups that are tested together.

    A file is ``<label>/<group>-<number>.<suffix>``, or ``<label>/<group>.<suffix>``.
    """
    from deep_artists.data.tracks import open_patches

    patches = open_patches(folder)
    x = [np.array(patches.open(name)[0]) for name in patches.names]
    parts = [name.split("/") for name in patches.names]
    labels = np.array([part[-2] for part in parts])
    return x, labels, np.array([f"{part[-2]}/{part[-1].split('-')[0]}" for part in parts])


def cross_validate(features, labels, groups, shuffles):
    """Return whether each row is labelled rightly: bool [shape=(shuffles, rows)].

    Logistic regression on standardised features; a group is in one fold, so that nothing of what
    it is tested on was known.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    right = np.zeros((shuffles, len(labels)), bool)
    for seed in range(shuffles):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for known, unheard in folds.split(features, labels, groups):
            mean, deviation = features[known].mean(axis=0), features[known].std(axis=0)
            varies = deviation > 1e-9 * (np.abs(mean) + 1e-30)
            x = (features[:, varies] - mean[varies]) / deviation[varies]
            if x.shape[1] > len(known):  # the same solution in the space that the rows span
                x = x @ np.linalg.svd(x[known], full_matrices=False)[2].T
            fit = LogisticRegression(C=C, max_iter=2000).fit(x[known], labels[known])
            right[seed, unheard] = fit.predict(x[unheard]) == labels[unheard]
    return right


def share_right(features, labels, groups):
    """Return the share of right answers for every group, an instrument that was never heard."""
    right = cross_validate(features, labels, groups, SHUFFLES)
    return [round(float(right[:, groups == name].mean()), 4) for name in np.unique(groups)]


def measure_mel(x, labels, groups):
    """Return the right answers of mel power itself: over frames by band, and over patches."""
    from deep_artists.data.compression import log1p_power

    found = {}
    for kind, function in {"mel power": np.asarray, "log mel": log1p_power}.items():
        z = [function(patches.astype(np.float64)) for patches in x]
        bands = [p.reshape(-1, 64, 40).transpose(0, 2, 1).reshape(-1, 64) for p in z]
        for name, rows in ((f"{kind}, bands", bands), (f"{kind}, patches", z)):
            features = np.array([describe_patches(row) for row in rows])
            found[name] = share_right(features, labels, groups)
    return found


# --- the teacher: artists ---


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


# --- tables ---


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
        "log of mel power": lambda x: log1p_power(kinds["mel power"](x)),
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


def bootstrap(shares):
    """Return (mean, low, high) in percent: 95 % over instruments of the mean over seeds.

    shares : array [shape=(seeds, instruments)]
    """
    by_instrument = np.mean(shares, axis=0)
    draws = np.random.RandomState(0).randint(len(by_instrument), size=(DRAWS, len(by_instrument)))
    means = by_instrument[draws].mean(axis=1)
    return [100 * value for value in (by_instrument.mean(), *np.percentile(means, [2.5, 97.5]))]


def get_shares(results, prefix, layer, updates):
    """Return, by seed, the shares of right answers for every instrument of the jobs of a kind."""
    return {
        job.removeprefix(prefix): np.array(snapshot["right"][layer])
        for job, result in sorted(results["jobs"].items())
        if job.startswith(prefix)
        for snapshot in result["snapshots"]
        if snapshot["updates"] == updates
    }


def format_interval(shares):
    """Return mean and interval; shares : dict of arrays."""
    mean, low, high = bootstrap(list(shares.values()))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def subtract(a, b):
    """Return a - b, seed by seed, where both have one."""
    return {seed: a[seed] - b[seed] for seed in a if seed in b}


KINDS = {
    "none:last30:23:": "raw",
    "log:last30:23:": "log",
    "log:last30:10:": "log, 10 artists",
    "log:last30:5:": "log, 5 artists",
    "log:all:23:": "log, whole tracks",
}


def describe_versions(results):
    """Return the sentence that says what the figures were measured with."""
    versions = {
        json.dumps(result["versions"], sort_keys=True) for result in results["jobs"].values()
    }
    names = ("deep_artists", "pytensor", "numpy", "python")
    texts = [
        ", ".join(f"{name} {found[name]}" for name in names if found.get(name))
        for found in map(json.loads, sorted(versions))
    ]
    return f"Measured with {'; '.join(dict.fromkeys(texts))}."


def format_tables(results):
    """Return the tables in Markdown."""
    tables = [format_mel(results), format_networks(results), format_comparisons(results)]
    if "synthetic" in results:
        tables.insert(0, format_synthetic(results["synthetic"]))
    return "\n\n".join("\n".join(lines) for lines in tables)


def format_synthetic(found):
    lines = [f"| features | {' | '.join(found)} |", "|---|---|---|"]
    for kind in next(iter(found.values())):
        shares = [100 * np.array(by_kind[kind]) for by_kind in found.values()]
        cells = [f"{a.mean():.1f} ± {a.std(ddof=1):.1f}" for a in shares]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def format_mel(results):
    lines = ["| features | families right, % |", "|---|---|"]
    for name, shares in results["mel"].items():
        lines.append(f"| {name} | {format_interval({'': shares})} |")
    return lines


def format_networks(results):
    """Return accuracies and gains over the own initial values, and what the teacher has learned."""
    lines = [
        "| input | updates | seeds | pool | gain | hidden | gain | errors: patches, tracks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for prefix, name in KINDS.items():
        for updates in SNAPSHOTS:
            cells = []
            for layer in LAYERS:
                shares = get_shares(results, prefix, layer, updates)
                gain = subtract(shares, get_shares(results, prefix, layer, 0))
                if shares:
                    cells += [format_interval(shares), format_interval(gain) if updates else ""]
            if cells:
                errors = format_errors(results, prefix, updates) if updates else ""
                lines.append(
                    f"| {name} | {updates} | {len(shares)} | {' | '.join(cells)} | {errors} |"
                )
    return lines


def format_errors(results, prefix, updates):
    """Return the mean test errors of patches and of tracks, with deviations over the seeds."""
    errors = [
        (snapshot["errors"]["test"]["patch_error"], snapshot["errors"]["test"]["track_error"])
        for job, result in results["jobs"].items()
        if job.startswith(prefix)
        for snapshot in result["snapshots"]
        if snapshot["updates"] == updates
    ]
    mean = 100 * np.mean(errors, axis=0)
    if len(errors) == 1:
        return ", ".join(f"{m:.1f}" for m in mean)
    deviation = 100 * np.std(errors, axis=0, ddof=1)
    return ", ".join(f"{m:.1f} ± {d:.1f}" for m, d in zip(mean, deviation))


def format_comparisons(results):
    """Return differences in points: log input against raw, and networks against log mel."""
    lines = ["| difference | updates | seeds | points |", "|---|---|---|---|"]
    mel = np.array(results["mel"]["log mel, patches"])
    for updates in SNAPSHOTS:
        for layer in LAYERS:
            log, raw = (
                get_shares(results, f"{kind}:last30:23:", layer, updates)
                for kind in ("log", "none")
            )
            differences = {
                f"{layer}, log - raw": subtract(log, raw),
                f"{layer}, log - log mel of patches": {seed: a - mel for seed, a in log.items()},
            }
            for name, difference in differences.items():
                if difference:
                    cells = f"{updates} | {len(difference)} | {format_interval(difference)}"
                    lines.append(f"| {name} | {cells} |")
    return lines


def draw(results, path):
    """Draw accuracy against updates, with the 95 % interval over instruments."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "deep_artists", "svg.fonttype": "none"}  # same bytes
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    kinds = {prefix: name for prefix, name in KINDS.items() if ":last30:23:" in prefix}
    for axis, layer in zip(axes, LAYERS):
        for prefix, name in kinds.items():
            points = [(n, get_shares(results, prefix, layer, n)) for n in SNAPSHOTS]
            points = [(n, *bootstrap(list(shares.values()))) for n, shares in points if shares]
            if points:
                updates, mean, low, high = np.array(points).T
                axis.plot(updates, mean, ".-", label=f"{name} input")
                axis.fill_between(updates, low, high, alpha=0.15)
        mel = bootstrap([results["mel"]["log mel, patches"]])[0]
        axis.axhline(mel, color="grey", ls=":", label="log mel, patches")
        axis.set(title=f"{layer} layer", xlabel="updates on artists")
    axes[0].set_ylabel("instrument families right, %")
    axes[0].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


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
    parser.add_argument("--updates", type=int, default=SNAPSHOTS[-1], metavar="N")
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
