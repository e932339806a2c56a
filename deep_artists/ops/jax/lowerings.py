"""The Ops as plain XLA code, for any device of JAX. XLA chooses the order of its sums.

Each function takes the Op and its inputs as arrays. Importing this module imports jax.
"""

import jax.numpy as jnp
from jax import lax

from ..max_pool import split_windows
from ..sigmoid import THRESHOLDS

NCHW = ("NCHW", "OIHW", "NCHW")


def convolve(x, W, border=(0, 0)):
    padding = [(n, n) for n in border]
    return lax.conv_general_dilated(
        x, W, (1, 1), padding, dimension_numbers=NCHW, precision=lax.Precision.HIGHEST
    )


def conv2d(op, x, W):
    return convolve(x, W[:, :, ::-1, ::-1])


def conv2d_grad_input(op, W, dz):
    return convolve(dz, W.swapaxes(0, 1), border=(W.shape[2] - 1, W.shape[3] - 1))


def conv2d_grad_filters(op, x, dz):
    dW = convolve(x.swapaxes(0, 1), dz.swapaxes(0, 1))  # samples summed as maps are
    return dW.swapaxes(0, 1)[:, :, ::-1, ::-1]


def max_pool(op, z):
    return split_windows(z, op.ds).max(axis=(3, 5))


def max_pool_grad(op, z, p, dp):
    # Theano 0.6: every tied cell receives the full gradient.
    wins = split_windows(z, op.ds) == p[:, :, :, None, :, None]
    return join_windows(jnp.where(wins, dp[:, :, :, None, :, None], 0), z.shape)


def join_windows(split, shape):
    """Undo split_windows, with zeros where no window was."""
    n, maps, rows, h, columns, w = split.shape
    dz = split.reshape(n, maps, rows * h, columns * w)
    return jnp.pad(dz, [(0, a - b) for a, b in zip(shape, dz.shape)])


def conv_pool(op, x, W):
    z = conv2d(op, x, W)
    p = max_pool(op, z)
    wins = split_windows(z, op.ds) == p[:, :, :, None, :, None]
    n, maps, rows, h, columns, w = wins.shape
    words = (columns * w + 31) // 32
    wide = join_windows(wins, (n, maps, rows * h, words * 32)).reshape(n, maps, rows * h, words, 32)
    bits = wide.astype("uint32") << jnp.arange(32, dtype="uint32")
    return p, bits.sum(axis=-1, dtype="uint32")


def conv_pool_grad(op, x, winners, dp, W):
    (h, w), (n, maps, rows, columns) = op.ds, dp.shape
    bits = winners[..., None] >> jnp.arange(32, dtype="uint32") & 1
    wins = bits.reshape(*winners.shape[:3], -1)[..., : columns * w]
    wins = wins.reshape(n, maps, rows, h, columns, w) == 1
    z_shape = (n, maps, x.shape[2] - W.shape[2] + 1, x.shape[3] - W.shape[3] + 1)
    dz = join_windows(jnp.where(wins, dp[:, :, :, None, :, None], 0), z_shape)
    return conv2d_grad_filters(op, x, dz)


def dot(op, A, B):
    return jnp.dot(A, B, precision=lax.Precision.HIGHEST)


def sigmoid(op, a):
    return theano_sigmoid(a)


def theano_sigmoid(a):
    low, high, _, _ = THRESHOLDS[str(a.dtype)]
    return jnp.where(a < low, 0, jnp.where(a > high, 1, 1 / (1 + jnp.exp(-a))))


def theano_softplus(a):
    _, _, low, high = THRESHOLDS[str(a.dtype)]
    return jnp.where(a < low, 0, jnp.where(a > high, a, jnp.log1p(jnp.exp(a))))


def softmax(op, x):
    e = jnp.exp(x - x.max(axis=1, keepdims=True, initial=-jnp.inf))
    return e / e.sum(axis=1, keepdims=True)


def softmax_grad(op, dp, p):
    return p * (dp - (dp * p).sum(axis=1, keepdims=True))


def nll(op, x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    total = jnp.exp(shifted).sum(axis=1, keepdims=True)
    # A label that is no column gives NaN, a negative one too.
    label = jnp.where(y < 0, x.shape[1], y)[:, None]
    chosen = jnp.take_along_axis(shifted, label, axis=1, mode="fill", fill_value=jnp.nan)
    return (jnp.log(total) - chosen)[:, 0], jnp.exp(shifted) / total


def nll_grad(op, p, y, g):
    return g[:, None] * (p - (jnp.arange(p.shape[1]) == y[:, None]).astype(p.dtype))
