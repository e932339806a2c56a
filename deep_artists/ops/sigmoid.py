"""The sigmoid and the logarithms of it and of its complement, with Theano 0.6's thresholds.

``T.log(z)`` and ``T.log(1 - z)`` of ``z = T.nnet.sigmoid(a)`` become ``-softplus(-a)`` and
``-softplus(a)`` in Theano 0.6, finite where z is 0 or 1 in floating point. Its C code takes short
cuts: sigmoid is 1 above 19, softplus(a) is a above 16 (float32: 15 and 14). They cut at 1e-8, so
another library's sigmoid gives other numbers. The gradients are 1 - z and -z, z the sigmoid here.
"""

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.scalar.basic import UnaryScalarOp, upgrade_to_float
from pytensor.tensor import as_tensor_variable
from pytensor.tensor.elemwise import Elemwise

from .kernel import KernelOp
from .library import KERNELS

# dtype -> sigmoid is 0 below and 1 above; softplus(a) is 0 below and a above
THRESHOLDS = {"float64": (-709, 19, -745, 16), "float32": (-88, 15, -103, 14)}

MATH = "\n".join(
    ["#include <cmath>", "#include <cstdint>", "#include <cstring>"]
    + [(KERNELS / name).read_text() for name in ("exp_log.h", "sigmoid.h")]
)


def sigmoid(a):
    """Return 1 / (1 + exp(-a)), elementwise.

    Parameters
    ----------
    a : tensor, float32 or float64, any shape

    Returns
    -------
    tensor, like `a`

    Notes
    -----
    ``T.nnet.sigmoid`` of Theano 0.6: 0 below -709 and 1 above 19 (float32: -88 and 15).

    Examples
    --------
    >>> sigmoid(np.array([-710.0, 0.0, 19.5])).eval(mode="FAST_COMPILE")
    array([0. , 0.5, 1. ])
    """
    return Sigmoid()(a)


def log_sigmoid(a):
    """Return log(sigmoid(a)) as -softplus(-a), elementwise.

    Parameters
    ----------
    a : tensor, float32 or float64, any shape

    Returns
    -------
    tensor, like `a`
        Its gradient is 1 - sigmoid(a).

    Examples
    --------
    >>> log_sigmoid(np.array([-800.0, 20.0])).eval(mode="FAST_COMPILE").round(12)
    array([-8.000e+02, -2.061e-09])
    """
    return elemwise_log_sigmoid(as_tensor_variable(a))


def log_1m_sigmoid(a):
    """Return log(1 - sigmoid(a)) as -softplus(a), elementwise; its gradient is -sigmoid(a)."""
    return elemwise_log_1m_sigmoid(as_tensor_variable(a))


class Sigmoid(KernelOp):
    """z = sigmoid(a) of a whole array, lanes of it at a time."""

    source, function = "sigmoid.cpp", "sigmoid"
    int_params = ("low", "high")

    def make_node(self, a):
        a = as_tensor_variable(a)
        if a.type.dtype not in THRESHOLDS:
            raise TypeError(f"sigmoid: a float32 or float64 tensor is needed, found {a.type}")
        return Apply(self, [a], [a.type()])

    def find_numbers(self, node):
        low, high, _, _ = THRESHOLDS[node.inputs[0].type.dtype]
        return {"low": low, "high": high}

    def perform(self, node, inputs, outputs, params=None):
        outputs[0][0] = compute_sigmoid(inputs[0])

    def infer_shape(self, *args):
        return [args[-1][0]]

    def pullback(self, inputs, outputs, gradients):
        (z,), (g,) = outputs, gradients
        return [g * (z * (1 - z))]

    def pushforward(self, inputs, outputs, tangents):
        return self.pullback(inputs, outputs, tangents)  # one by one: the derivative is diagonal


def compute_sigmoid(a):
    """Return the sigmoid of an array, as Theano 0.6 computes it."""
    low, high, _, _ = THRESHOLDS[str(a.dtype)]
    with np.errstate(over="ignore"):
        z = 1 / (1 + np.exp(-a))
    return np.where(a < low, 0, np.where(a > high, 1, z)).astype(a.dtype)


class SigmoidOp(UnaryScalarOp):
    """What the scalars share: C code of their own exp and log, the same bits on every machine."""

    def c_support_code(self, **kwargs):
        return MATH

    def c_code(self, node, name, inputs, outputs, sub):
        low, high, softplus_low, softplus_high = THRESHOLDS[node.inputs[0].type.dtype]
        return self.formula.format(
            z=outputs[0],
            a=inputs[0],
            sigmoid=f"{low}, {high}",
            softplus=f"{softplus_low}, {softplus_high}",
        )

    def c_code_cache_version(self):
        return (1, MATH, self.formula)


class ScalarSigmoid(SigmoidOp):
    """sigmoid(a) of one number."""

    formula = "{z} = theano_sigmoid({a}, {sigmoid});"

    def impl(self, a):
        return type(a)(compute_sigmoid(np.asarray(a)))

    def pullback(self, inputs, outputs, gradients):
        (a,), (g,) = inputs, gradients
        z = scalar_sigmoid(a)
        return [g * z * (1 - z)]


class LogSigmoid(SigmoidOp):
    """log(sigmoid(a)) of one number."""

    formula = "{z} = -theano_softplus(-{a}, {softplus});"

    def impl(self, a):
        return -softplus(-a)

    def pullback(self, inputs, outputs, gradients):
        (a,), (g,) = inputs, gradients
        return [g * (1 - scalar_sigmoid(a))]  # Theano 0.6: 0 where the sigmoid is rounded to 1


class LogOneMinusSigmoid(SigmoidOp):
    """log(1 - sigmoid(a)) of one number."""

    formula = "{z} = -theano_softplus({a}, {softplus});"

    def impl(self, a):
        return -softplus(a)

    def pullback(self, inputs, outputs, gradients):
        (a,), (g,) = inputs, gradients
        return [-(g * scalar_sigmoid(a))]


def softplus(a):
    """Return log(1 + exp(a)) of one number, as Theano 0.6 computes it."""
    _, _, low, high = THRESHOLDS[str(getattr(a, "dtype", "float64"))]
    return type(a)(0) if a < low else a if a > high else np.log1p(np.exp(a))


scalar_sigmoid = ScalarSigmoid(upgrade_to_float, name="sigmoid")
elemwise_log_sigmoid = Elemwise(LogSigmoid(upgrade_to_float, name="log_sigmoid"))
elemwise_log_1m_sigmoid = Elemwise(LogOneMinusSigmoid(upgrade_to_float, name="log_1m_sigmoid"))
