"""``deep-artists study fretboard``: from audio to fingers on six strings."""

import json
import sys
from pathlib import Path

from .options import add_out, add_strict, add_study_seed


def add_fretboard(studies):
    help = "the fretboard network (Humphrey 2013): from audio to a fingering on the guitar"
    parser = studies.add_parser("fretboard", help=help, description=help)
    parser.set_defaults(command=study_fretboard)
    parser.add_argument(
        "audio_dir",
        nargs="?",
        metavar="AUDIO_DIR",
        help="sound files, each with its .lab or .jams beside it (default: "
        "synthetic strummed chords, written as sound files)",
    )
    add_out(parser, "fretboard")
    parser.add_argument(
        "--size",
        default="small",
        choices=["small", "full"],
        help="of the network; full is the talk's, and slow (default: small)",
    )
    parser.add_argument(
        "--tracks",
        type=int,
        default=30,
        metavar="N",
        help="synthetic tracks of 50 chords; every third is for the test (default: 30)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=2000,
        metavar="N",
        help="minibatches of 50 (default: 2000)",
    )
    parser.add_argument("--masked", action="store_true", help="hide parts of the tiles in training")
    parser.add_argument(
        "--contrast",
        action="store_true",
        help="normalise local contrast, as in 2013, instead of taking the square root",
    )
    add_study_seed(parser, 2013, "all that is drawn")
    add_strict(parser)


def study_fretboard(arguments):
    import numpy as np

    from ..data.chords.fingerings import N_STATES, make_fingerings
    from ..data.chords.scores import count_right
    from ..data.files import new_file
    from ..systems.fretboard_learner import FretboardLearner
    from .report import make_folder, stage
    from .study_chroma import check_counts

    out, seconds = make_folder(arguments.out), {}
    check_counts(arguments, tracks=3, iterations=1)
    audio_dir = arguments.audio_dir
    if audio_dir is None:
        from ..data.chords.corpus import choose_strings, write_chord_corpus

        with stage(seconds, "corpus"):
            audio_dir = write_chord_corpus(
                out / "corpus", arguments.tracks, 50, arguments.seed, choose=choose_strings
            )
    rows, learners = [], {}
    for name, rotate in (("as they are", False), ("rotated", True)):
        learners[name] = FretboardLearner(
            arguments.size,
            n_iterations=arguments.iterations,
            rotate=rotate,
            masked=arguments.masked,
            contrast=arguments.contrast,
            seed=arguments.seed,
        )
    with stage(seconds, "tiles"):
        x, y, track, left_out = read_tiles(audio_dir, learners["rotated"])
    if len(np.unique(track)) < 2:
        raise ValueError(f"{audio_dir} has 1 usable track; at least 2 are needed")
    order = np.random.RandomState(arguments.seed).permutation(np.unique(track))
    test = np.isin(track, order[: -(-len(order) // 3)])
    right = make_fingerings().argmax(axis=1)  # (61, 6) states
    for name, learner in learners.items():
        with stage(seconds, name):
            learner.fit(x[~test], y[~test])
        strings, found = learner.predict(x[test])
        states = strings.argmax(axis=1)
        shares = states == right[y[test]]
        rows.append(
            {
                "tiles": name,
                "loss": round(float(np.mean(learner.losses[-100:])), 3),
                "strings": round(100 * float(shares.mean()), 1),
                "fingerings": round(100 * float(shares.all(axis=1).mean()), 1),
                **{k: round(100 * v, 1) for k, v in count_right(y[test], found, 5).items()},
            }
        )
    print(f"{'trained on tiles':<18}" + "".join(f"{k:>12}" for k in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['tiles']:<18}" + "".join(f"{v:>12}" for v in list(row.values())[1:]))
    print(
        f"loss: of the last 100 minibatches. In %: strings whose likeliest of {N_STATES} states\n"
        "is right; tiles with all six right; chords by the nearest fingering: by tiles (FWRR), by\n"
        "qualities (AICA)."
    )
    learners["rotated"].save(out / "model.npz")
    results = {
        "rows": rows,
        "seconds": seconds,
        "left_out": left_out,
        "seed": arguments.seed,
        "iterations": arguments.iterations,
        "size": arguments.size,
    }
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, indent=1).encode())
    print(f"wrote {out}: model.npz results.json{draw(out, strings, y[test])}")
    return int(arguments.strict and bool(left_out))


def read_tiles(audio_dir, learner):
    """Return a tile from the middle of every segment, its chord and track; what was left out."""
    import numpy as np

    from ..data.chords import cqt
    from ..data.chords.annotations import AnnotationError, check_length, pair_files, read_segments
    from ..data.chords.vocabulary import index_labels
    from ..data.patches import AudioError
    from .study_chroma import report_frames

    pairs, left_out = pair_files(audio_dir)
    x, labels, track = [], [], []
    for audio, annotation in pairs:
        try:
            segments = read_segments(Path(audio_dir, annotation))
            y = cqt.read_audio(Path(audio_dir, audio))
            check_length(segments, len(y) / cqt.SR_HZ, annotation)
        except (AudioError, AnnotationError) as error:
            left_out.append((audio, str(error)))
            continue
        middles = np.rint(segments.intervals.mean(axis=1) * cqt.SR_HZ / cqt.HOP_LENGTH).astype(int)
        middles = np.minimum(middles, len(y) // cqt.HOP_LENGTH)
        x.append(learner.extract(y, middles))
        labels += segments.labels
        track += [len(x)] * len(middles)
    index = index_labels(labels, 5)
    report_frames(labels, index, left_out, len(x), what="segments")
    if not (index >= 0).any():
        raise ValueError(f"nothing in {audio_dir} could be used")
    kept = index >= 0
    return np.concatenate(x)[kept], index[kept], np.array(track)[kept], left_out


def draw(out, strings, y):
    """Draw the strings of some tiles beside what they should be; return what was written."""
    from ..data.chords.fingerings import make_fingerings
    from .study_chroma import draw_images

    some = range(min(4, len(y)))
    images = {f"found {i + 1}": strings[i] for i in some}
    images |= {f"right {i + 1}": make_fingerings()[y[i]] for i in some}
    try:
        draw_images(out / "strings.png", images, ("string, high e first", "state"), 2)
    except RuntimeError as error:  # matplotlib is not there
        print(f"no plots: {error}", file=sys.stderr)
        return ""
    return " strings.png"
