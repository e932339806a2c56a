"""The matrix product in a fixed order, without BLAS.

It gives the same bits for any number of threads, any batch and any processor. `rewrites` puts it in
the place of PyTensor's own ``dot``, and a step of gradient descent along a product, which then is
never written, in the place of its parts.
"""

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.tensor import as_tensor_variable
from pytensor.tensor.type import TensorType

from .kernel import KernelOp, as_matrix


class FixedDot(KernelOp):
    """C = A B, each entry one chain of fused multiply-adds over k = 0, 1, ..."""

    source, function = "dot.cpp", "dot"

    def make_node(self, A, B):
        A, B = as_matrix("dot", A), as_matrix("dot", B)
        if A.type.dtype != B.type.dtype:
            raise TypeError(f"dot: one dtype is needed, found {A.type} and {B.type}")
        shape = (A.type.shape[0], B.type.shape[1])
        return Apply(self, [A, B], [TensorType(A.dtype, shape)()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.dot(*inputs)

    def infer_shape(self, *args):
        A, B = args[-1]
        return [(A[0], B[1])]

    def pullback(self, inputs, outputs, gradients):
        (A, B), (dC,) = inputs, gradients
        return [FixedDot()(dC, B.T), FixedDot()(A.T, dC)]


class DescendDot(KernelOp):
    """W - rate (A B + decay W), or W - rate A B where decay is 0.

    Every operation is rounded to W's dtype; `rate` and `decay` are float64, for in PyTensor's C
    code a constant is a literal of C, and those are double.

    Parameters
    ----------
    inplace : int
        1 writes the result over W.
    """

    source, function = "dot.cpp", "dot_descend"
    int_params = ("inplace",)
    __props__ = ("inplace",)

    def __init__(self, inplace=0):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, W, A, B, rate, decay):
        W, A, B = (as_matrix("dot", x) for x in (W, A, B))
        rate, decay = (as_tensor_variable(a, ndim=0, dtype="float64") for a in (rate, decay))
        if not W.type.dtype == A.type.dtype == B.type.dtype:
            raise TypeError(f"dot: one dtype is needed, found {W.type}, {A.type} and {B.type}")
        return Apply(self, [W, A, B, rate, decay], [W.type()])

    def perform(self, node, inputs, outputs):
        W, A, B, rate, decay = inputs
        gradient = np.dot(A, B)
        if decay:
            gradient += (decay * W).astype(W.dtype)
        step = (rate * gradient).astype(W.dtype)
        outputs[0][0] = np.subtract(W, step, out=W if self.inplace else None)

    def infer_shape(self, *args):
        return args[-1][:1]
