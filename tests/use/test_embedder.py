"""Audio files in a scikit-learn pipeline."""

import pickle

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_predict import make_model, write_noise

from deep_artists.use.embedder import AudioEmbedder


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    return [write_noise(folder / f"{i}.flac", 0.3, seed=i) for i in range(6)]


def test_the_rows_are_those_of_the_model(paths, tmp_path):
    model = make_model()
    file = model.save(tmp_path / "model.npz")
    expected = model.embed(paths, "pool", "meanstd", "all")
    embedder = AudioEmbedder(file, layer="pool", aggregate="meanstd", clip="all")
    for found in (embedder.transform(paths), clone(embedder).fit_transform(np.array(paths))):
        np.testing.assert_array_equal(found, expected)
    assert len(embedder.get_feature_names_out()) == expected.shape[1]
    np.testing.assert_array_equal(embedder.transform(np.array(paths)[:, None]), expected)


def test_embedding_and_classifier_are_one_pipeline(paths):
    embedder = AudioEmbedder(make_model())
    pipe = make_pipeline(embedder, StandardScaler(), LogisticRegression())
    y, groups = np.arange(6) % 2, np.arange(6) // 2
    scores = cross_val_score(pipe, paths, y, groups=groups, cv=GroupKFold(3), error_score="raise")
    assert scores.shape == (3,)
    by_hand = make_pipeline(StandardScaler(), LogisticRegression())
    x = make_model().embed(paths)
    expected = cross_val_score(by_hand, x, y, groups=groups, cv=GroupKFold(3))
    np.testing.assert_array_equal(scores, expected)


def test_a_table_is_a_table(paths):
    embedder = AudioEmbedder(make_model()).set_output(transform="pandas")
    files = pandas.Series(paths, index=list("abcdef"))
    table = embedder.fit_transform(files)
    assert list(table.index) == list("abcdef") and table.columns[0] == "audioembedder0"
    np.testing.assert_array_equal(table, make_model().embed(paths))
    np.testing.assert_array_equal(embedder.fit_transform(files.to_frame()), table)


def test_what_gives_no_row_a_file_is_refused(paths):
    with pytest.raises(ValueError, match="aggregate = 'none'"):
        AudioEmbedder(make_model(), aggregate="none").fit(paths)
    with pytest.raises(ValueError, match="X is one path"):
        AudioEmbedder(make_model()).transform(paths[0])


def test_a_copy_for_another_process_gives_the_same_rows(paths):
    embedder = AudioEmbedder(make_model(), aggregate="meanstd").fit(paths)
    expected = embedder.transform(paths)
    copy = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(copy.transform(paths), expected)
