"""Learned chroma for use today: a scikit-learn transformer, a saved model, a drop-in for librosa's.

    learner, frames = train_folder("songs")       # of chroma_files: song.flac beside song.lab
    learner.save("chroma.npz")
    chroma = ChromaLearner.load("chroma.npz").chroma("new.flac")     # (12, frames), row 0 is C

What the originals did by mistake is left out here: outputs are not halved, and C:maj counts.
Importing this module imports scikit-learn, from which it must inherit.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.chords import cqt
from ..data.chords.annotations import join_frames
from ..data.chords.vocabulary import (
    UNKNOWN,
    index_labels,
    make_templates,
    name_chords,
    rotate_index,
)
from .learner_file import read_learner, write_learner

# log1p(50 m), where the frames of m have a length of about 70.
COMPRESSIONS = {"none": lambda x: x, "sqrt": np.sqrt, "log": lambda x: np.log1p(3500 * x)}


class ChromaLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn 12 pitch classes from constant-Q frames and the names of chords.

    Every frame is scaled to unit length, compressed, and scaled again; zeros stay. The network is
    `chroma.ChromaNetwork`; transforming needs NumPy only.

    Parameters
    ----------
    n_qualities : int, 1 to 13
        Of the vocabulary, see `data.chords.vocabulary`.
    n_hidden : tuple of int
        Units of tanh layers: () is the matrix of the talk, (64,) its two-layer network.
    compression : {'none', 'sqrt', 'log'}
        Of the magnitudes; log is log(1 + 3500 x), x of unit length.
    rotate : bool
        Move every example of a minibatch by a random number of semitones, with its label.
    bins_per_octave : int
        Of the frames, for `rotate`; a multiple of 12.
    learning_rate, batch_size, n_iterations
        Of plain stochastic gradient descent.
    L1, L2, unit_columns, dropout
        See `chroma.ChromaNetwork`.
    floatX : {'float32', 'float64'}
    random_state : int
        Of the initial values, the order of the frames and the rotations.

    Attributes
    ----------
    values_ : dict of str to np.ndarray
        affine0_W, affine0_b, ...
    initial_values_ : dict of str to np.ndarray
    losses_ : np.ndarray [shape=(n_iterations,)]
        Before each update.
    n_features_in_ : int
    n_left_out_ : int
        Frames whose label is outside the vocabulary.
    classes_ : np.ndarray of str
        The vocabulary in the order of the indices, N last.

    Examples
    --------
    >>> rng = np.random.RandomState(0)
    >>> y = np.repeat(["C:maj", "A:min", "N"], 50)
    >>> notes = make_templates(2)[index_labels(y, 2)]
    >>> X = np.hstack([notes, notes]) + rng.uniform(size=(150, 24))
    >>> learner = ChromaLearner(n_qualities=2, bins_per_octave=12, n_iterations=300).fit(X, y)
    >>> learner.transform(X).shape, float(np.mean(learner.predict(X) == y)) > 0.9
    ((150, 12), True)
    """

    def __init__(
        self,
        n_qualities=5,
        *,
        n_hidden=(),
        compression="none",
        rotate=False,
        bins_per_octave=cqt.BINS_PER_OCTAVE,
        learning_rate=0.2,
        batch_size=50,
        n_iterations=20000,
        L1=0.0,
        L2=0.0,
        unit_columns=False,
        dropout=0.0,
        floatX="float32",
        random_state=0,
    ):
        self.n_qualities, self.n_hidden, self.compression = n_qualities, n_hidden, compression
        self.rotate, self.bins_per_octave = rotate, bins_per_octave
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.n_iterations, self.L1, self.L2 = n_iterations, L1, L2
        self.unit_columns, self.dropout = unit_columns, dropout
        self.floatX, self.random_state = floatX, random_state

    def fit(self, X, y):
        """Train on frames and the chord of each.

        Parameters
        ----------
        X : array [shape=(frames, bins)], float, not negative
        y : sequence of str, or of int [frames]
            Labels in Harte's syntax, or indices. Frames of labels outside the vocabulary are left
            out, and counted.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is negative or not finite, y has another length or an index that is no class, no
            frame has a label of the vocabulary, or a parameter is out of range.
        """
        from ..nn.rows import take_shuffled
        from ..ops.compile import compile_function
        from .chroma import ChromaNetwork

        self._check_params()
        X = self._check(X, reset=True)
        if np.shape(y) != (len(X),):
            raise ValueError(f"y has shape {np.shape(y)}; ({len(X)},) is needed, a chord a frame")
        index = self._index(y)
        kept = index != UNKNOWN
        self.n_left_out_ = int(np.sum(~kept))
        if not kept.any():
            raise ValueError("no frame has a label of the vocabulary; at least one is needed")
        x, index = self.scale(X[kept]), index[kept].astype(np.int32)
        self.classes_ = np.array(name_chords(self.n_qualities))
        rng = np.random.RandomState(self.random_state)
        network = ChromaNetwork(
            X.shape[1],
            make_templates(self.n_qualities),
            tuple(self.n_hidden),
            self.floatX,
            seeds=rng.randint(2**30, size=len(self.n_hidden) + 2),
            L1=self.L1,
            L2=self.L2,
            learning_rate=self.learning_rate,
            unit_columns=self.unit_columns,
            dropout=self.dropout,
            halved=False,
        )
        self.initial_values_ = network.values()
        network.constrain()
        train = compile_function([network.x, network.y], network.cost, updates=network.updates())
        batches = take_shuffled(rng, len(x), self.batch_size)
        losses = []
        for _ in range(self.n_iterations):
            rows = next(batches)
            some_x, some_y = x[rows], index[rows]
            if self.rotate:
                some_x, some_y = self._rotate(some_x, some_y, rng)
            network.draw_masks()
            losses.append(float(train(some_x, some_y)))
        self.losses_, self.values_ = np.array(losses), network.values()
        if not all(np.isfinite(value).all() for value in self.values_.values()):
            raise ValueError("training diverged; try a lower learning_rate")
        return self

    def transform(self, X):
        """Return the learned chroma of frames.

        Parameters
        ----------
        X : array [shape=(frames, bins)], float

        Returns
        -------
        np.ndarray [shape=(frames, 12)], floatX
            Column 0 is C. A value may be negative.
        """
        check_is_fitted(self)
        x, last = self.scale(self._check(X)), len(self.n_hidden)
        for i in range(last + 1):
            x = x @ self.values_[f"affine{i}_W"] + self.values_[f"affine{i}_b"]
            x = np.tanh(x) if i < last else x
        return x

    def predict(self, X):
        """Return the chord whose template is nearest to each frame: an array of str."""
        check_is_fitted(self)
        distances = measure_distances(self.transform(X), make_templates(self.n_qualities))
        return self.classes_[distances.argmin(axis=1)]

    def chroma(self, y, sr=cqt.SR_HZ, hop_length=512, norm=np.inf, tuning=None):
        """Return the learned chroma of audio, in the orientation of librosa.

        Stands where ``librosa.feature.chroma_cqt(y=y, sr=sr, hop_length=hop_length)`` stood.
        Silence gives what the biases are, not zeros.

        Parameters
        ----------
        y : np.ndarray [shape=(n,)], or str or path
            Mono audio, or a sound file, which is read at 22050 Hz.
        sr : int
            Hz, of an array.
        hop_length : int
            Samples; 512 as librosa's.
        norm : float or None
            See `librosa.util.normalize`; None leaves the network's own scale.
        tuning : float or None
            See `data.chords.cqt.extract_cqt`; None: estimated. The frames that the command trains
            on are taken as in tune, 0.

        Returns
        -------
        np.ndarray [shape=(12, 1 + n // hop_length)]
            Row 0 is C.

        Raises
        ------
        AudioError
            If the audio cannot be read.
        """
        import librosa

        check_is_fitted(self)
        if not isinstance(y, np.ndarray):
            y, sr = cqt.read_audio(y), cqt.SR_HZ
        chroma = self.transform(cqt.extract_cqt(y, sr, hop_length, tuning=tuning)).T
        return chroma if norm is None else librosa.util.normalize(chroma, norm=norm, axis=0)

    def annotate(self, audio, sr=cqt.SR_HZ, smooth=9):
        """Return the chords of audio as segments, see `data.chords.annotations`.

        Parameters
        ----------
        audio, sr
            See `chroma`.
        smooth : int
            Frames of a median filter over time, odd; 1: none.
        """
        from scipy.ndimage import median_filter

        if smooth < 1 or smooth % 2 == 0:
            raise ValueError(f"smooth = {smooth}; an odd number of frames is needed")
        if not isinstance(audio, np.ndarray):
            audio, sr = cqt.read_audio(audio), cqt.SR_HZ
        x = self.transform(cqt.extract_cqt(audio, sr))
        x = median_filter(x, size=(smooth, 1), mode="nearest")
        distances = measure_distances(x, make_templates(self.n_qualities))
        times = np.arange(len(x)) * cqt.HOP_LENGTH / sr
        return join_frames(self.classes_[distances.argmin(axis=1)].tolist(), times, len(audio) / sr)

    def save(self, path):
        """Write the model as .npz, without pickle."""
        check_is_fitted(self)
        about = {"params": self.get_params(), "n_left_out": self.n_left_out_}
        initial = {f"initial_{name}": a for name, a in self.initial_values_.items()}
        write_learner(path, "chroma", about, {"losses": self.losses_, **self.values_, **initial})

    @classmethod
    def load(cls, path):
        """Read a model that `save` wrote.

        Raises
        ------
        ValueError
            If the file is damaged or holds something else.
        """
        with read_learner(path, "chroma") as (about, arrays):
            learner = cls(**about["params"])
            learner.n_hidden = tuple(learner.n_hidden)
            names = [f"affine{i}_{part}" for i in range(len(learner.n_hidden) + 1) for part in "Wb"]
            learner.values_ = {name: arrays[name] for name in names}
            learner.initial_values_ = {name: arrays[f"initial_{name}"] for name in names}
            learner.losses_, learner.n_left_out_ = arrays["losses"], about["n_left_out"]
            learner.classes_ = np.array(name_chords(learner.n_qualities))
            learner.n_features_in_ = len(learner.values_["affine0_W"])
            learner.transform(np.zeros((1, learner.n_features_in_)))
        return learner

    def _check_params(self):
        if self.bins_per_octave % 12:
            raise ValueError(
                f"bins_per_octave = {self.bins_per_octave}; a multiple of 12 is needed"
            )
        if self.floatX not in ("float32", "float64"):
            raise ValueError(f"floatX = {self.floatX!r}; float32 or float64 is needed")
        if np.ndim(self.n_hidden) != 1:
            raise ValueError(f"n_hidden = {self.n_hidden!r}; a tuple is needed, as (64,)")
        for name in ("batch_size", "n_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; at least 1 is needed")

    @property
    def _n_features_out(self):
        return 12

    def _check(self, X, reset=False):
        X = validate_data(self, X, reset=reset, dtype=self.floatX)
        if len(X) and X.min() < 0:
            raise ValueError(f"X has negative values, {X.min()}; magnitudes are needed")
        return X

    def _index(self, y):
        """Return the class of every label, given as text or as index."""
        y = np.asarray(y)
        if y.dtype.kind == "f" and (y == np.rint(y)).all():
            y = y.astype(int)
        if y.dtype.kind not in "iu":
            return index_labels(y, self.n_qualities)
        n_classes = 12 * self.n_qualities + 1
        if len(y) and not (UNKNOWN <= y.min() and y.max() < n_classes):
            raise ValueError(f"y has {y.min()} to {y.max()}; -1 to {n_classes - 1} is needed")
        return y

    def scale(self, X):
        """Return frames as the network sees them: of unit length, compressed, of unit length."""
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression = {self.compression!r}; {[*COMPRESSIONS]} are known")
        return scale_frames(COMPRESSIONS[self.compression](scale_frames(X)))

    def _rotate(self, x, index, rng):
        """Move every frame, and the root of its chord, by its own number of semitones."""
        shifts = rng.randint(-12, 13, size=len(x))
        bins = np.arange(x.shape[1]) - (shifts * self.bins_per_octave // 12)[:, None]
        rotated = np.take_along_axis(x, bins % x.shape[1], axis=1)
        return rotated, rotate_index(index, shifts, self.n_qualities).astype(np.int32)


def scale_frames(X):
    """Return rows of unit length; rows of zeros stay."""
    length = np.sqrt(np.sum(X**2, axis=1, keepdims=True))
    return X / np.where(length > 0, length, 1)


def measure_distances(chroma, templates):
    """Return squared distances, (frames, chords)."""
    return np.sum((chroma[:, None, :] - templates[None]) ** 2, axis=2)
