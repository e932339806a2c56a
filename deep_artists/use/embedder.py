"""Embeddings as a scikit-learn transformer: paths of audio files -> a row of features for each.

    make_pipeline(AudioEmbedder("model.npz"), StandardScaler(), LogisticRegression())

is a classifier of audio files. A cross-validation embeds every file anew for every fold, unless the
pipeline has a ``memory``. Give albums or artists as groups: ``cv=GroupKFold(5), groups=artist``.

Importing this module imports scikit-learn, which it must inherit from.
"""

import os

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ..artists.model import Model


class AudioEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn audio files into what a layer of a trained network makes of them.

    Parameters
    ----------
    model : Model or path
        A trained model, or its file.
    layer : {'pool', 'hidden', 'proba'}
    aggregate : {'mean', 'meanstd'}
    clip : {'last30', 'all'}, optional
    hop_s : float, optional
    on_error : {'raise', 'nan'}
    parameters : {'best', 'last'}
    jobs : int
        See `Model.embed` for all of these.

    Attributes
    ----------
    model_ : Model

    Examples
    --------
    >>> import deep_artists
    >>> rng = np.random.RandomState(0)
    >>> sets = [(rng.uniform(size=(80, 2560)), np.arange(80) % 4)] * 3
    >>> model = deep_artists.train(sets, "page", n_epochs=1, batch_size=40).model
    >>> noise = [(rng.uniform(-0.1, 0.1, size=22050), 22050) for _ in range(3)]
    >>> AudioEmbedder(model).fit_transform(noise).shape
    (3, 1024)
    """

    def __init__(
        self,
        model,
        *,
        layer="hidden",
        aggregate="mean",
        clip=None,
        hop_s=None,
        on_error="raise",
        parameters="best",
        jobs=1,
    ):
        self.model, self.layer, self.aggregate, self.clip = model, layer, aggregate, clip
        self.hop_s, self.on_error, self.parameters, self.jobs = hop_s, on_error, parameters, jobs

    def fit(self, X=None, y=None):
        """Load the model; nothing is learned from X.

        Returns
        -------
        self

        Raises
        ------
        ModelError, FileNotFoundError
            If the model cannot be read.
        ValueError
            If `aggregate` gives no row a file.
        """
        if self.aggregate not in ("mean", "meanstd"):
            raise ValueError(f"aggregate = {self.aggregate!r}; there are 'mean' and 'meanstd'")
        self.model_ = self.model if isinstance(self.model, Model) else Model.load(self.model)
        return self

    def transform(self, X):
        """Return a row for every file.

        Parameters
        ----------
        X : array [shape=(n,) or (n, 1)] of paths, or a list of (y, sr)

        Returns
        -------
        np.ndarray [shape=(n, k)]
            What `set_output` asks for.
        """
        if not hasattr(self, "model_"):
            self.fit()
        if isinstance(X, (str, os.PathLike)):
            raise ValueError(f"X is one path, {os.fspath(X)!r}; a list of paths is needed")
        if getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:  # a column of a table
            X = np.asarray(X, object)[:, 0]
        return self.model_.embed(
            X,
            self.layer,
            self.aggregate,
            self.clip,
            self.hop_s,
            self.on_error,
            self.parameters,
            self.jobs,
        )

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    @property
    def _n_features_out(self):
        if not hasattr(self, "model_"):
            self.fit()
        recipe = self.model_.recipe
        width = dict(pool=recipe.n_in, hidden=recipe.n_hidden, proba=recipe.n_out)[self.layer]
        return width * (1 + (self.aggregate == "meanstd"))
