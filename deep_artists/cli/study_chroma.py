"""``deep-artists study chroma``: learned chroma beside fixed chroma and librosa's."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from .options import add_out, add_strict, add_study_seed

N_MIDDLE = 5  # frames of a synthetic chord to train on: its ends sound into its neighbours
COLUMNS = ("dot", "distance", "loss", "FWRR", "AICA", "majmin", "triads")


def add_chroma(studies):
    help = "learned chroma (Humphrey 2013) beside fixed octave equivalence and librosa's chroma"
    parser = studies.add_parser("chroma", help=help, description=help)
    parser.set_defaults(command=study_chroma)
    parser.add_argument(
        "audio_dir",
        nargs="?",
        metavar="AUDIO_DIR",
        help="sound files, each with its .lab or .jams beside it (default: "
        "synthetic chords, written as sound files)",
    )
    add_out(parser, "chroma")
    parser.add_argument(
        "--tracks",
        type=int,
        default=60,
        metavar="N",
        help="synthetic tracks of 50 chords; every third is for the test (default: 60)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=20000,
        metavar="N",
        help="minibatches of 50 that each network is trained on (default: 20000)",
    )
    add_study_seed(parser, 2013, "all that is drawn")
    add_strict(parser)


def study_chroma(arguments):
    import numpy as np

    from ..data.chords.vocabulary import index_labels
    from ..data.files import new_file
    from ..systems.chroma_files import read_frames
    from .report import make_folder, stage

    out, seconds = make_folder(arguments.out), {}
    check_counts(arguments, tracks=3, iterations=1)
    audio_dir = arguments.audio_dir
    if audio_dir is None:
        from ..data.chords.corpus import write_chord_corpus

        with stage(seconds, "corpus"):
            audio_dir = write_chord_corpus(out / "corpus", arguments.tracks, 50, arguments.seed)
    with stage(seconds, "frames"):
        synthetic = arguments.audio_dir is None
        frames = read_frames(
            audio_dir,
            n_middle=N_MIDDLE if synthetic else None,
            n_frames=None if synthetic else 250,
            seed=arguments.seed,
        )
    index = index_labels(frames.labels, 5)
    report_frames(frames.labels, index, frames.left_out, len(frames.names))
    usable = np.unique(frames.track[index >= 0])  # tracks that have a chord of the vocabulary
    if len(usable) < 2:
        raise ValueError(
            f"{audio_dir} has {len(usable)} tracks with chords of the vocabulary; at least 2 are "
            "needed"
        )
    order = np.random.RandomState(arguments.seed).permutation(usable)
    n_test = -(-len(order) // 3)
    test, train = (np.isin(frames.track, part) for part in (order[:n_test], order[n_test:]))
    few = np.isin(frames.track, order[-max(1, (len(order) - n_test) // 10) :])
    if synthetic:  # of the test, the middle of every chord
        test &= np.arange(len(test)) % N_MIDDLE == N_MIDDLE // 2
    parts = train, few, test
    rows, learners = compare(frames, index, parts, audio_dir, arguments, seconds)
    print(format_rows(rows))
    if not find_spec("mir_eval"):
        from ..data.chords.vocabulary import INSTALL

        print(f"majmin and triads need mir_eval: {INSTALL}", file=sys.stderr)
    print(
        "dot: % of the chords, without N, whose template has the largest dot product;\n"
        "distance: % of all with the nearest template; loss: mean squared distance to the\n"
        "template; FWRR, AICA: the nearest by frames and by qualities; majmin, triads: mir_eval;\n"
        "a tenth: learned from a tenth of the tracks; rotated: every frame with its chord."
    )
    learners["learned"].save(out / "model.npz")
    results = {
        "rows": rows,
        "seconds": seconds,
        "tracks": len(frames.names),
        "frames": {"train": int(np.sum(train)), "test": int(np.sum(test))},
        "left_out": frames.left_out,
        "seed": arguments.seed,
        "iterations": arguments.iterations,
    }
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, indent=1).encode())
    track = frames.names[int(frames.track[test][0])]
    drawn = draw(out, learners["learned"], Path(audio_dir, track))
    print(f"wrote {out}: model.npz results.json{drawn}")
    return int(arguments.strict and bool(frames.left_out))


def check_counts(arguments, **least):
    for name, value in least.items():
        if getattr(arguments, name) < value:
            raise ValueError(f"--{name} {getattr(arguments, name)}: at least {value} is needed")


def report_frames(labels, index, left_out, n_used, what="frames"):
    """Print what was left out: files, and labels outside the vocabulary."""
    for name, reason in left_out[:50]:
        print(f"left out {name}: {reason}", file=sys.stderr)
    if left_out:
        print(f"{len(left_out)} of {len(left_out) + n_used} files left out", file=sys.stderr)
    unknown = [label for label, i in zip(labels, index) if i < 0]
    if unknown:
        names = sorted({*map(str, unknown)})
        some = ", ".join(names[:10]) + ", ..." * (len(names) > 10)
        print(
            f"{len(unknown)} of {len(labels)} {what} left out, whose label is outside the "
            f"vocabulary: {some}",
            file=sys.stderr,
        )


def compare(frames, index, parts, audio_dir, arguments, seconds):
    """Return the rows of the table, and the learners by name.

    parts : masks of the frames to train on, of those of a tenth of their tracks, and of the test
    """
    from ..data.chords.pitches import octave_matrix
    from ..systems.chroma_learner import ChromaLearner
    from .report import stage

    train, few, test = parts
    with stage(seconds, "librosa"):
        rows = [
            {"chroma": "librosa.feature.chroma_cqt"}
            | score(take_librosa(frames, test, audio_dir), frames, index, test)
        ]
        del rows[0]["loss"]  # its frames have another scale
    options = {"n_iterations": arguments.iterations, "random_state": arguments.seed}
    learners = {
        "learned": ChromaLearner(**options),
        "a tenth, learned": ChromaLearner(**options),
        "a tenth, rotated": ChromaLearner(rotate=True, **options),
        "root, learned": ChromaLearner(compression="sqrt", **options),
        "root, two layers": ChromaLearner(compression="sqrt", n_hidden=(64,), **options),
        "log, learned": ChromaLearner(compression="log", **options),
    }
    for name, learner in learners.items():
        some = few if "tenth" in name else train
        if name.endswith("learned") and some is train:
            folded = learner.scale(frames.x) @ octave_matrix()
            folded *= fit_scale(folded[train], index[train])
            rows.append(
                {"chroma": name.replace("learned", "fixed")}
                | score(folded[test], frames, index, test)
            )
        with stage(seconds, name):
            learner.fit(frames.x[some], frames.labels[some])
        rows.append(
            {"chroma": name} | score(learner.transform(frames.x[test]), frames, index, test)
        )
    return rows, learners


def take_librosa(frames, test, audio_dir):
    """Return librosa's chroma at the test frames, with its defaults."""
    import librosa
    import numpy as np

    from ..data.chords.cqt import SR_HZ, read_audio

    found = np.zeros((len(frames.x), 12))
    for track in np.unique(frames.track[test]):
        y = read_audio(Path(audio_dir, frames.names[track]))
        chroma = librosa.feature.chroma_cqt(y=y, sr=SR_HZ)
        rows = np.flatnonzero(frames.track == track)
        found[rows] = chroma[:, np.rint(frames.times[rows] * SR_HZ / 512).astype(int)].T
    return found[test]


def fit_scale(chroma, index):
    """Return the factor that brings fixed chroma nearest to the templates."""
    import numpy as np

    from ..data.chords.vocabulary import make_templates

    known = index >= 0
    right = make_templates(5)[index[known]]
    return float(np.sum(chroma[known] * right) / np.sum(chroma[known] ** 2))


def score(chroma, frames, index, test):
    """Return the scores of the test frames' chroma, percent but for the loss."""
    import numpy as np

    from ..data.chords.scores import count_right, weigh_frames
    from ..data.chords.vocabulary import make_templates, name_chords
    from ..systems.chroma_learner import measure_distances

    known = index[test] >= 0
    chroma, y = chroma[known], index[test][known]
    labels = frames.labels[test][known]
    templates = make_templates(5)
    chords = templates[:-1] / np.linalg.norm(templates[:-1], axis=1, keepdims=True)
    played = y < len(chords)
    by_dot = (chroma[played] @ chords.T).argmax(axis=1) == y[played]
    distances = measure_distances(chroma, templates)
    found = distances.argmin(axis=1)
    scores = {
        "dot": by_dot.mean() if played.any() else np.nan,
        "distance": np.mean(found == y),
        **count_right(y, found, 5),
    }
    if find_spec("mir_eval"):
        scores |= weigh_frames(labels, np.array(name_chords(5))[found])
    scores = {name: round(100 * float(value), 1) for name, value in scores.items()}
    return scores | {"loss": round(float(distances[np.arange(len(y)), y].mean()), 3)}


def format_rows(rows):
    """Return the table as text; a dash stands where there is no number."""
    lines = [("chroma from", *COLUMNS)]
    lines += [(row["chroma"], *(str(row.get(name, "-")) for name in COLUMNS)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def draw(out, learner, track):
    """Draw weights at the start and end, and chroma side by side; return what was written."""
    import librosa

    from ..data.chords import cqt
    from ..data.chords.pitches import octave_matrix

    y = cqt.read_audio(track)[: 20 * cqt.SR_HZ]
    fixed = (learner.scale(cqt.extract_cqt(y)) @ octave_matrix()).T
    weights = {
        "at the start": learner.initial_values_["affine0_W"],
        "at the end": learner.values_["affine0_W"],
        "octave equivalence": octave_matrix(),
    }
    chroma = {
        "librosa.feature.chroma_cqt": librosa.feature.chroma_cqt(y=y, sr=cqt.SR_HZ),
        "fixed": fixed,
        "learned": learner.chroma(y, hop_length=cqt.HOP_LENGTH),
    }
    try:
        draw_images(out / "weights.png", weights, ("pitch class, C first", "bin, from 27.5 Hz"), 1)
        draw_images(out / "chroma.png", chroma, ("frame", "pitch class"), len(chroma))
    except RuntimeError as error:  # matplotlib is not there
        print(f"no plots: {error}", file=sys.stderr)
        return ""
    return " weights.png chroma.png"


def draw_images(path, images, labels, n_rows):
    """Draw images beside each other, or in rows, each on a scale of its own."""
    from ..data.figures import make_figure, style
    from ..data.files import new_file

    with style():
        figure = make_figure(1.1 * n_rows + 1.5)
        axes = figure.subplots(n_rows, len(images) // n_rows, sharey=True).ravel()
        for ax, (title, image) in zip(axes, images.items()):
            ax.imshow(image, origin="lower", aspect="auto", interpolation="none")
            ax.set(title=title, xlabel=labels[0])
        axes[0].set_ylabel(labels[1])
        with new_file(path) as file:
            figure.savefig(file, format="png", backend="agg", metadata={"Software": None})
