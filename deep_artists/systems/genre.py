"""Sigtia and Dixon's genre network (ICASSP 2014): frames of a spectrum -> genres.

::

    x (batch, 513) -> [(h * mask) W / (1 - p) + b -> sigmoid or max(0, a)] x 3
      -> h W + b -> sigmoid -> summed cross-entropy, the mean over frames

Follows the authors' mlp.py and sgd.py: sigmoid outputs, even for one genre in ten; every W from
U(-4 sqrt(6 / (n_in + n_out)), ...), for rectifiers too; dropout on a layer's input, kept inputs
scaled up while training; minibatches of neighbouring frames. With `scaling`, frames are
standardised in the graph, as the later reproduction did.
"""

import numpy as np
import pytensor.tensor as pt

from ..nn.dropout import MaskStreams
from ..nn.layers import share
from ..ops.rectify import rectify
from ..ops.sigmoid import log_1m_sigmoid, log_sigmoid, sigmoid

N_IN, N_HIDDEN, N_OUT = 513, (50, 50, 50), 10
DROPOUT_RATES = (0.0, 0.5, 0.5)
SEED = 123
ACTIVATIONS = {"sigmoid": sigmoid, "relu": rectify}


class Network:
    """The symbolic network, its costs and parameters.

    Parameters
    ----------
    n_in : int
    n_hidden : sequence of int
        Units of each hidden layer.
    n_out : int
    activation : {'sigmoid', 'relu'}
        Of the hidden layers.
    dropout_rates : sequence of float, optional
        The share of its inputs that each hidden layer drops, at least 0, below 1; no dropout at all
        if not given.
    floatX : {'float32', 'float64'}
    seed : int
        Of the initial values and of the masks.
    values : dict of str to np.ndarray, optional
        Parameters by name, instead of initial values.
    scaling : (np.ndarray, np.ndarray), optional
        Mean and factor of every input: x becomes (x - mean) * factor.

    Attributes
    ----------
    x, y : matrix [shape=(batch, n_in)], [shape=(batch, n_out)]
        Frames; one-hot genres, or any targets between 0 and 1.
    masks : list of uint8 matrix
        One for each hidden layer's input; none without dropout.
    hidden : list of matrix
        The hidden layers' outputs without dropout.
    lin_output, output : matrix [shape=(batch, n_out)]
        The last layer before and after its sigmoid, without dropout.
    params : dict of str to shared variable
        W0, W1, .. and then b0, b1, ..
    cost, test_cost, errors : scalar
        Cross-entropy with dropout and without; the share of frames of another genre than y's.

    Raises
    ------
    ValueError
        If the activation has no such name, or the rates do not fit.

    Examples
    --------
    >>> network = Network(n_in=4, n_hidden=(3, 2), n_out=2)
    >>> {name: value.shape for name, value in network.values().items()}
    {'W0': (4, 3), 'W1': (3, 2), 'W2': (2, 2), 'b0': (3,), 'b1': (2,), 'b2': (2,)}
    """

    def __init__(
        self,
        n_in=N_IN,
        n_hidden=N_HIDDEN,
        n_out=N_OUT,
        activation="sigmoid",
        dropout_rates=None,
        floatX="float32",
        seed=SEED,
        values=None,
        scaling=None,
    ):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation = {activation!r}; one of {', '.join(ACTIVATIONS)} is needed"
            )
        rates = [] if dropout_rates is None else list(dropout_rates)
        if rates and (len(rates) != len(n_hidden) or not all(0 <= rate < 1 for rate in rates)):
            raise ValueError(
                f"dropout_rates = {rates}; {len(n_hidden)} of at least 0 and below 1 "
                "are needed, one a hidden layer"
            )
        self.sizes, self.floatX = (n_in, *n_hidden, n_out), floatX
        self.activation, self.rates, self.scaling = activation, rates, scaling
        self.x = pt.TensorType(floatX, (None, n_in))("x")
        self.y = pt.TensorType(floatX, (None, n_out))("y")
        self.masks = [
            pt.TensorType("uint8", (None, n))(f"mask{i}")
            for i, n in zip(range(len(rates)), self.sizes)
        ]
        rng = np.random.RandomState(seed)
        self.stream_seed = int(rng.randint(1024))  # 2014: the first draw is the dropout's seed
        values = values or draw_values(rng, self.sizes)
        names = [f"{part}{i}" for part in "Wb" for i in range(len(self.sizes) - 1)]
        self.params = {name: share(values[name], floatX, name) for name in names}

        *self.hidden, self.lin_output = self.apply(self.x)
        self.output = sigmoid(self.lin_output)
        self.test_cost = crossentropy(self.lin_output, self.y)
        self.cost = crossentropy(self.apply(self.x, self.masks)[-1], self.y)
        wrong = pt.neq(pt.argmax(self.lin_output, axis=1), pt.argmax(self.y, axis=1))
        self.errors = pt.mean(wrong, dtype="float64")  # 2014: in float32 too

    def apply(self, x, masks=()):
        """Return the hidden layers' outputs and, last, that of the linear layer."""
        h, outputs = x, []
        if self.scaling is not None:
            mean, factor = (np.asarray(a, self.floatX) for a in self.scaling)
            h = (h - mean) * factor
        for i in range(len(self.sizes) - 1):
            W, b = self.params[f"W{i}"], self.params[f"b{i}"]
            if i < len(masks):
                scale = np.asarray(1 / (1 - self.rates[i]), self.floatX)
                a = scale * pt.dot(h * pt.cast(masks[i], self.floatX), W) + b
            else:
                a = pt.dot(h, W) + b
            h = ACTIVATIONS[self.activation](a)
            outputs.append(h)
        return [*outputs[:-1], a]

    def draw_masks(self):
        """Return the streams that this network's masks come from, at their beginning."""
        return MaskStreams(self.stream_seed, self.rates, self.sizes)

    def values(self):
        """Return a copy of the parameters, by name."""
        return {name: np.array(p.get_value(borrow=True)) for name, p in self.params.items()}

    def set_values(self, values):
        """Set the parameters, by name."""
        for name, p in self.params.items():
            p.set_value(np.asarray(values[name], p.dtype))


def draw_values(rng, sizes, bound=None):
    """Return initial values, float64: every W drawn in the layers' order, every b zero.

    bound : float, optional
        Of every W; 4 sqrt(6 / (n_in + n_out)), as in 2014, if not given.
    """
    values = {}
    for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
        most = 4 * np.sqrt(6.0 / (n_in + n_out)) if bound is None else bound
        values[f"W{i}"] = rng.uniform(low=-most, high=most, size=(n_in, n_out))
    return values | {f"b{i}": np.zeros(n_out) for i, n_out in enumerate(sizes[1:])}


def crossentropy(a, y):
    """Return the mean over rows of the sum over outputs of -(y log z + (1 - y) log(1 - z)).

    a : matrix, before the sigmoid: z = sigmoid(a)
    """
    return pt.mean(pt.sum(-(y * log_sigmoid(a) + (1 - y) * log_1m_sigmoid(a)), axis=1))
