"""Pictures of a run: filters, the patches that they prefer, and all the charts as files.

Every function draws into the Axes it is given, or into a Figure of its own, one journal column
wide, and returns its Axes; ``axes.figure.savefig("x.pdf")`` keeps it. pyplot and the backend in use
are left alone.

Time is in ms from the left edge of a patch or filter, 128 / 22050 s = 5.8 ms a frame. The vertical
axis is linear in mel bands and labelled with their centres in Hz (Slaney's scale, 64 bands). The
convolution flips a filter in both axes; the pictures show it as it is applied to the input.
"""

from pathlib import Path

import numpy as np

from ..data.figures import check_axes, make_figure, style
from ..data.files import new_file, read_json
from ..data.mel import FMAX_HZ, FMIN_HZ, HOP_LENGTH, N_MELS, SR_HZ, hz_to_mel
from ..data.patches import N_FRAMES
from ..nn.curves import plot_learning_curves
from .charts import embed_tracks, plot_confusion, plot_map, plot_probabilities
from .preferences import choose_patches, locate_filter, rank_patches, turn_back

FRAME_MS = 1000 * HOP_LENGTH / SR_HZ
FLOOR_DB = -60  # the loudest entry of a patch is 0
# Without Matplotlib's version and the date in a file, its bytes follow from the picture alone.
FORMS = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
BAR = dict(location="bottom", aspect=40, pad=0.02)  # below all axes


def _show(axes, image, **options):
    """Draw a mel-by-frame image; the centre of the lowest band is at 0, time begins at 0 ms."""
    extent = (0, image.shape[1] * FRAME_MS, -0.5, len(image) - 0.5)
    return axes.imshow(image, origin="lower", aspect="auto", extent=extent, **options)


def _label_hz(axes, lowest_band, n_bands):
    """Put ticks of round Hz on an axis whose 0 is the centre of lowest_band."""
    low, high = (hz_to_mel(hz) for hz in (FMIN_HZ, FMAX_HZ))
    ticks = {}
    round_hz = [1000, 500, 2000, 4000, 250, 3000, 6000, 1500, 100, 5000, 7000, 750]
    for hz in round_hz + list(range(200, int(FMAX_HZ), 100)):
        share = (hz_to_mel(hz) - low) / (high - low)
        band = share * (N_MELS + 1) - 1 - lowest_band  # 64 triangles overlap by half
        if 0 <= band <= n_bands - 1 and all(abs(band - other) > n_bands / 7 for other in ticks):
            ticks[band] = str(hz)
    axes.set_yticks(list(ticks), list(ticks.values()))


@style()
def plot_filters(model, parameters="best", axes=None):
    """Draw the filters as mel-by-time images, flipped as they are applied to the input.

    A filter slides over the patch, so its bands have no fixed frequency: the left axis is in Hz
    for the filter at its lowest position, the right axis for the same filter at its highest.

    Parameters
    ----------
    model : Model
    parameters : {'best', 'last'}
    axes : sequence of Axes, optional
        One for each filter.

    Returns
    -------
    np.ndarray of Axes [shape=(nkerns,)]
        All share one colour scale, symmetric around 0.
    """
    filters = turn_back(getattr(model, parameters)["conv_W"])
    n, n_bands, _ = filters.shape
    n_columns = min(n, 5)
    n_rows = -(-n // n_columns)
    if axes is None:
        figure = make_figure(0.75 + 1.15 * n_rows)
        grid = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    else:
        grid = check_axes(axes, n)
    limit = np.abs(filters).max() or 1
    for axes in grid[n:]:
        axes.set_visible(False)
    for i, (axes, values) in enumerate(zip(grid, filters)):
        image = _show(axes, values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set(title=i + 1, yticks=[])
        if i + n_columns >= n:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("ms")
        if i % n_columns == 0:
            _label_hz(axes, 0, n_bands)
            axes.set_ylabel("Hz, lowest position")
        if i % n_columns == n_columns - 1:
            right = axes.twinx()
            right.set_ylim(axes.get_ylim())
            _label_hz(right, N_MELS - n_bands, n_bands)
            right.set_ylabel("Hz, highest position", rotation=270, va="bottom")
    label = "weight (turned back, as it meets the input)"
    grid[0].figure.colorbar(image, ax=list(grid), **BAR, label=label)
    return grid[:n]


def to_db(patch):
    """Return a patch in dB below its loudest entry, (64, 40)."""
    patch = np.reshape(patch, (N_MELS, N_FRAMES)).astype(np.float64)
    return 10 * np.log10(np.maximum(patch / (patch.max() or 1), 10 ** (FLOOR_DB / 10)))


@style()
def plot_activating_patches(model, x, n=5, track=None, parameters="best"):
    """Draw the patches that each filter prefers, see `preferences.rank_patches`.

    The network sees power; the pictures show it in dB below the loudest entry of the patch.

    Parameters
    ----------
    model : Model
    x : np.ndarray [shape=(patches, 2560)], float
    n : int
        Patches of a filter.
    track : np.ndarray [shape=(patches,)], int, optional
        Which track a patch is from: then no two patches of a filter are from one track.
    parameters : {'best', 'last'}

    Returns
    -------
    np.ndarray of Axes [shape=(nkerns, n)]
        Preference falls from left to right, a frame marks where the filter lay. A place is grey
        where no further patch activates the filter.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Rectangle

    scores = rank_patches(model, x, parameters)
    n_filters, (n_bands, n_frames) = scores.shape[1], model.recipe.filter_shape
    scale = ScalarMappable(cmap="magma")
    scale.set_clim(FLOOR_DB, 0)
    figure = make_figure(0.6 + 0.62 * n_filters)
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02, hspace=0, wspace=0)
    grid = figure.subplots(n_filters, n, sharex=True, sharey=True, squeeze=False)
    for i, row in enumerate(grid):
        best = choose_patches(scores[:, i], n, track)
        for axes, p in zip(row, best):
            _show(axes, to_db(x[p]), cmap=scale.cmap, norm=scale.norm)
            band, frame = locate_filter(model, x[p], i, parameters)
            corner, size = (frame * FRAME_MS, band - 0.5), (n_frames * FRAME_MS, n_bands)
            axes.add_patch(Rectangle(corner, *size, fill=False, color="white", linewidth=0.7))
        for axes in row[len(best) :]:
            axes.set_facecolor("#eeeeee")
        row[0].set_ylabel(f"filter {i + 1}\nHz")
    grid[0, 0].set(xlim=(0, N_FRAMES * FRAME_MS), ylim=(-0.5, N_MELS - 0.5))
    _label_hz(grid[0, 0], 0, N_MELS)
    for axes in grid[-1]:
        axes.set_xlabel("ms")
    figure.colorbar(scale, ax=grid, **BAR, label="power (dB), loudest entry of a patch: 0")
    return grid


def check_run(run):
    """Raise FileNotFoundError unless a folder holds a model."""
    if not Path(run, "model.npz").is_file():
        raise FileNotFoundError(
            f"{run} is no run: it holds no model.npz; give a folder that reproduce or train wrote"
        )


def save_all(path, out_dir, form="png"):
    """Draw every picture that a run or a model allows, into files.

    Parameters
    ----------
    path : str or path
        Folder of a run (model.npz and, if they exist, results.json and set/), or a model file,
        of which only the filters can be drawn.
    out_dir : str or path
        Made if it is not there.
    form : {'png', 'pdf', 'svg'}
        PNG has 300 dpi.

    Returns
    -------
    list of Path
        filters.png; learning_curves.png; of the test split activating_patches.png,
        confusion_tracks.png, confusion_patches.png, probabilities.png (of its first track) and
        map.png. The same input gives the same bytes.

    Raises
    ------
    ValueError, OSError
        If model, results or set are damaged or cannot be read, or a picture cannot be written.
    RuntimeError
        If matplotlib is not installed.
    """
    from ..artists.model import Model
    from ..data.dataset import open_dataset

    if form not in FORMS:
        raise ValueError(f"form = {form!r}; there are {', '.join(FORMS)}")
    path, out_dir = Path(path), Path(out_dir)
    if path.is_dir():
        check_run(path)
    model = Model.load(path / "model.npz" if path.is_dir() else path)
    drawn = {"filters": plot_filters(model)[0]}
    if (path / "results.json").is_file():
        try:
            drawn["learning_curves"] = plot_learning_curves(read_json(path / "results.json"))[0]
        except ValueError as error:
            raise ValueError(
                f"{path / 'results.json'} holds no results of a run: {error}"
            ) from error
    if (path / "set").is_dir():
        test = open_dataset(path / "set").test
        patches = plot_activating_patches(model, test.x, track=test.track)
        drawn["activating_patches"] = patches[0, 0]
        if model.is_whole:
            drawn["confusion_tracks"] = plot_confusion(model, test)
            drawn["confusion_patches"] = plot_confusion(model, test, per="patch")
            first = test.x[test.track == 0]
            drawn["probabilities"] = plot_probabilities(model, first)
            drawn["map"] = plot_map(*embed_tracks(model, test), model.label_names)
    out_dir.mkdir(parents=True, exist_ok=True)
    return [save_figure(axes.figure, out_dir / f"{name}.{form}") for name, axes in drawn.items()]


@style()
def save_figure(figure, path):
    """Write a figure to a file whose suffix is one of `FORMS`: the same figure, the same bytes."""
    form = Path(path).suffix[1:]
    with new_file(path) as file:
        figure.savefig(file, format=form, metadata=FORMS[form])
    return path
