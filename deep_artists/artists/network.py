"""The network of a recipe: its graph, its cost and the updates of plain SGD, written out.

::

    x (batch, 2560) -> (batch, 1, 64, 40) -> ConvPoolLayer -> flatten -> HiddenLayer
      -> LogisticRegression -> mean negative log-likelihood + L2
"""

import numpy as np
import pytensor.tensor as pt

from ..nn.layers import ConvPoolLayer, HiddenLayer, LogisticRegression, share
from ..nn.updates import sgd
from .recipe import IMAGE_SHAPE, NAMES


class Network:
    """The symbolic network of a recipe.

    Parameters
    ----------
    recipe : Recipe
        With the number of outputs in `n_out`.
    batch_size : int or None
        Rows of `x`; None: any number.
    floatX : {'float32', 'float64'}
    values : dict of str to np.ndarray, optional
        Parameters by the names in `recipe.NAMES`, instead of the initial values drawn from
        ``RandomState(recipe.seed)``.

    Attributes
    ----------
    x : matrix [shape=(batch, 2560)]
    y : int32 vector [shape=(batch,)]
    layer0, layer2, layer3
        The layers, numbered as in the 2013 program.
    params : dict of str to shared variable
    cost, errors : scalar
    """

    def __init__(self, recipe, batch_size, floatX, values=None):
        rows, columns = IMAGE_SHAPE
        self.recipe = recipe
        self.x = pt.TensorType(floatX, (batch_size, rows * columns))("x")
        self.y = pt.TensorType("int32", (batch_size,))("y")
        rng = np.random.RandomState(recipe.seed)
        given = {name: share(values[name], floatX, name) for name in NAMES} if values else {}

        self.layer0 = ConvPoolLayer(
            rng,
            input=self.x.reshape((-1 if batch_size is None else batch_size, 1, rows, columns)),
            filter_shape=(recipe.nkerns, 1, *recipe.filter_shape),
            image_shape=(batch_size, 1, rows, columns),
            poolsize=recipe.poolsize,
            floatX=floatX,
            W=given.get("conv_W"),
            b=given.get("conv_b"),
        )
        self.layer2 = HiddenLayer(
            rng,
            input=self.layer0.output.flatten(2),
            n_in=recipe.n_in,
            n_out=recipe.n_hidden,
            floatX=floatX,
            W=given.get("hidden_W"),
            b=given.get("hidden_b"),
        )
        self.layer3 = LogisticRegression(
            input=self.layer2.output,
            n_in=recipe.n_hidden,
            n_out=recipe.n_out,
            floatX=floatX,
            W=given.get("softmax_W"),
            b=given.get("softmax_b"),
        )
        params = self.layer0.params + self.layer2.params + self.layer3.params
        self.params = dict(zip(NAMES, params))

        self.cost = self.layer3.negative_log_likelihood(self.y)
        for coefficient, W in ((recipe.L2_softmax, self.layer3.W), (recipe.L2_conv, self.layer0.W)):
            if coefficient:
                self.cost = self.cost + np.asarray(coefficient, floatX) * pt.sum(W**2)
        self.errors = self.layer3.errors(self.y)

    def updates(self):
        """Return p - learning_rate * dcost/dp for every parameter p, to be made at once."""
        return sgd(self.cost, list(self.params.values()), self.recipe.learning_rate)

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: np.array(p.get_value(borrow=True)) for name, p in self.params.items()}

    def set_values(self, values):
        """Set the parameters, by name."""
        for name, p in self.params.items():
            p.set_value(np.asarray(values[name], p.dtype))
