"""Sigtia and Dixon's network: every recorded run of their program, and what it is made of."""

from functools import cache

import numpy as np
import pytensor
import pytensor.tensor as pt
from scipy.special import softmax

from ..data.spectra import compute_spectrum
from ..nn.batches import Batches
from ..nn.dropout import MaskStreams
from ..ops.compile import compile_function
from ..ops.rectify import rectify
from ..ops.sigmoid import log_1m_sigmoid, log_sigmoid, sigmoid
from ..reference import golden, inputs_genre
from ..reference.inputs import sha256
from ..systems.genre import Network, crossentropy
from ..systems.genre_features import cut_windows, decide
from ..systems.genre_train import Steps, anneal, train_sgd
from .compare import DTYPES, Rung, check_inputs, entrywise, relative, unequal

HALF = (0.0, 0.5, 0.5)
# run -> learning rate, and what differs from plain SGD
RUNS = {
    "small-sigmoid": (0.1, {}),
    "small-relu": (0.002, {}),
    "small-sigmoid-momentum": (0.02, {"momentum": 0.9}),
    "small-sigmoid-annealed": (0.1, {"schedule": anneal}),
    "small-relu-masks": (0.001, {"given": HALF}),
    "small-sigmoid-masks": (0.1, {"given": (0.2, 0.5, 0.5)}),
    "small-relu-stream": (0.001, {"drawn": HALF}),
    "small-sigmoid-stream": (0.1, {"drawn": HALF}),
    "full-sigmoid": (0.1, {}),
    "full-relu": (0.0002, {}),
    "full-sigmoid-stream": (0.1, {"drawn": HALF}),
}
ONLY_FLOAT64 = {"small-sigmoid-annealed"}


def list_rungs():
    """Return the rungs of the genre network."""
    theano, program = "Theano 0.6.0", "Sigtia and Dixon's program"
    return [
        Rung("genre spectrum", program, check_spectrum),
        *(Rung(f"genre scalars {floatX}", theano, check_ops, (floatX,)) for floatX in DTYPES),
        Rung("genre streams", theano, check_streams),
        Rung("genre values", program, check_initial),
        *(
            Rung(
                f"genre aggregate {floatX}",
                "the reproduction's program",
                check_aggregate,
                (floatX,),
            )
            for floatX in DTYPES
        ),
        *(
            Rung(f"genre {run} {floatX}", program, check_sgd, (run, floatX), slow=True)
            for run in RUNS
            for floatX in DTYPES
            if floatX == "float64" or run not in ONLY_FLOAT64
        ),
    ]


def check_spectrum():
    recorded = golden.load("genre/spectrum-float64.npz")
    x = inputs_genre.make_signal() / 32768
    check_inputs({"x": x}, recorded)
    ours, theirs = compute_spectrum(x), recorded["spectrum"]
    # A last bit turns where the float64 value lies between two float32. Measured: none.
    yield "entries that differ", 0, unequal(ours, theirs)
    n = len(compute_spectrum(np.zeros(30 * 22050)))
    yield "frames of 30 s", 0, abs(n - int(recorded["frames_of_30s"]))


def check_ops(floatX):
    recorded = golden.load(f"genre/ops-{floatX}.npz")
    x, v = recorded["x"], pt.TensorType(floatX, (None,))("v")
    # exp and log of another library, within a unit in the last place or two. Measured: float64
    # 3.6e-16, float32 1.2e-7. A threshold left out gives 3e-9 (float64) and 6e-7 to 1e-6.
    bound = {"float32": 2.5e-7, "float64": 1e-15}[floatX]
    ours = compile_function([v], [sigmoid(v), -log_1m_sigmoid(v), -log_sigmoid(-v)])(x)
    for name, values in zip(("sigmoid", "softplus", "softplus of -x"), ours):
        yield name, bound, entrywise(values, recorded[name.split()[0]])
    a, y = pt.TensorType(floatX, (None, None))("a"), pt.TensorType(floatX, (None, None))("y")
    cost = crossentropy(a, y)
    ours = compile_function([a, y], [cost, pytensor.grad(cost, a)])(
        recorded["a"], recorded["y"].astype(floatX)
    )
    yield "cost under saturation", bound, entrywise(ours[0], recorded["cost"])
    # 0 where the sigmoid is rounded to 1.
    yield "its gradient, each entry", bound, entrywise(ours[1], recorded["grad_a"])
    ours = compile_function([v], [rectify(v), pytensor.grad(pt.sum(rectify(v)), v)])(
        recorded["relu_x"]
    )
    for name, values in zip(("relu", "relu_grad"), ours):
        yield name, 0, unequal(values, recorded[name])


def check_streams():
    recorded, differing = golden.load("genre/streams-float64.npz"), 0
    # What the recorder asked for: sizes, probabilities.
    widths, rates = (24, 16, 12, 12, 12), (0.0, 0.5, 0.5, 0.2, 0.7)
    for seed in (510, 1234):
        streams = MaskStreams(seed, rates, widths)
        for call in range(3):
            for i, mask in enumerate(streams.draw(20)):
                theirs = recorded[f"numpy.{seed}.call{call}.{i}"]
                differing += unequal(mask, theirs.astype(np.uint8))
    yield "mask entries that differ", 0, differing


def check_initial():
    recorded, wrong = golden.load("genre/init-float64.npz"), 0
    nets = {"small": (24, (16, 12, 10)), "50": (513, (50, 50, 50)), "500": (513, (500, 500, 500))}
    for name, (n_in, n_hidden) in nets.items():
        network = Network(n_in, n_hidden, floatX="float64")
        wrong += network.stream_seed != recorded[f"{name}.stream_seed"]
        for parameter, value in network.values().items():
            key = f"{name}.{parameter[0]}_{parameter[1:]}_sha256"
            wrong += sha256(value) != recorded[key].item().decode()
    yield "parameters and seeds of other bytes", 0, int(wrong)


def check_aggregate(floatX):
    recorded = golden.load(f"genre/aggregate-{floatX}.npz")
    weights, tracks = inputs_genre.make_tracks(recorded["frames"])
    check_inputs({f"x{i}": x for i, x in enumerate(tracks)}, recorded)
    weights = [W.astype(floatX) for W in weights]
    differences, counts = [], []
    for i, x in enumerate(tracks):
        h = np.maximum(0, x @ weights[0])
        windows = cut_windows(np.hstack([h, np.maximum(0, h @ weights[1])]))
        counts.append(len(windows))
        if len(windows):
            differences.append(relative(windows, recorded[f"windows_{i}"]))
    yield "windows of a track", 0, unequal(np.array(counts), recorded["n_windows"])
    # A mean and a standard deviation of 200 numbers. Measured: 5e-16 and 1.2e-7.
    yield "windows", {"float32": 1e-6, "float64": 1e-14}[floatX], max(differences)
    outputs = [
        softmax(np.maximum(0, np.maximum(0, x @ weights[0]) @ weights[1]) @ weights[2], axis=1)
        for x in tracks
    ]
    wrong = [
        decide(p) != recorded[f"softmax_sum_{i}"].argmax()
        for i, p in enumerate(outputs)
        if f"softmax_sum_{i}" in recorded
    ]
    yield "decisions by summed outputs that differ", 0, int(np.sum(wrong))


@cache
def load_sets(name):
    return inputs_genre.make_sets(name)


def make_batches(name, batch_size, recorded, numbers=(None, None), floatX="float64"):
    """Return the sets of a run, each in the network's dtype, shuffled in turn as it was."""
    (x, y), (valid_x, valid_y) = load_sets(name)
    check_inputs({"train_x": x, "train_y": y, "valid_x": valid_x, "valid_y": valid_y}, recorded)
    rng = np.random.RandomState(41)
    chosen = [((x, y), number) for number in numbers] + [((valid_x, valid_y), None)]
    return [
        Batches(a.astype(floatX), b.astype(floatX), batch_size, rng, number)
        for (a, b), number in chosen
    ]


def check_sgd(run, floatX):
    recorded = golden.load(f"genre/{run}-{floatX}.npz")
    learning_rate, options = RUNS[run]
    options = dict(options)
    size, activation = run.split("-")[:2]
    n_in, n_hidden, *_ = inputs_genre.SETS[size]
    given, drawn = options.pop("given", None), options.pop("drawn", None)
    network = Network(
        n_in, n_hidden, activation=activation, dropout_rates=given or drawn, floatX=floatX
    )
    train, valid = make_batches(size, 20, recorded, (None,), floatX)
    streams = network.draw_masks()
    options["draw"] = streams.draw
    if given:
        options["draw"] = mix_given(given, network.sizes, train, valid)
    errors, after = [], {0: network.values()}
    train_errors = Steps(network).errors

    class Watched(Batches):
        """Takes the error of every minibatch before it is trained on, as the program did."""

        def __iter__(self):
            for x, y in super().__iter__():
                errors.append(train_errors(x, y))
                yield x, y

    train.__class__ = Watched
    wanted = {
        int(name.split("_after")[1])
        for name in recorded
        if name.startswith("b_0_after") and not name.endswith("sha256")
    }

    def after_batch(n):
        if n in wanted:
            after[n] = network.values()

    n_epochs = len(recorded["order"])
    history = train_sgd(
        network, train, valid, learning_rate, n_epochs, after_batch=after_batch, **options
    )
    # float64: sums in another order. Measured: 8e-15 and 3e-15. float32: the original's own leaves
    # its float64 by 2.2e-7 and 1.5e-6.
    cost, parameters = {"float32": (1e-5, 2e-5), "float64": (1e-12, 1e-11)}[floatX]
    dtype = recorded["cost"].dtype
    yield "cost", cost, relative(np.array(history.costs, dtype), recorded["cost"])
    yield (
        "validation cost",
        cost,
        relative(np.array(history.valid_costs, dtype), recorded["valid_cost"]),
    )
    yield (
        "order of minibatches, entries",
        0,
        unequal(np.array(history.orders, np.int32), recorded["order"]),
    )
    if floatX == "float64":
        yield "errors that differ", 0, unequal(np.array(errors, dtype), recorded["error"])
        found = np.array(history.valid_errors, dtype)
        yield "validation errors that differ", 0, unequal(found, recorded["valid_error"])
    least = min(np.mean(epoch) for epoch in history.valid_errors)
    yield "lowest validation error", 1e-15, abs(least - recorded["best_cost"])
    yield (
        "parameters",
        parameters,
        max(compare_parameters(values, n, recorded) for n, values in after.items()),
    )
    if drawn:
        ours = np.array([stream.uniform(size=4) for stream in streams.streams])
        yield "next uniforms of the streams", 0, unequal(ours, recorded["stream_next_uniform"])


def mix_given(rates, widths, train, valid):
    """Return a function that draws the given masks in training, and ones in validation."""
    given, count = inputs_genre.GivenMasks(rates, widths), [0]

    def draw(rows):
        step = count[0] % (len(train) + len(valid))
        count[0] += 1
        if step < len(train):
            return given.draw(rows)
        return [np.ones((rows, width), np.uint8) for width, _ in zip(widths, rates)]

    return draw


def compare_parameters(values, n, recorded):
    """Return the largest relative difference of all parameters after n updates."""
    found = []
    for name, value in values.items():
        name = f"{name[0]}_{name[1:]}_after{n}"
        if name in recorded:
            found.append(relative(value, recorded[name]))
        else:  # of large parameters only sums were kept
            for axis, kept in ((1, "rowsums"), (0, "colsums")):
                ours = value.sum(axis, np.float64).astype(recorded[f"{name}_{kept}"].dtype)
                found.append(relative(ours, recorded[f"{name}_{kept}"]))
    return max(found)
