"""Softmax and likelihood over ten thousand classes."""

import numpy as np
import pytest
from test_ops import DTYPES, run_c

from deep_artists.ops.softmax import (
    NegativeLogLikelihood,
    NegativeLogLikelihoodGrad,
    Softmax,
    SoftmaxGrad,
)

K = 10_000
# Relative. Sums of ten thousand terms run in double; float32 is rounded to once, at the end.
BOUNDS = {"float32": 1e-7, "float64": 3e-14}


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_likelihood_are_those_of_numpy(dtype):
    rng = np.random.RandomState(0)
    x = rng.normal(scale=5, size=(12, K)).astype(dtype)
    x[0], x[1, 3] = 0, 300  # equal chances, and near certainty
    y, g = rng.randint(K, size=12).astype("int32"), rng.uniform(size=12).astype(dtype)
    shifted = x.astype(float) - x.max(
        axis=1, keepdims=True
    )  # rounded to double, as the kernel does
    e = np.exp(shifted.astype(np.longdouble))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(12)
    nll = np.log(e.sum(axis=1)) - shifted[rows, y]
    bound = {"rtol": BOUNDS[dtype], "atol": np.finfo(dtype).tiny}
    found_nll, found_p = run_c(NegativeLogLikelihood(), x, y)
    np.testing.assert_allclose(found_nll, nll, **bound)
    np.testing.assert_allclose(found_p, p, **bound)
    np.testing.assert_array_equal(run_c(Softmax(), x)[0], found_p)
    one_hot = np.zeros((12, K))
    one_hot[rows, y] = 1
    [dx] = run_c(NegativeLogLikelihoodGrad(), found_p, y, g)
    np.testing.assert_allclose(dx, g[:, None] * (p - one_hot), rtol=0, atol=4 * BOUNDS[dtype])
    dp = rng.normal(size=(12, K)).astype(dtype)
    [dx] = run_c(SoftmaxGrad(), dp, found_p)
    np.testing.assert_allclose(
        dx, p * (dp - (dp * p).sum(axis=1, keepdims=True)), rtol=0, atol=20 * BOUNDS[dtype]
    )
