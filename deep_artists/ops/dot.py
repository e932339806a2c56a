"""The matrix product in a fixed order, without BLAS.

It gives the same bits for any number of threads, any batch and any processor. `rewrites` puts it in
the place of PyTensor's own ``dot``.
"""

import numpy as np
from pytensor.graph.basic import Apply
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
