"""The recurrent blocks r1 and r2 of the tutorial; see `blocks` and `nn.recurrent`."""

import numpy as np

from ..nn.chain import Block, fit_params, need_rng, take_frames
from ..nn.layers import draw_uniform
from ..nn.recurrent import GATES, join_directions, recur


def r1(input, V, cell="gru", direction="forwards", rng=None, **given):
    """Recurrent layer, every state.

    Parameters
    ----------
    input : Block or tensor [shape=(B, T, D) or (B, N, F, T)]
    V : int
        Units.
    cell : {'simple', 'gru', 'lstm'}
    direction : {'forwards', 'backwards', 'both'}
        Backwards: the states in the order of reading, the last frame's first. Both: in the order
        of time, two cells side by side.
    rng : np.random.RandomState, optional
        Draws W, Glorot uniform, and U, orthogonal; b starts at 0, but at 1 for the LSTM's f.
    W, U, b : tensors [shape=(D, k V), (V, k V), (k V,)], optional
        k is 1, 3 (z, r, q) or 4 (i, f, c, o). The cell that reads backwards beside another has
        W2, U2, b2.

    Returns
    -------
    Block
        Output (B, T, V), or (B, T, 2 V) of both directions. See `nn.recurrent`.
    """
    return recurrent("r1", input, V, cell, direction, rng, given)


def r2(input, V, cell="gru", direction="forwards", rng=None, **given):
    """Recurrent layer, the last state that each direction reaches; see `r1`.

    Returns
    -------
    Block
        Output (B, V), or (B, 2 V) of both directions.
    """
    return recurrent("r2", input, V, cell, direction, rng, given)


def recurrent(name, input, V, cell, direction, rng, given):
    x = take_frames(name, input)
    if cell not in GATES or direction not in ("forwards", "backwards", "both"):
        raise ValueError(
            f"block {name}: cell {cell!r} and direction {direction!r}; one of "
            f"{', '.join(GATES)}, and of forwards, backwards, both are needed"
        )
    D, n_columns = x.type.shape[2], GATES[cell] * V
    draw = {}
    for number in ("", "2") if direction == "both" else ("",):
        draw |= {
            f"W{number}": (
                (D, n_columns),
                lambda: draw_uniform(need_rng(name, rng), D, n_columns, (D, n_columns)),
            ),
            f"U{number}": (
                (V, n_columns),
                lambda: draw_orthogonal(need_rng(name, rng), (V, n_columns)),
            ),
            f"b{number}": ((n_columns,), lambda: initial_bias(cell, V)),
        }
    if given.keys() - draw.keys():
        raise TypeError(f"block {name} has no parameter {', '.join(given.keys() - draw.keys())}")
    params = tuple(fit_params(name, x, draw, **given).values())
    if direction == "both":
        states = [recur(x, *params[:3], cell), recur(x, *params[3:], cell, backwards=True)]
        y = join_directions(*states, last=name == "r2")
    else:
        y = recur(x, *params, cell, backwards=direction == "backwards")
        y = y[:, -1] if name == "r2" else y
    return Block(name, input, y, params)


def draw_orthogonal(rng, shape):
    """Draw a matrix whose rows (or columns, where they are fewer) are orthonormal."""
    left, _, right = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    return left if left.shape == shape else right


def initial_bias(cell, V):
    b = np.zeros(GATES[cell] * V)
    if cell == "lstm":
        b[V : 2 * V] = 1  # Keras 1.2: the forget gate begins open
    return b
