"""The fretboard network of Humphrey's talk (2013): from a tile of audio to fingers on six strings.

A softmax over nine states for each string; a layer of radial basis functions measures how far these
lie from the fingering of every chord, and training lowers the distance to the right one::

    x (batch, 1, 80, 192)
      -> Conv3D 16 of 13x17, tanh, pool 2x2   (batch, 16, 34, 88)
      -> Conv3D 20 of 13x15, tanh, pool 2x2   (batch, 20, 11, 37)
      -> Affine 8140 -> 512, tanh
      -> MultiSoftmax                         (batch, 9, 6)
      -> RBF, squared distances               (batch, 61) -> mean of column y

Outputs before the softmaxes are halved, and the distances too: see `nn.masked_layers`, and
``halved=False`` here.
"""

from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt

from ..data.chords.fingerings import N_STATES, N_STRINGS
from ..nn.layers import share
from ..nn.masked_layers import RBF, Affine, Conv3D, MultiSoftmax
from ..nn.updates import sgd


class Geometry(NamedTuple):
    """Sizes of a fretboard network."""

    tile: tuple = (80, 192)  # frames, bins
    filters: tuple = ((16, 13, 17), (20, 13, 15))  # how many, frames, bins
    poolsize: tuple = (2, 2)
    n_hidden: int = 512


FULL = Geometry()
SMALL = Geometry((16, 48), ((4, 5, 5), (5, 3, 5)), (2, 2), 32)


class FretboardNetwork:
    """The talk's network.

    Parameters
    ----------
    fingerings : np.ndarray [shape=(chords, 9, 6)]
        See `data.chords.fingerings.make_fingerings`.
    geometry : Geometry
    floatX : {'float32', 'float64'}
    seeds : sequence of five int or None
        Of each layer's RandomState; 2013: unseeded.
    values : dict of str to np.ndarray, optional
        Parameters by name instead of the initial values.
    learning_rate : float
    halved : bool
        See the module.

    Attributes
    ----------
    x : tensor [shape=(batch, 1, frames, bins)]
    y : int32 vector [shape=(batch,)]
    params : dict of str to shared variable
        conv0_W, conv0_b, conv1_W, conv1_b, affine2_W, affine2_b, strings_W, strings_b.
    strings : tensor [shape=(batch, 9, 6)]
        Probability of every state, by string.
    energy : tensor [shape=(batch, chords)]
    cost : scalar
    """

    def __init__(
        self,
        fingerings,
        geometry=FULL,
        floatX="float32",
        seeds=(None,) * 5,
        values=None,
        learning_rate=0.02,
        halved=True,
    ):
        self.geometry = geometry
        self.learning_rate = share(learning_rate, floatX, "learning_rate")  # an input in 2013
        self.x = pt.TensorType(floatX, (None, 1, *geometry.tile))("x")
        self.y = pt.TensorType("int32", (None,))("y")
        given = {name: share(value, floatX, name) for name, value in (values or {}).items()}
        rngs = [np.random.RandomState(seed) for seed in seeds]
        self.params, output, maps, lengths = {}, self.x, 1, geometry.tile

        def keep(name, layer):
            layer.W.name, layer.b.name = f"{name}_W", f"{name}_b"
            self.params.update({layer.W.name: layer.W, layer.b.name: layer.b})
            return layer

        for i, (n_filters, *size) in enumerate(geometry.filters):
            layer = keep(
                f"conv{i}",
                Conv3D(
                    rngs[i],
                    output,
                    (n_filters, maps, *size),
                    geometry.poolsize,
                    floatX,
                    W=given.get(f"conv{i}_W"),
                    b=given.get(f"conv{i}_b"),
                    halved=halved,
                ),
            )
            output, maps = layer.output, n_filters
            # The border is not ignored: partial windows count.
            lengths = [-(-(n - k + 1) // p) for n, k, p in zip(lengths, size, geometry.poolsize)]
        n_in = maps * lengths[0] * lengths[1]  # 8140
        hidden = keep(
            "affine2",
            Affine(
                rngs[2],
                output,
                n_in,
                geometry.n_hidden,
                floatX,
                pt.tanh,
                W=given.get("affine2_W"),
                b=given.get("affine2_b"),
                halved=halved,
            ),
        )
        self.strings = keep(
            "strings",
            MultiSoftmax(
                rngs[3],
                hidden.output,
                N_STRINGS,
                geometry.n_hidden,
                N_STATES,
                floatX,
                W=given.get("strings_W"),
                b=given.get("strings_b"),
            ),
        ).output
        flat = fingerings.reshape(len(fingerings), -1).T  # row: state * 6 + string
        self.templates = share(flat, floatX, "templates")
        rbf = RBF(
            rngs[4],
            self.strings,
            *flat.shape,
            floatX,
            distance="l2",
            W=self.templates,
            halved=halved,
        )
        self.energy, self.cost = rbf.output, rbf.mean_error(self.y)

    def draw_masks(self):
        """Do nothing: no unit of this network is dropped."""

    def constrain(self):
        """Do nothing: no weight of this network is constrained."""

    def updates(self):
        """Return plain gradient descent of all parameters but the templates."""
        return sgd(self.cost, list(self.params.values()), self.learning_rate)

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: p.get_value() for name, p in self.params.items()}
