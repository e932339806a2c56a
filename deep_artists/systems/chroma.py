"""Learned chroma, as in Humphrey's talk "Deep Learning in Music Informatics" (2013).

"Chroma is octave equivalence, right? What if we learn these weights?" Constant-Q frames go through
one linear layer, or two, into 12 numbers; a layer of radial basis functions measures how far these
lie from the templates of all chords, and training lowers the distance to the right one::

    x (batch, 192) -> [Affine 64, tanh] -> Affine 12 -> RBF (batch, chords) -> mean of column y

Regularised by weight decay (L2), sparsity (L1), unit columns or dropout. Fixed octave equivalence
is `data.chords.pitches.octave_matrix`; the tutorial's programs are in `chroma_tutorial`, and what
one does with learned chroma today is in `chroma_learner`.

Faithful to the framework, outputs are halved and the distances too: see `nn.masked_layers`, and
``halved=False`` here.
"""

import numpy as np
import pytensor.tensor as pt

from ..nn.layers import share
from ..nn.masked_layers import RBF, Affine
from ..nn.penalties import add_penalties, limit_norm
from ..nn.rows import compile_rows, take_in_order
from ..nn.updates import sgd
from ..ops.compile import compile_function


class ChromaNetwork:
    """The talk's network.

    Parameters
    ----------
    n_in : int
        Bins of a constant-Q frame; the talk's have 192.
    templates : np.ndarray [shape=(chords, n_out)]
        See `data.chords.vocabulary.make_templates`; n_out is 12.
    n_hidden : tuple of int
        Units of the tanh layers before the last: () or (64,).
    floatX : {'float32', 'float64'}
    seeds : sequence of int or None
        Of each layer's RandomState, the RBF's last; 2013: unseeded.
    values : dict of str to np.ndarray, optional
        Parameters by name instead of the initial values.
    learning_rate : float
    distance : {'l2', 'l1'}
    L1, L2 : float
        Of the first layer's weights, added to the cost unscaled.
    unit_columns : bool
        Keep the columns of the first layer's weights at norm 1, from before the first update.
    dropout : float
        Rate of the first layer's units.
    halved : bool
        See the module.

    Attributes
    ----------
    x : matrix [shape=(batch, n_in)]
    y : int32 vector [shape=(batch,)]
    params : dict of str to shared variable
        affine0_W, affine0_b, ...
    chroma : tensor [shape=(batch, 12)]
    energy : tensor [shape=(batch, chords)]
        Distances; both without dropout.
    cost : scalar
    """

    def __init__(
        self,
        n_in,
        templates,
        n_hidden=(),
        floatX="float32",
        seeds=None,
        values=None,
        learning_rate=0.02,
        distance="l2",
        L1=0.0,
        L2=0.0,
        unit_columns=False,
        dropout=0.0,
        halved=True,
    ):
        # 2013: an input of the function, so that float32 rounds it; a constant would be a double.
        self.learning_rate = share(learning_rate, floatX, "learning_rate")
        self.unit_columns = unit_columns
        self.x = pt.TensorType(floatX, (None, n_in))("x")
        self.y = pt.TensorType("int32", (None,))("y")
        self.sizes = (n_in, *n_hidden, templates.shape[1])
        self.distance, self.floatX, self.halved = distance, floatX, halved
        self.seeds = [None] * (len(self.sizes) + 1) if seeds is None else seeds
        self.templates = share(templates.T, floatX, "templates")
        given = {name: share(value, floatX, name) for name, value in (values or {}).items()}
        layers, rbf = self._build(given, dropout)
        self.masks = [layer.mask for layer in layers]
        self.params = {}
        for i, layer in enumerate(layers):
            layer.W.name, layer.b.name = f"affine{i}_W", f"affine{i}_b"
            self.params |= {layer.W.name: layer.W, layer.b.name: layer.b}
        self.cost = add_penalties(rbf.mean_error(self.y), [layers[0].W], L1, L2)
        if dropout:  # the same layers for use, with nothing dropped
            layers, rbf = self._build(self.params, 0.0)
        self.chroma, self.energy = layers[-1].output, rbf.output

    def _build(self, given, dropout):
        """Return the layers, with given parameters where there are any."""
        layers, output = [], self.x
        for i, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:])):
            layers.append(
                Affine(
                    np.random.RandomState(self.seeds[i]),
                    output,
                    n_in,
                    n_out,
                    self.floatX,
                    activation=pt.tanh if i < len(self.sizes) - 2 else None,
                    W=given.get(f"affine{i}_W"),
                    b=given.get(f"affine{i}_b"),
                    rate=0.0 if i else dropout,
                    halved=self.halved,
                )
            )
            output = layers[-1].output
        rbf = RBF(
            np.random.RandomState(self.seeds[-1]),
            output,
            *self.templates.type.shape,
            self.floatX,
            distance=self.distance,
            W=self.templates,
            halved=self.halved,
        )
        return layers, rbf

    def draw_masks(self):
        """Draw the dropout masks of the next call."""
        for mask in self.masks:
            mask.draw()

    def constrain(self):
        """Bring the constrained weights to their norm, as before the first update."""
        if self.unit_columns:
            W = self.params["affine0_W"]
            W.set_value(limit_norm(W.get_value()))

    def updates(self):
        """Return plain gradient descent, under the constraint."""
        constrained = self.params["affine0_W"] if self.unit_columns else None
        steps = sgd(self.cost, list(self.params.values()), self.learning_rate)
        return [(p, limit_norm(new) if p is constrained else new) for p, new in steps]

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: p.get_value() for name, p in self.params.items()}


class Run:
    """The training of a network with masks, on minibatches of rows.

    Parameters
    ----------
    network : ChromaNetwork or fretboard.FretboardNetwork
    x, y : np.ndarray
        Frames or tiles, and the indices of their chords.
    batch_size : int
    batches : iterator of rows, optional
        2013: stored order, starting over where the data end.

    Attributes
    ----------
    network
    losses : list of float
        Before each update.
    """

    def __init__(self, network, x, y, batch_size=50, batches=None):
        network.constrain()
        self.network, self.losses = network, []
        self.batches = take_in_order(len(x), batch_size) if batches is None else batches
        self.train = compile_rows(network, x, y)
        self.measure = compile_function([network.x], network.energy)

    def step(self):
        """Take the next minibatch; return its loss before the update."""
        self.network.draw_masks()
        loss = float(self.train(next(self.batches)))
        self.losses.append(loss)
        return loss
