"""Figures as a journal prints them: one column wide, small type, colours that all can tell apart.

pyplot and the backend in use are left alone.
"""

from contextlib import contextmanager

import numpy as np

BLUE, ORANGE, GREEN, GREY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#999999",
)  # colour-blind people tell them apart

STYLE = {"font.size": 7, "axes.titlesize": 7, "axes.labelsize": 7, "legend.fontsize": 6}
STYLE |= {"axes.linewidth": 0.5, "axes.titlepad": 3, "axes.labelpad": 2, "legend.frameon": False}
STYLE |= {"xtick.labelsize": 6, "xtick.major.width": 0.5, "xtick.major.size": 2}
STYLE |= {"svg.hashsalt": "deep_artists"}  # names in an SVG file are not drawn at random
STYLE |= {"ytick.labelsize": 6, "ytick.major.width": 0.5, "ytick.major.size": 2}


@contextmanager
def style():
    """Use our own style inside the block, whatever the user's style is."""
    try:
        import matplotlib.style
    except ImportError as error:
        raise RuntimeError(
            'plots need matplotlib, which is not there: pip install "deep_artists[plots]"'
        ) from error
    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def check_axes(axes, n):
    """Return axes as a flat array of n; ValueError if there are more or fewer."""
    grid = np.ravel(np.asarray(axes, object))
    if len(grid) != n:
        raise ValueError(f"{len(grid)} axes; {n} are needed")
    return grid


def make_figure(height_in):
    """Return an empty Figure as wide as a journal's column, 89 mm."""
    from matplotlib.figure import Figure

    return Figure(figsize=(3.5, height_in), dpi=300, layout="constrained")
