"""The fretboard network for use today: train it on tiles, save it, read fingerings off audio."""

import numpy as np

from ..data.chords import cqt
from ..data.chords.fingerings import make_fingerings, name_frets
from ..data.chords.pitches import normalise_contrast
from ..data.chords.tiles import N_WINDOWS, cut_tiles, draw_window_mask, rotate_examples
from ..nn.rows import take_shuffled
from ..ops.compile import compile_function
from .fretboard import FULL, SMALL, FretboardNetwork, Geometry
from .learner_file import read_learner, write_learner

# What audio must become for a geometry: transform, frames around the labelled one, surroundings of
# the local contrast; and the learning rate, beyond which it does not learn.
SETTINGS = {
    "full": dict(
        geometry=FULL,
        fmin_hz=27.5,
        bins_per_octave=24,
        n_octaves=8,
        around=(40, 39),
        surroundings=(20, 13),
        learning_rate=0.02,
    ),
    "small": dict(
        geometry=SMALL,
        fmin_hz=82.407,
        bins_per_octave=12,
        n_octaves=4,
        around=(8, 7),
        surroundings=(5, 7),
        learning_rate=0.1,
    ),
}


class FretboardLearner:
    """Learn which strings and frets sound, from tiles and the indices of 61 chords.

    Parameters
    ----------
    size : {'small', 'full'}
        The talk's geometry is full: tiles of 80 frames by 192 bins. Small is a twentieth of that,
        on the guitar's four octaves from its low E.
    learning_rate : float, optional
        Of plain stochastic gradient descent; the talk's 0.02 for full, 0.1 for small.
    batch_size, n_iterations : int
    rotate : bool
        Move every tile by a random number of semitones, with its chord.
    masked : bool
        Hide small windows of every tile, see `data.chords.tiles.draw_window_mask`.
    contrast : bool
        Normalise the local contrast of the transform, as in 2013, instead of its square root.
    floatX : {'float32', 'float64'}
    seed : int

    Attributes
    ----------
    values : dict of str to np.ndarray
    losses : list of float
    """

    def __init__(
        self,
        size="small",
        learning_rate=None,
        batch_size=50,
        n_iterations=2000,
        rotate=False,
        masked=False,
        contrast=False,
        floatX="float32",
        seed=0,
    ):
        if size not in SETTINGS:
            raise ValueError(f"size = {size!r}; one of {[*SETTINGS]} is needed")
        if learning_rate is None:
            learning_rate = SETTINGS[size]["learning_rate"]
        self.size, self.learning_rate, self.batch_size = size, learning_rate, batch_size
        self.n_iterations, self.rotate, self.masked = n_iterations, rotate, masked
        self.contrast = contrast
        self.floatX, self.seed = floatX, seed
        self.values, self.losses = None, []

    @property
    def geometry(self) -> Geometry:
        return SETTINGS[self.size]["geometry"]

    def extract(self, y, frames=None, sr=cqt.SR_HZ):
        """Return the tiles around frames of mono audio; None: around all."""
        about = SETTINGS[self.size]
        x = cqt.extract_cqt(
            y,
            sr,
            fmin_hz=about["fmin_hz"],
            n_octaves=about["n_octaves"],
            bins_per_octave=about["bins_per_octave"],
        )
        if self.contrast:
            x = normalise_contrast(x, about["surroundings"])
        else:
            x = np.sqrt(x / (x.max() or 1))
        return cut_tiles(x, np.arange(len(x)) if frames is None else frames, *about["around"])

    def fit(self, x, y):
        """Train on tiles (n, 1, frames, bins) and indices of chords, -1 left out.

        Raises
        ------
        ValueError
            If no tile has a chord, or training diverges.
        """
        y = np.asarray(y)
        x, y = x[y >= 0], y[y >= 0].astype(np.int32)
        if not len(x):
            raise ValueError("no tile has a chord of the vocabulary; at least one is needed")
        rng = np.random.RandomState(self.seed)
        network = self._build(rng.randint(2**30, size=5))
        train = compile_function([network.x, network.y], network.cost, updates=network.updates())
        batches, bins = take_shuffled(rng, len(x), self.batch_size), SETTINGS[self.size]
        for _ in range(self.n_iterations):
            rows = next(batches)
            some_x, some_y = x[rows], y[rows]
            if self.rotate:
                shifts = rng.randint(-12, 13, size=len(rows))
                some_x, some_y = rotate_examples(some_x, some_y, shifts, 5, bins["bins_per_octave"])
            if self.masked:
                n = N_WINDOWS * some_x[0].size // (80 * 192)
                masks = [draw_window_mask(rng, self.geometry.tile, n) for _ in rows]
                some_x = some_x * np.stack(masks)[:, None]
            self.losses.append(float(train(some_x.astype(self.floatX), some_y)))
        self.values = network.values()
        if not np.isfinite(self.losses).all():
            raise ValueError("training diverged; try a lower learning_rate")
        return self

    def _build(self, seeds, values=None):
        return FretboardNetwork(
            make_fingerings(),
            self.geometry,
            self.floatX,
            seeds,
            values,
            self.learning_rate,
            halved=False,
        )

    def predict(self, x, batch_size=200):
        """Return what the network makes of tiles.

        Returns
        -------
        strings : np.ndarray [shape=(n, 9, 6)]
            Probability of every state, by string.
        index : np.ndarray of int [shape=(n,)]
            The chord whose fingering is nearest.
        """
        network = self._build((0,) * 5, self.values)
        function = compile_function([network.x], [network.strings, network.energy])
        parts = [
            function(x[i : i + batch_size].astype(self.floatX))
            for i in range(0, len(x), batch_size)
        ]
        strings, energy = (np.concatenate(part) for part in zip(*parts))
        return strings, energy.argmin(axis=1)

    def finger(self, audio):
        """Return a fingering for every frame of a sound file or of mono audio at 22050 Hz.

        Returns
        -------
        strings : np.ndarray [shape=(frames, 9, 6)]
        frets : list of str [frames]
            The likeliest state of each string, low E first, as ``x32010``.
        """
        y = audio if isinstance(audio, np.ndarray) else cqt.read_audio(audio)
        strings, _ = self.predict(self.extract(y))
        return strings, [name_frets(states) for states in strings.argmax(axis=1)]

    def save(self, path):
        """Write the model as .npz, without pickle."""
        about = {"size": self.size, "floatX": self.floatX, "contrast": self.contrast}
        write_learner(path, "fretboard", about, self.values)

    @classmethod
    def load(cls, path):
        """Read a model that `save` wrote.

        Raises
        ------
        ValueError
            If the file is damaged or holds something else.
        """
        with read_learner(path, "fretboard") as (about, arrays):
            learner = cls(about["size"], floatX=about["floatX"], contrast=about["contrast"])
            expected = learner._build((0,) * 5).values()
            if {n: a.shape for n, a in arrays.items()} != {n: a.shape for n, a in expected.items()}:
                raise ValueError("its arrays are not those of the network")
            learner.values = arrays
        return learner
