"""Humphrey's learned chroma: whole runs of his programs, layers, draws, rotation."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..data.chords import pitches, vocabulary
from ..nn.activations import relu
from ..nn.masked_layers import RBF, Affine, Conv3D, MultiSoftmax, Softmax
from ..nn.penalties import limit_norm
from ..ops.compile import compile_function
from ..ops.max_pool import max_pool_2d
from ..reference import golden
from ..reference import inputs_humphrey as rule
from ..reference.inputs import sha256
from ..systems.chroma import ChromaNetwork, Run
from ..systems.chroma_tutorial import TutorialRun
from .compare import DTYPES, Rung, entrywise, relative, unequal

TUTORIAL = {  # seed, batch size, learning rate of the recorded calls
    "2013-11-18": (2, 100, 0.02),
    "2013-12-17": (3, 50, 0.02),
    "2013-12-18": (1, 500, 0.001),
    "instrument": (4, 50, 0.025),
}
SLIDES = {  # what is not the default
    "one": {},
    "two": {"n_hidden": (64,)},
    "l2norm": {"unit_columns": True},
    "l2": {"L2": 0.002},
    "l1": {"L1": 0.002},
    "dropout": {"n_hidden": (64,), "dropout": 0.5, "seeds": (100, 101, 102)},
    "rbf-l1": {"distance": "l1"},
}
# Losses, and parameters over the largest entry. float64: sums in another order; measured 1.9e-15
# and 1.2e-14 here, and in the tutorial's programs 1.2e-15 and 1.4e-15, but for 2013-12-18, whose
# tanh saturates: 1.2e-13 and 4.9e-14. float32: measured 1.1e-6 and 5.4e-6 (l1), the others 3.4e-7
# and 8.9e-7. With absolute distances a rounding decides the sign of a difference near 0, so sums
# in float64, or a learning rate that is no float32, give 1.2e-3 and 4.8e-2.
BOUNDS = {"float64": (1e-12, 1e-11), "float32": (5e-6, 2e-5)}


def list_rungs():
    """Return the rungs of the tutorial's programs and of the talk's networks."""
    theano = "Humphrey's programs, Theano 0.6.0rc3"
    return [
        *(
            Rung(f"chroma {name} {floatX}", theano, check_tutorial, (name, floatX), slow=True)
            for name in TUTORIAL
            for floatX in DTYPES
        ),
        *(
            Rung(f"chroma slides {name} {floatX}", theano, check_slides, (name, floatX), slow=True)
            for name in SLIDES
            for floatX in DTYPES
        ),
        *(Rung(f"chroma layers {floatX}", theano, check_layers, (floatX,)) for floatX in DTYPES),
        *(Rung(f"chroma draws {floatX}", theano, check_draws, (floatX,)) for floatX in DTYPES),
        Rung("chroma rotation", theano, check_rotation),
    ]


def make_inputs(name, make):
    x, y = make()
    if sha256(x) != rule.SHA256[name]:
        raise ValueError(f"input {name} as made here is not the recorded one")
    return x, y


def check_tutorial(name, floatX):
    seed, batch_size, learning_rate = TUTORIAL[name]
    prefix = "" if name == "instrument" else "chroma-"
    recorded = golden.load(f"humphrey/{prefix}{name}-{floatX}.npz")
    x, labels = make_inputs(name, rule.CHROMA[name])
    label_map = {label: str(i) for i, label in enumerate(rule.name_chords(13))}
    run = TutorialRun(name, x, labels, seed, floatX, label_map, batch_size, learning_rate)
    yield "initial values", 0, compare_values(run.network.values(), recorded, "initial")
    yield from follow(run, recorded, bound=(1e-11 if name == "2013-12-18" else 1e-12, 1e-11))
    if name == "instrument":
        yield "error", 1e-12, relative(np.array(run.errors), recorded["error"])
        yield "probabilities", 1e-11, relative(run.transform(x[:24]), recorded["probe.proba"])
        return
    yield "templates", 0, unequal(run.templates, recorded["templates"])
    yield "mu", 1e-13, relative(run.mu, recorded["mu"])
    yield "sigma", 1e-13, relative(run.sigma, recorded["sigma"])
    yield "learned chroma", 1e-11, relative(run.transform(x[:24]), recorded["probe.learned"])
    if name == "2013-12-18":
        pitch = pitches.fold_bins(x[:24])
        yield "pitches", 1e-14, relative(pitch, recorded["probe.pitch"])
        yield "fixed chroma", 1e-14, relative(pitches.fold_pitches(pitch), recorded["probe.fixed"])


def follow(run, recorded, bound, rename=str):
    """Yield how far losses and parameters go from the recorded ones.

    rename : callable, our name of a parameter -> the recorded one
    """
    counts = {int(key[5:].partition(".")[0]) for key in recorded if key.startswith("after")}
    after = {}
    for n in range(1, len(recorded["loss"]) + 1):
        run.step()
        if n in counts:
            after[n] = compare_values(run.network.values(), recorded, f"after{n}", rename)
    losses = np.array(run.losses, recorded["loss"].dtype)
    yield "loss", bound[0], entrywise(losses, recorded["loss"])
    for n, worst in after.items():
        yield f"parameters after {n}", bound[1], worst


def compare_values(values, recorded, when, rename=str):
    """Return the largest relative difference of all parameters; of large ones sums were kept."""
    found = []
    for name, value in values.items():
        key = f"{when}.{rename(name)}"
        flat = value.reshape(len(value), -1)
        for kept, ours in (
            ("", value),
            ("_first", flat[0, :32]),
            ("_rowsums", flat.sum(1, np.float64)),
            ("_colsums", flat.sum(0, np.float64)),
        ):
            if key + kept in recorded:
                theirs = recorded[key + kept]
                if not (theirs.any() or ours.any()):
                    continue
                # A sum is compared over the sum of magnitudes that it is made of.
                axis = {"_rowsums": 1, "_colsums": 0}.get(kept)
                scale = np.abs(theirs).max() if axis is None else np.abs(flat).sum(axis).max()
                found.append(entrywise(ours, theirs, float(scale)))
    if not found:
        raise ValueError(f"nothing recorded of the parameters {when}")
    return float(np.max(found))


def check_slides(name, floatX):
    recorded = golden.load(f"humphrey/slides-{name}-{floatX}.npz")
    x, y = make_inputs("slides", rule.SLIDES)
    options = SLIDES[name]
    sizes = (192, *options.get("n_hidden", ()), 12)
    shapes = [
        part
        for n_in, n_out in zip(sizes, sizes[1:])
        for part in (((n_in, n_out), 0.25), ((n_out,), 0))
    ]
    names = [f"affine{i // 2}_{'Wb'[i % 2]}" for i in range(len(shapes))]
    values = dict(zip(names, rule.make_values(5, shapes)))
    network = ChromaNetwork(
        192, vocabulary.make_templates(5), floatX=floatX, values=values, **options
    )
    yield "templates", 0, unequal(network.templates.get_value(), recorded["initial.rbf.weights"])
    bound = BOUNDS[floatX]
    yield "initial values", 0, compare_values(network.values(), recorded, "initial", rename_part)
    run = Run(network, x, y)
    yield from follow(run, recorded, bound, rename_part)
    yield "energy", bound[1], relative(run.measure(x[:16].astype(floatX)), recorded["probe.energy"])


def rename_part(name):
    layer, _, part = name.partition("_")
    return f"{layer}.{'weights' if part == 'W' else 'bias'}"


def check_layers(floatX):
    recorded = golden.load(f"humphrey/ops-{floatX}.npz")
    # tanh and sigmoid are those of another C library. Measured: 1.2e-7 and 2.2e-16.
    exact, near = 0, {"float64": 1e-15, "float32": 5e-7}[floatX]
    v = recorded["relu.x"]
    for name, function in (
        ("relu", relu),
        ("abs", abs),
        ("tanh", pt.tanh),
        ("sigmoid", pt.sigmoid),
    ):
        out, slope = evaluate(function, v, np.ones_like(v))
        if f"{name}.out" in recorded:
            bound = exact if name == "relu" else near
            yield f"{name} out", bound, relative(out, recorded[f"{name}.out"])
        yield f"{name} slope", near, relative(slope, recorded[f"{name}.grad"])
    out, slope = evaluate(
        lambda x: max_pool_2d(x, (2, 2), ignore_border=False),
        recorded["pool.x"],
        recorded["pool.g"],
    )
    yield "partial windows out", 0, unequal(out, recorded["pool.out"])
    yield "partial windows gradient", 0, unequal(slope, recorded["pool.grad"])
    for name in ("l2norm", "l2norm4"):
        before, after = recorded[f"{name}.before"], recorded[f"{name}.after"]
        with np.errstate(invalid="ignore"):
            ours = limit_norm(before)
        yield f"{name} NaN", 0, unequal(np.isnan(ours), np.isnan(after))
        yield name, near, relative(np.nan_to_num(ours), np.nan_to_num(after))


def evaluate(function, x, g):
    """Return function(x), and the gradient of sum(function(x) * g)."""
    variable = pt.TensorType(x.dtype, (None,) * x.ndim)("x")
    out = function(variable)
    gradient = pytensor.grad(pt.sum(out * g), variable)
    return compile_function([variable], [out, gradient])(x)


def check_draws(floatX):
    """The initial values that the layers draw from RandomState(1234)."""
    recorded = golden.load(f"humphrey/ops-{floatX}.npz")
    matrix, images = (pt.TensorType(floatX, (None,) * n)() for n in (2, 4))

    def rng():
        return np.random.RandomState(1234)

    layers = {
        "affine": Affine(rng(), matrix, 192, 12, floatX),
        "c": Conv3D(rng(), images, (16, 1, 13, 17), (2, 2), floatX),
        "s": Conv3D(rng(), images, (16, 1, 13, 17), (2, 2), floatX, activation=pt.sigmoid),
        "multi": MultiSoftmax(rng(), matrix, 6, 512, 9, floatX),
        "softmax": Softmax(rng(), matrix, 512, 25, floatX),
        "rbf": RBF(rng(), matrix, 54, 61, floatX),
    }
    for name, layer in layers.items():
        digest = recorded[f"init.{name}_sha256"].item().decode()
        yield f"{name}: other bytes", 0, int(sha256(layer.W.get_value()) != digest)


def check_rotation():
    recorded = golden.load("humphrey/ops-float64.npz")
    for shift in (-12, -5, 0, 1, 7, 12):
        ours = pitches.rotate(recorded["rotate.x"], shift)
        yield f"frames by {shift}", 0, unequal(ours, recorded[f"rotate.x_{shift}"])
        labels = [recorded[f"rotate.{name}_{shift}"].item() for name in "yN"]
        ours = [vocabulary.rotate_index(index, shift, 5) for index in (15, 60)]
        yield f"labels by {shift}", 0, int(ours != labels)
