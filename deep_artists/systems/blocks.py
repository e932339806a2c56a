"""The building blocks of Choi, Fazekas, Cho and Sandler's tutorial (2017), with Theano's numbers.

Letters of the tutorial: N maps (channels), F frequencies, T frames, H x W a filter (frequency by
time), V units or filters; B clips in a batch. Maps are (B, N, F, T), sequences (B, T, D); where a
block of sequences meets maps, it takes their frames with D = N F.

===== ================================================== =========== ==============================
block what it is                                         parameters  output
===== ================================================== =========== ==============================
d1    one dense layer, for every frame                   DV + V      (B, T, V)
d2    the same, for every w frames joined                wDV + V     (B, T - w + 1, V)
c1    convolution along time, over all frequencies       NFwV + V    (B, V, 1, T - w + 1)
c2    convolution along both                             NHWV + V    (B, V, F', T')
r1/r2 recurrent layer: every state / the last            k(D+V+1)V   (B, T, V) / (B, V)
p1/p2 pooling (by default: maxima) of time / of both     0           (B, N, F', T'); F' = F of p1
p3    mean over all of both                              0           (B, N)
===== ================================================== =========== ==============================

Which block suits which task (the tutorial's chart, its levels as Nam names them):

=================================================== ============================= ============
task                                                first                         then
=================================================== ============================= ============
a label for every frame (frame level: pitch, chord; d2-d2, c2-c2 or r1-r1         d1, d2 or r1
event level: onset, instrument, singing voice)
a label for a clip (semantic level: genre, mood,    c1-p1-c1-p1, c2-p2-c2-p2      d1, r2 or
tags)                                               or r1-p1-r1-p1                c2-p2-c2
=================================================== ============================= ============

and d1 at the end of both, with a softmax for one class, a sigmoid for tags. Pitch and harmony are
objective and short, key and rhythm objective and longer, mood and genre subjective and long: the
longer, the more pooling.

A network is a few lines; `describe` prints its shapes::

    x = pt.tensor("x", shape=(None, 1, 36, 3), dtype="float32")
    y = c2(x, 4, (5, 3), bias=False, rng=rng)
    y = activate(p2(y, "global"), relu)
    y = d1(y, 2, softmax, bias=False, rng=rng)
    print(describe(y))
"""

import numpy as np
import pytensor.tensor as pt

from ..nn.activations import elu, hard_sigmoid, linear, relu, sigmoid, softmax, tanh
from ..nn.batch_norm import batch_norm
from ..nn.chain import (
    Block,
    as_tensor,
    describe,
    fit_params,
    list_blocks,
    list_params,
    named,
    need_rng,
    refuse,
    take_frames,
    take_maps,
)
from ..nn.convolution import as_pair, convolve
from ..nn.layers import draw_uniform
from ..nn.losses import accuracy, categorical_crossentropy
from ..nn.pooling import pool_2d
from .blocks_recurrent import r1, r2

__all__ = [
    "Block",
    "accuracy",
    "activate",
    "c1",
    "c2",
    "categorical_crossentropy",
    "d1",
    "d2",
    "describe",
    "elu",
    "hard_sigmoid",
    "linear",
    "list_blocks",
    "list_params",
    "normalize",
    "p1",
    "p2",
    "p3",
    "r1",
    "r2",
    "relu",
    "residual",
    "sigmoid",
    "softmax",
    "tanh",
]


def own_dense(name, x, n_in, V, bias, rng, W, b):
    draw = {"W": ((n_in, V), lambda: draw_uniform(need_rng(name, rng), n_in, V, (n_in, V)))}
    if bias:
        draw["b"] = ((V,), lambda: np.zeros(V))
    return fit_params(name, x, draw, W=W, b=b)


def d1(input, V, activation=linear, bias=True, rng=None, W=None, b=None):
    """One dense layer, the same for every frame.

    Parameters
    ----------
    input : Block or tensor [shape=(B, T, D), (B, D) or (B, N, F, T)]
    V : int
        Units.
    activation : function of a tensor
    bias : bool
    rng : np.random.RandomState, optional
        Draws W, Glorot uniform; b starts at 0.
    W, b : tensors [shape=(D, V), (V,)], optional

    Returns
    -------
    Block
        Output f(x W + b): (B, T, V), or (B, V).

    Raises
    ------
    ValueError
        If a shape does not fit, with both shapes.
    """
    x = as_tensor(input)
    x = x if x.type.ndim == 2 else take_frames("d1", x)
    if x.type.shape[-1] is None:
        refuse("d1", f"the input is {x.type.shape}; its last length must be known")
    params = own_dense("d1", x, x.type.shape[-1], V, bias, rng, W, b)
    return Block("d1", input, activation(multiply(x, **params)), tuple(params.values()))


def d2(input, V, w, activation=linear, bias=True, rng=None, W=None, b=None):
    """One dense layer for every w neighbouring frames, joined frame after frame.

    Parameters
    ----------
    input : Block or tensor [shape=(B, T, D) or (B, N, F, T)]
    V, w : int
        Units; frames.
    activation, bias, rng, b
        See `d1`.
    W : tensor [shape=(w D, V)], optional

    Returns
    -------
    Block
        Output (B, T - w + 1, V).
    """
    x = take_frames("d2", input)
    T, D = x.type.shape[1:]
    if w < 1:
        refuse("d2", f"the input is {x.type.shape}, w = {w}; at least 1 is needed")
    if T is not None and T < w:
        refuse("d2", f"the input is {x.type.shape}, of fewer frames than w = {w}")
    params = own_dense("d2", x, w * D, V, bias, rng, W, b)
    last = x.shape[1] if T is None else T
    joined = pt.concatenate([x[:, i : last - w + 1 + i] for i in range(w)], axis=2)
    return Block("d2", input, activation(multiply(joined, **params)), tuple(params.values()))


def multiply(x, W, b=None):
    """Return x W + b over the last axis of x."""
    flat = x if x.type.ndim == 2 else x.reshape((-1, x.type.shape[-1]))
    y = pt.dot(flat, W) if b is None else pt.dot(flat, W) + b
    if x.type.ndim == 2:
        return y
    shape = (*x.type.shape[:-1], W.type.shape[1])
    return pt.specify_shape(y.reshape((*x.shape[:-1], W.shape[1])), shape)


def c1(input, V, w, activation=linear, bias=True, flip=True, rng=None, W=None, b=None):
    """Convolution along time with filters as high as the input: frequency is used up.

    With w = 1 it is `d1`, with w > 1 `d2`, once W is turned and put in order.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]
    V, w : int
        Filters; frames of one.
    W : tensor [shape=(V, N, F, w)], optional
    activation, bias, flip, rng, b
        See `c2`.

    Returns
    -------
    Block
        Output (B, V, 1, T - w + 1).
    """
    size = (take_maps("c1", input).type.shape[2], w)
    return convolution("c1", input, V, size, activation, 1, 0, bias, flip, rng, W, b)


def c2(
    input,
    V,
    size,
    activation=linear,
    stride=1,
    pad=0,
    bias=True,
    flip=True,
    rng=None,
    W=None,
    b=None,
):
    """Convolution along frequency and time.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]
    V : int
        Filters.
    size : int or (int, int)
        H and W of a filter.
    activation : function of a tensor
    stride, pad, flip
        See `nn.convolution.convolve`. True flips, as Theano does; TensorFlow's filters need False.
    bias : bool
    rng : np.random.RandomState, optional
        Draws W, Glorot uniform; b starts at 0.
    W, b : tensors [shape=(V, N, H, W), (V,)], optional

    Returns
    -------
    Block
        Output (B, V, F', T').
    """
    size = (size, size) if np.ndim(size) == 0 else size
    return convolution("c2", input, V, size, activation, stride, pad, bias, flip, rng, W, b)


def convolution(name, input, V, size, activation, stride, pad, bias, flip, rng, W, b):
    """Return c1 or c2, which differ in the height of a filter."""
    x = take_maps(name, input)
    if None in (x.type.shape[1], *size):
        refuse(name, f"its maps and frequencies must be known, the input is {x.type.shape}")
    with named(f"{name} with an input of {x.type.shape}"):
        size = as_pair(size, "size")
    shape = (V, x.type.shape[1], *size)
    area = int(np.prod(size))
    draw = {
        "W": (shape, lambda: draw_uniform(need_rng(name, rng), area * shape[1], area * V, shape))
    }
    if bias:
        draw["b"] = ((V,), lambda: np.zeros(V))
    params = fit_params(name, x, draw, W=W, b=b)
    with named(name):
        y = convolve(x, params["W"], stride, pad, flip)
    if bias:
        y = y + params["b"].dimshuffle("x", 0, "x", "x")
    return Block(name, input, activation(y), tuple(params.values()))


def p1(input, w, mode="max", stride=None, ignore_border=True, p=2):
    """Pooling along time.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]
    w : int or None
        Frames of a window; None: all of them.
    stride : int, optional
        For padding take `p2` with a window of one row.
    mode, ignore_border, p
        See `nn.pooling.pool_2d`.

    Returns
    -------
    Block
        Output (B, N, F, T'); with w = 2, rows (3 1) (9 1) become 3 and 9.
    """
    stride = None if stride is None else (1, stride)
    with named("p1"):
        y = pool_2d(take_maps("p1", input), (1, w), ignore_border, stride, 0, mode, p)
    return Block("p1", input, y, ())


def p2(input, size, mode="max", stride=None, pad=0, ignore_border=True, p=2):
    """Pooling along frequency and time.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]
    size : int, (int, int) or 'global'
        Rows and columns of a window; or everything, of any length.
    mode, stride, pad, ignore_border, p
        See `nn.pooling.pool_2d`.

    Returns
    -------
    Block
        Output (B, N, F', T'); (B, N) of 'global'.
    """
    everything = isinstance(size, str) and size == "global"
    if everything and (stride is not None or not np.array_equal(pad, 0)):
        shape = as_tensor(input).type.shape
        refuse("p2", f"the input is {shape}; 'global' has neither stride nor pad")
    with named("p2"):
        y = pool_2d(
            take_maps("p2", input),
            (None, None) if everything else size,
            ignore_border,
            stride,
            pad,
            mode,
            p,
        )
    return Block("p2", input, y[:, :, 0, 0] if everything else y, ())


def p3(input):
    """Mean over all frequencies and frames.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]

    Returns
    -------
    Block
        Output (B, N).
    """
    return Block("p3", input, take_maps("p3", input).mean(axis=(2, 3)), ())


def activate(input, activation):
    """An activation as a block of its own."""
    return Block(activation.__name__, input, activation(as_tensor(input)), ())


def normalize(input, gamma=None, beta=None):
    """Batch normalisation of every map; gamma starts at 1, beta at 0. See `nn.batch_norm`."""
    x = take_maps("normalize", input)
    n = x.type.shape[1]
    if n is None:
        refuse("normalize", f"the input is {x.type.shape}; its maps must be known")
    draw = {"gamma": ((n,), lambda: np.ones(n)), "beta": ((n,), lambda: np.zeros(n))}
    params = fit_params("normalize", x, draw, gamma=gamma, beta=beta)
    return Block("normalize", input, batch_norm(x, **params), tuple(params.values()))


def residual(input, form="post", rng=None, W1=None, b1=None, W2=None, b2=None):
    """Residual block around two 3x3 convolutions that keep all shapes.

    Parameters
    ----------
    input : Block or tensor [shape=(B, N, F, T)]
    form : {'post', 'pre'}
        post: relu(x + F(x)), F a convolution, relu, a convolution. pre: x + F(x), F with a relu
        before each convolution; with weights of 0 it is the identity.
    rng : np.random.RandomState, optional
    W1, b1, W2, b2 : tensors [shape=(N, N, 3, 3), (N,)], optional

    Returns
    -------
    Block
        Output (B, N, F, T).
    """
    if form not in ("post", "pre"):
        raise ValueError(f"block residual: form {form!r}; post or pre is needed")
    x = take_maps("residual", input)
    V = x.type.shape[1]
    if V is None:
        refuse("residual", f"the input is {x.type.shape}; its maps must be known")

    def draw_filters():
        return draw_uniform(need_rng("residual", rng), 9 * V, 9 * V, (V, V, 3, 3))

    filters, biases = ((V, V, 3, 3), draw_filters), ((V,), lambda: np.zeros(V))
    draw = {"W1": filters, "b1": biases, "W2": filters, "b2": biases}
    params = fit_params("residual", x, draw, W1=W1, b1=b1, W2=W2, b2=b2)
    first = relu(x) if form == "pre" else x
    first = c2(first, V, 3, relu, pad="same", W=params["W1"], b=params["b1"])
    y = x + c2(first, V, 3, pad="same", W=params["W2"], b=params["b2"]).output
    return Block("residual", input, relu(y) if form == "post" else y, tuple(params.values()))
