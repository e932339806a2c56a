"""Pictures of what the examples of `systems.blocks_examples` learned."""

import numpy as np

from ..data.figures import make_figure, style


@style()
def plot_weights(W):
    """Draw the weights of a dense layer, or filters turned back as they meet the input.

    Parameters
    ----------
    W : np.ndarray [shape=(bins, units) or (filters, 1, rows, columns)]
        Rows go up by a semitone.

    Returns
    -------
    matplotlib.axes.Axes
        The last one.
    """
    images = [W] if W.ndim == 2 else list(W[:, 0, ::-1, ::-1])
    figure, largest = make_figure(2.6), np.abs(W).max()
    for i, image in enumerate(images):
        axes = figure.add_subplot(1, len(images), i + 1)
        drawn = axes.imshow(
            image, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-largest, vmax=largest
        )
        axes.set_xlabel("pitch" if W.ndim == 2 else "frame")
        if W.ndim == 4:
            axes.set(title=f"{i + 1}", xticks=range(image.shape[1]))
        if i == 0:
            axes.set_ylabel("bin (semitones above 220 Hz)" if W.ndim == 2 else "semitones")
    figure.colorbar(drawn, ax=figure.axes, shrink=0.8)
    return axes
