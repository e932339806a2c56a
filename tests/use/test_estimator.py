"""The scikit-learn estimator: its rules, its numbers, and its place in searches and pipelines."""

import pickle

import joblib
import numpy as np
import pytest
import sklearn.utils.estimator_checks as checks
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import validate_data

import deep_artists.nn.steps
from deep_artists.artists.train import train
from deep_artists.use.estimator import DeepArtistClassifier, split_rows

SMALL = dict(
    nkerns=2, n_hidden=8, filter_shape=(5, 5), poolsize=(15, 12), n_epochs=6, validation_frequency=0
)

# Of scikit-learn's checks: those that train many networks for one answer, which pass too, and
# one that asks for another array library.
LEFT_OUT = [
    "check_classifiers_train",
    "check_classifiers_classes",
    "check_estimators_dtypes",
    "check_dtype_object",
    "check_estimators_nan_inf",
    "check_pipeline_consistency",
    "check_transformer_general",
    "check_transformer_data_not_an_array",
    "check_classifier_data_not_an_array",
    "check_f_contiguous_array_estimator",
    "check_array_api_input",
]


class Tiled(DeepArtistClassifier):
    """Takes X of any width, as scikit-learn's checks give it, each feature spread over a block."""

    def _check(self, X, y="no_validation", reset=False):
        checked = validate_data(self, X, y, reset=reset, dtype=self.floatX)
        X, *y = checked if isinstance(checked, tuple) else (checked,)
        X = X[:, np.arange(2560) * X.shape[1] // 2560]
        return (X, *y) if y else X


def make_patches(n_tracks=6, n_patches=5, seed=0):
    """Two artists, heard in the lower and in the upper bands."""
    rng = np.random.RandomState(seed)
    y = np.repeat(np.array(["ann", "bob"])[np.arange(n_tracks) % 2], n_patches)
    X = rng.uniform(size=(len(y), 64, 40)).astype("float32")
    X[y == "ann", 32:] *= 0.1
    X[y == "bob", :32] *= 0.1
    return X.reshape(len(y), -1), y, np.repeat(np.arange(n_tracks), n_patches)


@pytest.fixture(scope="module")
def fitted():
    X, y, track = make_patches()
    return DeepArtistClassifier(**SMALL | dict(n_epochs=60)).fit(X, y, groups=track)


@pytest.mark.slow
def test_the_rules_of_scikit_learn():
    names = []
    for estimator, check in checks.estimator_checks_generator(Tiled(**SMALL)):
        if check.func.__name__ not in LEFT_OUT:
            check(estimator)
            names.append(check.func.__name__)
    assert len(names) > 40


@pytest.mark.slow
def test_scikit_learns_blobs_are_told_apart():
    net = Tiled(**SMALL | dict(nkerns=4, n_hidden=32, n_epochs=20))
    checks.check_classifiers_train("Tiled", net)


def test_it_is_the_network_of_train(fitted):
    X, y, track = make_patches()
    rows, valid_rows = split_rows((y == "bob").astype(int), track, 0.2, 7)
    assert not set(track[rows]) & set(track[valid_rows])
    splits = [(X[r], (y == "bob")[r].astype(int)) for r in (rows, valid_rows, valid_rows)]
    result = train(
        splits, "page", batch_size=min(map(len, (rows, valid_rows))), seed=7, n_out=2, **SMALL
    )
    net = DeepArtistClassifier(random_state=7, **SMALL).fit(X, y, groups=track)
    np.testing.assert_array_equal(net.result_.costs, result.costs)
    np.testing.assert_array_equal(net.predict_proba(X).argmax(axis=1), result.model.predict(X))
    np.testing.assert_array_equal(net.transform(X), result.model.transform(X, "hidden"))
    assert net.result_.test_error == net.result_.best_validation_error


def test_what_it_learned(fitted):
    X, y, _ = make_patches(seed=1)
    assert fitted.score(X, y) > 0.9
    np.testing.assert_array_equal(fitted.classes_, ["ann", "bob"])
    assert fitted.n_features_in_ == 2560 and fitted.model_.label_names == ["ann", "bob"]
    p = fitted.predict_proba(X)
    assert p.shape == (30, 2) and np.abs(p.sum(axis=1) - 1).max() < 1e-12
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[p.argmax(axis=1)])
    assert fitted.transform(X).shape == (30, len(fitted.get_feature_names_out())) == (30, 8)
    pooled = clone(fitted).set_params(layer="pool")
    pooled.model_, pooled.n_features_in_ = fitted.model_, 2560
    np.testing.assert_array_equal(pooled.transform(X), fitted.model_.transform(X, "pool"))


def test_copies_predict_the_same(fitted, tmp_path):
    X, y, _ = make_patches(seed=1)
    expected = fitted.predict_proba(X)  # the compiled function is there, and is not copied
    joblib.dump(fitted, tmp_path / "net.joblib")
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "net.joblib")):
        np.testing.assert_array_equal(copy.predict_proba(X), expected)
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.slow
def test_few_patches_make_small_minibatches():
    X, y, track = make_patches(n_tracks=4, n_patches=3)
    net = DeepArtistClassifier(**SMALL, batch_size=80).fit(X, y)
    assert net.batch_size_ == 3 and net.model_.recipe.batch_size == 3  # 20 % of 12, rounded up
    assert len(net.result_.validation) == SMALL["n_epochs"]
    assert DeepArtistClassifier(**SMALL, batch_size=2).fit(X, y, groups=track).batch_size_ == 2
    net = DeepArtistClassifier(**SMALL).fit(X[:3], y[2:5])
    assert net.batch_size_ == 1


def test_random_state_is_the_seed():
    X, y, _ = make_patches(n_tracks=4, n_patches=3)
    states = None, 5, np.random.RandomState(5), np.random.RandomState(5)
    seeds = [
        DeepArtistClassifier(**SMALL, random_state=state).fit(X, y).model_.recipe.seed
        for state in states
    ]
    assert seeds[:2] == [23455, 5] and seeds[2] == seeds[3] != 5


@pytest.mark.slow
def test_it_stands_in_searches_and_pipelines():
    X, y, track = make_patches()
    net = DeepArtistClassifier(**SMALL)
    scores = cross_val_score(
        net, X, y, groups=track, cv=GroupKFold(3), params={"groups": track}, error_score="raise"
    )
    assert scores.shape == (3,)
    pipe = make_pipeline(DeepArtistClassifier(**SMALL), LogisticRegression())
    search = GridSearchCV(
        pipe, {"deepartistclassifier__n_hidden": [4, 8]}, cv=GroupKFold(3), error_score="raise"
    )
    search.fit(X, y, groups=track, deepartistclassifier__groups=track)
    assert search.best_estimator_[0].transform(X).shape[1] in (4, 8)
    assert search.predict(X).shape == y.shape


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda X, y, g: (X[:, :100], y, g), "X has 100 features; 2560 are needed"),
        (lambda X, y, g: (X, np.repeat("ann", len(y)), g), "1 class"),
        (lambda X, y, g: (X, y, g[:-1]), "groups has 29 entries; 30 are needed"),
        (lambda X, y, g: (X, y, g * 0), "resulting train set will be empty"),
        (lambda X, y, g: (X, y, g % 2), "training gets 1 class"),
        (lambda X, y, g: (X * np.nan, y, g), "NaN"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(change, message):
    X, y, groups = change(*make_patches())
    with pytest.raises(ValueError, match=message):
        DeepArtistClassifier(**SMALL).fit(X, y, groups=groups)


def test_ctrl_c_stops_the_search_around_and_keeps_what_was_reached(monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(deep_artists.nn.steps.Steps, "validate", interrupt)
    X, y, _ = make_patches()
    net = DeepArtistClassifier(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert net.result_.interrupted and net.predict(X).shape == y.shape


def test_the_log_is_printed_when_asked_for(capsys):
    X, y, _ = make_patches()
    net = DeepArtistClassifier(**SMALL).fit(X, y)
    assert capsys.readouterr().out == ""
    net.set_params(verbose=True).fit(X, y)
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in net.result_.log)


@pytest.mark.parametrize("fraction", [0, 1, 0.0, -0.1, 1.5, np.nan, np.inf, "x", None, 3, True])
def test_a_fraction_that_splits_nothing_is_refused(fraction):
    for groups in (None, np.arange(10)):
        with pytest.raises(ValueError, match="validation_fraction = "):
            split_rows(np.arange(10) % 2, groups, fraction, 0)
