"""``deep-artists study blocks``: the two examples, and random filters against learned ones."""

import json
import sys

from .options import add_floatX, add_out, add_study_seed

N_STEPS = {"pitches": 5000, "thirds": 3000}  # of the tutorial
GAINS, N_FILTERS = (0.1, 1.0), (4, 32)


def add_blocks(studies):
    """Add the command to the parser of studies."""
    help = "the two examples of Choi et al.'s tutorial; random filters against learned ones"
    parser = studies.add_parser("blocks", help=help, description=help)
    parser.set_defaults(command=study_blocks)
    add_out(parser, "blocks")
    add_floatX(parser)
    add_study_seed(parser, 1209, "weights and sounds")
    parser.add_argument(
        "--repeat",
        type=int,
        default=5,
        metavar="N",
        help="seeds of the comparison of random and learned filters; 0 leaves it out (default: 5)",
    )


def study_blocks(arguments):
    """Run the command; return its exit status."""
    from ..data.files import new_file
    from ..evidence.check_blocks import compare_templates
    from ..systems.blocks_examples import find_templates
    from .report import make_folder, stage

    if arguments.repeat < 0:
        raise ValueError(f"--repeat {arguments.repeat}: at least 0 is needed")
    out, seconds = make_folder(arguments.out), {}
    with stage(seconds, "sounds"):
        sounds, distance = find_templates(), compare_templates()
    print(
        "difference of these templates from those of librosa 0.5.0 (their maximum is 1): "
        f"mean {distance['mean']:.3f}, largest {distance['largest']:.3f}"
    )
    results = {"floatX": arguments.floatX, "seed": arguments.seed, "templates": distance}
    results["examples"], weights = run_examples(arguments, sounds, seconds)
    if arguments.repeat:
        with stage(seconds, "random and learned"):
            results["features"] = compare(arguments, sounds)
    results["seconds"] = seconds
    with new_file(out / "results.json") as file:
        file.write(json.dumps(results, indent=1).encode())
    written = ["results.json", *plot(weights, out)]
    print(f"wrote {out}: {' '.join(written)}")
    return 0


def run_examples(arguments, sounds, seconds):
    """Train both examples; print what they are and what they reached."""
    import numpy as np

    from ..systems.blocks import describe, list_params
    from ..systems.blocks_examples import build_pitches, build_thirds, draw_batches, evaluate, train
    from .report import stage

    results, weights = {}, {}
    for name, build, kinds in (
        ("pitches", build_pitches, ["pitches"]),
        ("thirds", build_thirds, ["major", "minor"]),
    ):
        x, network = build(arguments.floatX, np.random.RandomState(arguments.seed))
        print(f"\n{name}\n{describe(network)}")
        templates = [sounds[kind] for kind in kinds]
        n = N_STEPS[name]
        with stage(seconds, name):
            run = train(x, network, draw_batches(templates, arguments.seed, n))
            test = evaluate(x, network, draw_batches(templates, arguments.seed + 1, 20))
        losses, accuracies = (
            a.reshape(-1, 200).mean(axis=1).tolist() for a in (run.losses, run.accuracies)
        )
        print(
            f"loss and accuracy of the first 200 updates {losses[0]:.4f}, {accuracies[0]:.4f}; of "
            f"the last 200 {losses[-1]:.4f}, {accuracies[-1]:.4f}; of the test {test[0]:.4f}, "
            f"{test[1]:.4f}"
        )
        results[name] = {
            "updates_of_a_mean": 200,
            "losses": losses,
            "accuracies": accuracies,
            "test_loss": test[0],
            "test_accuracy": test[1],
        }
        weights[name] = list_params(network)[0].get_value()
    return results, weights


def compare(arguments, sounds):
    """Print the table of random and learned filters as it grows; return it."""
    import numpy as np

    from ..systems.blocks_random import compare_features

    rows, seeds = [], range(arguments.seed, arguments.seed + arguments.repeat)
    print("\naccuracy of a linear solver in %, mean and deviation over seeds, on")
    print(f"{'task':<20}{'noise':>6}{'filters':>9}{'input':>14}{'random':>14}{'learned':>14}")
    for gain in GAINS:
        for n_filters in N_FILTERS:
            for row in compare_features(sounds, gain, n_filters, seeds, arguments.floatX):
                columns = [format_shares(100 * np.array(shares)) for shares in row[3:]]
                print(
                    f"{row.task:<20}{gain:>6}{n_filters:>9}{''.join(f'{c:>14}' for c in columns)}",
                    flush=True,
                )
                rows.append(row._asdict())
    return rows


def format_shares(values):
    """Return the mean, and of several values the deviation."""
    deviation = f" ± {values.std():.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation}"


def plot(weights, out):
    """Draw the learned weights, if matplotlib is there; return the names of what was written."""
    from ..data.files import new_file

    try:
        from ..use.plots_blocks import plot_weights

        figures = {name: plot_weights(W).figure for name, W in weights.items()}
    except RuntimeError as error:
        print(f"left out: {error}", file=sys.stderr)
        return []
    for name, figure in figures.items():
        with new_file(out / f"{name}.png") as file:
            figure.savefig(file, format="png")
    return [f"{name}.png" for name in figures]
