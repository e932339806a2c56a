"""Recurrent layers with the equations of Keras 1.2 and 2.0 on Theano.

Sequences are (B, T, D). A cell of V units has one bias::

    W (D, gates V)    U (V, gates V)    b (gates V,)

Its gates stand side by side in the columns. The state starts at 0.
"""

import pytensor
import pytensor.tensor as pt

from .activations import hard_sigmoid


def step_simple(xw, h, U):
    """Return [tanh(x W + b + h U)]."""
    return [pt.tanh(xw + pt.dot(h, U))]


def step_gru(xw, h, U):
    """Return the next state of a gated recurrent unit; columns z, r, q.

    The reset gate r acts on the state BEFORE its product with U. (Torch: after it, with a second
    bias; not the same cell.)
    """
    n = U.shape[0]
    gates = hard_sigmoid(xw[:, : 2 * n] + pt.dot(h, U[:, : 2 * n]))
    z, r = gates[:, :n], gates[:, n:]
    q = pt.tanh(xw[:, 2 * n :] + pt.dot(r * h, U[:, 2 * n :]))
    return [z * h + (1 - z) * q]


def step_lstm(xw, h, s, U):
    """Return the next output and memory of a long short-term memory; columns i, f, c, o."""
    n = U.shape[0]
    xw = xw + pt.dot(h, U)
    i, f, o = (hard_sigmoid(xw[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
    s = f * s + i * pt.tanh(xw[:, 2 * n : 3 * n])
    return [o * pt.tanh(s), s]


STEPS = {"simple": step_simple, "gru": step_gru, "lstm": step_lstm}
GATES = {"simple": 1, "gru": 3, "lstm": 4}
STATES = {"simple": 1, "gru": 1, "lstm": 2}


def recur(x, W, U, b, cell, backwards=False):
    """Return the state after every frame of a sequence.

    Parameters
    ----------
    x : tensor [shape=(B, T, D)]
    W, U, b : tensors [shape=(D, gates V), (V, gates V), (gates V,)]
    cell : {'simple', 'gru', 'lstm'}
    backwards : bool
        Read the last frame first, and return the states in that order.

    Returns
    -------
    tensor [shape=(B, T, V)]

    Notes
    -----
    ``SimpleRNN``, ``GRU`` and ``LSTM`` of Keras 1.2 and 2.0: hard sigmoids at the gates. What does
    not depend on the state, x W + b, is computed for all frames at once.
    """
    B, T, D = x.shape
    n_columns = W.shape[1]
    frames = x.dimshuffle(1, 0, 2)[:: -1 if backwards else 1]  # (T, B, D)
    xw = (pt.dot(frames.reshape((T * B, D)), W) + b).reshape((T, B, n_columns))
    start = pt.zeros((B, U.shape[0]), dtype=x.dtype)
    states = pytensor.scan(
        STEPS[cell],
        sequences=[xw],
        outputs_info=[start] * STATES[cell],
        non_sequences=[U],
        return_updates=False,
        return_list=True,
    )
    shape = (*x.type.shape[:2], U.type.shape[0])
    return pt.specify_shape(states[0].dimshuffle(1, 0, 2), shape)


def join_directions(forwards, backwards, last=False):
    """Join the states of two directions, (B, T, V) each, as they come from `recur`.

    Returns
    -------
    tensor [shape=(B, T, 2 V)], or (B, 2 V) with `last`: the last state that each one reached
    """
    if last:
        return pt.concatenate([forwards[:, -1], backwards[:, -1]], axis=1)
    return pt.concatenate([forwards, backwards[:, ::-1]], axis=2)
