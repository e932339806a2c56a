"""The network as a scikit-learn classifier and transformer.

X holds patches, float (n, 2560), and y the artist of each, of any type that sorts. Patches of one
track are nearly the same: give their tracks (or albums) as `groups`, here to `fit` and to the
cross-validation alike; otherwise scores are too optimistic.

    cross_val_score(DeepArtistClassifier(), X, y, groups=track, cv=GroupKFold(5),
                    params={"groups": track})

Importing this module imports scikit-learn, which it must inherit from.
"""

import numbers

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from ..artists.recipe import load_recipe
from ..data.patches import PATCH_SIZE

RECIPE_FIELDS = (
    "learning_rate",
    "batch_size",
    "n_epochs",
    "nkerns",
    "filter_shape",
    "poolsize",
    "n_hidden",
    "L2_conv",
    "L2_softmax",
    "patience",
    "validation_frequency",
    "shuffle",
    "compression",
)


class DeepArtistClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """Recognise artists from mel patches; transform patches into features.

    Parameters
    ----------
    recipe : str, path or Recipe
        See `recipe.load_recipe`. Its `n_out` gives way to the number of classes.
    floatX : {'float32', 'float64'}
    validation_fraction : float, 0 < validation_fraction < 1
        Share of the patches, or of the groups, that is held out of training. The best
        parameters and the end of training are chosen by their error.
    random_state : int, RandomState or None
        Of the validation split, the initial values and the order of the patches. None: the seed
        of the recipe, so that two fits agree.
    layer : {'pool', 'hidden', 'proba'}
        What `transform` returns.
    verbose : bool
        Print the lines of the log as they come.
    learning_rate, batch_size, n_epochs, nkerns, filter_shape, poolsize, n_hidden, L2_conv, \
L2_softmax, patience, validation_frequency, shuffle, compression
        Instead of the recipe's, see `recipe.Recipe`. Training stops after `n_epochs`, or when
        `patience` runs out. With few patches give ``validation_frequency=0``, once an epoch: the
        recipes wait for 200 minibatches, and the last parameters are the best where none came.

    Attributes
    ----------
    classes_ : np.ndarray [shape=(n_classes,)]
    n_features_in_ : int
        2560.
    model_ : Model
        Its label names are the classes as text; predictions use its best parameters.
    result_ : train.Result
        Its test error repeats the best validation error: no test set is held back, that is for
        the cross-validation around to do.
    batch_size_ : int
        The recipe's, or the size of the smaller part, of train and validation, that it must not
        exceed.

    Examples
    --------
    >>> rng = np.random.RandomState(0)
    >>> X, y = rng.uniform(size=(40, 2560)), np.repeat(["ann", "bob"], 20)
    >>> X[20:] *= np.arange(2560) < 1280
    >>> net = DeepArtistClassifier(n_epochs=20, n_hidden=16, validation_frequency=0)
    >>> net.fit(X, y, groups=np.arange(40) // 5).score(X, y)
    1.0
    >>> net.transform(X).shape
    (40, 16)
    """

    def __init__(
        self,
        recipe="page",
        floatX="float32",
        *,
        validation_fraction=0.2,
        random_state=None,
        layer="hidden",
        verbose=False,
        learning_rate=None,
        batch_size=None,
        n_epochs=None,
        nkerns=None,
        filter_shape=None,
        poolsize=None,
        n_hidden=None,
        L2_conv=None,
        L2_softmax=None,
        patience=None,
        validation_frequency=None,
        shuffle=None,
        compression=None,
    ):
        self.recipe, self.floatX = recipe, floatX
        self.validation_fraction, self.random_state = validation_fraction, random_state
        self.layer, self.verbose = layer, verbose
        self.learning_rate, self.batch_size, self.n_epochs = learning_rate, batch_size, n_epochs
        self.nkerns, self.filter_shape, self.poolsize = nkerns, filter_shape, poolsize
        self.n_hidden, self.L2_conv, self.L2_softmax = n_hidden, L2_conv, L2_softmax
        self.patience, self.validation_frequency = patience, validation_frequency
        self.shuffle, self.compression = shuffle, compression

    def fit(self, X, y, groups=None):
        """Train the network.

        Parameters
        ----------
        X : array [shape=(n, 2560)], float
        y : array [shape=(n,)]
        groups : array [shape=(n,)], optional
            The track or album of every patch; none is in both train and validation.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has another width or values that are not finite, y has one class, or there are
            too few patches or groups to split.
        KeyboardInterrupt
            After Ctrl-C, so that a surrounding search stops too. The attributes are set.
        """
        from ..artists.train import train

        X, y = self._check(X, y, reset=True)
        check_classification_targets(y)
        classes, y = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has 1 class, {classes[0]}; at least 2 classes are needed")
        overrides = {name: getattr(self, name) for name in RECIPE_FIELDS}
        overrides = {name: value for name, value in overrides.items() if value is not None}
        recipe = load_recipe(self.recipe, **overrides, n_out=len(classes))
        seed = recipe.seed if self.random_state is None else self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31)
        train_rows, valid_rows = split_rows(y, groups, self.validation_fraction, int(seed))
        if np.ptp(y[train_rows]) == 0:
            raise ValueError("training gets 1 class, validation the rest; give more groups a class")
        batch_size = min(recipe.batch_size, len(train_rows), len(valid_rows))
        valid = X[valid_rows], y[valid_rows]
        result = train(
            [(X[train_rows], y[train_rows]), valid, valid],
            recipe.replace(seed=int(seed), batch_size=batch_size),
            floatX=self.floatX,
            echo=print if self.verbose else None,
        )
        result.model.label_names = [str(label) for label in classes]
        self.classes_, self.batch_size_ = classes, batch_size
        self.result_, self.model_ = result, result.model
        if result.interrupted:
            raise KeyboardInterrupt
        return self

    def predict_proba(self, X):
        """Return the probability of every class: an array [shape=(n, n_classes)], float64."""
        check_is_fitted(self)
        p = self.model_.transform(self._check(X), "proba").astype(np.float64)
        return p / p.sum(axis=1, keepdims=True)  # their sum is 1 in float32 only

    def predict(self, X):
        """Return the likeliest class for every patch: an array [shape=(n,)]."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def transform(self, X):
        """Return what `layer` makes of every patch: an array [shape=(n, units)], floatX."""
        check_is_fitted(self)
        return self.model_.transform(self._check(X), self.layer)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self.floatX]
        return tags

    @property
    def _n_features_out(self):
        recipe = self.model_.recipe
        return dict(pool=recipe.n_in, hidden=recipe.n_hidden, proba=recipe.n_out)[self.layer]

    def _check(self, X, y="no_validation", reset=False):
        """Return X of type floatX, with y where it is given."""
        checked = validate_data(self, X, y, reset=reset, dtype=self.floatX)
        if self.n_features_in_ != PATCH_SIZE:
            raise ValueError(
                f"X has {self.n_features_in_} features; {PATCH_SIZE} are needed, see patches.py"
            )
        return checked


def split_rows(y, groups, fraction, seed):
    """Return the rows of train and of validation: by group, or else stratified if possible."""
    if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f"validation_fraction = {fraction!r}; more than 0, less than 1 is needed")
    n = len(y)
    if groups is not None:
        if len(groups) != n:
            raise ValueError(f"groups has {len(groups)} entries; {n} are needed, one a row of X")
        splitter = GroupShuffleSplit
    else:
        n_valid = int(np.ceil(fraction * n))
        few = np.bincount(y).min() < 2 or min(n_valid, n - n_valid) < y.max() + 1
        splitter = ShuffleSplit if few else StratifiedShuffleSplit
    splits = splitter(n_splits=1, test_size=fraction, random_state=seed)
    return next(splits.split(np.zeros(n), y, groups))
