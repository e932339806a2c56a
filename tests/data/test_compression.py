"""log(1 + 10000 x), standardised."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_artists.data.compression import compress, log1p_power, measure


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e30))
def test_the_logarithm_is_right(x):
    assert abs(log1p_power(np.array([x]))[0] - np.log1p(1e4 * x)) <= 1e-15 * (1 + np.log1p(1e4 * x))


def test_bits_are_the_same_on_every_processor():
    x = np.random.RandomState(0).uniform(size=(20, 2560)) ** 8
    digest = hashlib.sha256(compress(x, 1.5, 0.75).astype("<f8")).hexdigest()
    assert digest == "3e1c4ba2331ecd025478499b93d4823360d6b86ef4d800acf66bc243cca28996"


def test_train_gets_mean_0_and_deviation_1():
    x = np.random.RandomState(1).uniform(size=(50, 2560)).astype(np.float32) ** 8
    moments = measure(x)
    z = compress(x, **moments)
    assert z.dtype == np.float32 and z.shape == x.shape
    assert abs(z.mean(dtype=float)) < 1e-6 and abs(z.std(dtype=float) - 1) < 1e-6
    reference = np.log1p(1e4 * x.astype(float))
    assert abs(moments["mean"] - reference.mean()) < 1e-12
    assert abs(moments["deviation"] - reference.std()) < 1e-12


def test_a_patch_becomes_the_same_alone_and_among_others():
    x = np.random.RandomState(2).uniform(size=(40, 2560)).astype(np.float32)
    z = compress(x, 3.0, 2.0)
    np.testing.assert_array_equal(compress(x[7:8], 3.0, 2.0), z[7:8])
    assert compress(x[:0], 3.0, 2.0).shape == (0, 2560)


def test_what_has_no_logarithm_is_refused():
    with pytest.raises(ValueError, match="a value of -1.0; compression = 'log' needs powers"):
        compress(np.full((1, 2560), -1.0), 0.0, 1.0)
    with pytest.raises(ValueError, match="all values of x are the same"):
        measure(np.zeros((3, 2560)))
