"""Humphrey's fretboard network: whole runs, its fingering templates, its local contrast."""

import numpy as np

from ..data.chords import fingerings, pitches, tiles
from ..reference import golden
from ..reference import inputs_humphrey as rule
from ..systems.chroma import Run
from ..systems.fretboard import FULL, SMALL, FretboardNetwork
from .check_chroma import compare_values, follow, make_inputs, rename_part
from .compare import DTYPES, Rung, entrywise, relative, unequal

RUNS = {  # geometry, learning rate, batch size, rows of the energy; seed and scales of the values
    "small": (SMALL, 0.05, 20, 8, 6, (0.5, 0.5, 0.3, 0.3)),
    "full": (FULL, 0.02, 2, 2, 7, (0.1, 0.05, 0.05, 0.2)),
}
# Losses, parameters over the largest entry. float64: sums in another order; measured
# 1.7e-16 and 5e-15. float32: measured 1.8e-7 and 2.3e-6, in full 3.4e-5.
BOUNDS = {"float64": (1e-12, 1e-11), "float32": (1e-6, 1e-4)}


def list_rungs():
    """Return the rungs of the fretboard network."""
    theano = "Humphrey's framework, Theano 0.6.0rc3"
    return [
        *(
            Rung(f"fretboard {name} {floatX}", theano, check_run, (name, floatX), slow=True)
            for name in RUNS
            for floatX in DTYPES
        ),
        Rung("fretboard templates", theano, check_templates),
        Rung("fretboard contrast", "Humphrey's framework, SciPy 0.14.1", check_contrast),
        Rung("fretboard mask", theano, check_mask),
    ]


def check_run(name, floatX):
    geometry, learning_rate, batch_size, n_energy, seed, scales = RUNS[name]
    recorded = golden.load(f"humphrey/fret-{name}-{floatX}.npz")
    x, y = make_inputs(name, rule.FRET[name])
    blank = FretboardNetwork(fingerings.make_fingerings(), geometry, floatX).values()
    shapes = [
        (value.shape, 0 if value.ndim == 1 or name == "strings_b" else None)
        for name, value in blank.items()
    ]
    scales = iter(scales)
    shapes = [(shape, next(scales) if scale is None else 0) for shape, scale in shapes]
    values = dict(zip(blank, rule.make_values(seed, shapes)))
    network = FretboardNetwork(
        fingerings.make_fingerings(), geometry, floatX, values=values, learning_rate=learning_rate
    )
    templates = network.templates.get_value()
    yield "templates", 0, unequal(templates, recorded["initial.rbf.weights"])
    yield "initial values", 0, compare_values(network.values(), recorded, "initial", rename_part)
    run = Run(network, x, y, batch_size)
    yield from follow(run, recorded, BOUNDS[floatX], rename_part)
    energy = run.measure(x[:n_energy].astype(floatX))
    yield "energy", BOUNDS[floatX][1], relative(energy, recorded["probe.energy"])


def check_templates():
    recorded = golden.load("humphrey/ops-float64.npz")
    ours = fingerings.make_fingerings().astype("int8")
    yield "templates", 0, unequal(ours, recorded["fret_templates"])


def check_contrast():
    recorded = golden.load("humphrey/lcn-float64.npz")
    for shape in ((20, 13), (5, 37)):
        name = "{}_{}".format(*shape)
        kernel = pitches.contrast_kernel(*shape)
        yield f"kernel {name}", 1e-14, entrywise(kernel, recorded[f"kernel_{name}"])
        ours = pitches.normalise_contrast(recorded["x"], shape)
        yield f"contrast {name}", 1e-12, relative(ours, recorded[f"lcn_{name}"])
    silent = pitches.normalise_contrast(0 * recorded["x"], (20, 13))
    yield "contrast of silence", 0, unequal(silent, recorded["lcn_zero"])


def check_mask():
    recorded = golden.load("humphrey/ops-float64.npz")["mask"]
    ours = tiles.draw_window_mask(np.random.RandomState(11), recorded.shape, n_windows=25)
    yield "mask", 1e-15, relative(ours, recorded)
