"""Compile a graph for a device of JAX, through PyTensor's JAX linker.

The gradients are already Ops of the graph, so JAX differentiates nothing. An Op becomes a call of
our kernel (`ffi`) or plain XLA code (`lowerings`). Importing this module imports jax, switches its
64-bit types on, without which int64 and float64 would quietly be halved, and asks XLA for
full-precision products.
"""

import warnings

import jax
import jax.numpy as jnp
import pytensor
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.jax import JAXLinker
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.tensor.math import Sum

from ..conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput
from ..conv_pool import ConvPool, ConvPoolGradFilters
from ..device import find_jax_device
from ..dot import FixedDot
from ..max_pool import MaxPool, MaxPoolGrad
from ..rectify import Rectify
from ..rewrites import add_rewrites
from ..sigmoid import LogOneMinusSigmoid, LogSigmoid, ScalarSigmoid, Sigmoid
from ..softmax import NegativeLogLikelihood, NegativeLogLikelihoodGrad, Softmax, SoftmaxGrad
from . import ffi, lowerings
from .scan import SAME_BITS, keep_on_device

jax.config.update("jax_enable_x64", True)  # PyTensor's dispatch, just imported, sets it by floatX
jax.config.update("jax_default_matmul_precision", "highest")


# The shapes of an Op's inputs -> what must be equal; the C code checks the same.
FITS = {
    Conv2D: lambda op, x, W: (x[1] == W[1], fits_in(W, x)),
    Conv2DGradInput: lambda op, W, dz: (W[0] == dz[1], W[2] >= 1, W[3] >= 1),
    Conv2DGradFilters: lambda op, x, dz: (x[0] == dz[0], fits_in(dz, x)),
    MaxPool: lambda op, z: (),
    MaxPoolGrad: lambda op, z, p, dp: (pooled(op, z) == p == dp,),
    ConvPool: lambda op, x, W: (x[1] == W[1], fits_in(W, x)),
    ConvPoolGradFilters: lambda op, x, winners, dp, W: (
        x[1] == W[1],
        fits_in(W, x),
        ConvPool(op.ds).infer_shape([x, W]) == [dp, winners],
    ),
    FixedDot: lambda op, A, B: (A[1] == B[0],),
    Sigmoid: lambda op, a: (),
    Softmax: lambda op, x: (),
    SoftmaxGrad: lambda op, dp, p: (dp == p,),
    NegativeLogLikelihood: lambda op, x, y: (y == x[:1],),
    NegativeLogLikelihoodGrad: lambda op, p, y, g: (y == g == p[:1],),
}


def fits_in(W, x):
    return 1 <= W[2] <= x[2] and 1 <= W[3] <= x[3]


def pooled(op, z):
    return MaxPool(op.ds).infer_shape([z])[0]


def lower(op, node, lowering="lax", **kwargs):
    """Return the function of jax arrays that computes an Op."""

    def compute(*arrays):
        shapes = [a.shape for a in arrays]
        if not all(FITS[type(op)](op, *shapes)):
            raise ValueError(f"{op}: inputs of the shapes {shapes} do not fit")
        if lowering == "ffi":
            return ffi.call_kernel(op, node, *arrays)
        return getattr(lowerings, op.function)(op, *arrays)

    return compute


for op_type in FITS:
    jax_funcify.register(op_type)(lower)


@jax_funcify.register(Rectify)
def lower_rectify(op, **kwargs):
    return lambda v: jnp.where(v <= 0, jnp.zeros_like(v), v)


# One by one, in XLA's own code, wherever XLA fuses them.
jax_funcify.register(ScalarSigmoid)(lambda op, **kwargs: lowerings.theano_sigmoid)
jax_funcify.register(LogSigmoid)(lambda op, **kwargs: lambda a: -lowerings.theano_softplus(-a))
jax_funcify.register(LogOneMinusSigmoid)(
    lambda op, **kwargs: lambda a: -lowerings.theano_softplus(a)
)


@jax_funcify.register(Sum)
def lower_sum(op, node, **kwargs):
    """Sum in the accumulator's dtype, as C does; PyTensor's own lowering keeps that dtype."""
    return lambda x: jnp.sum(x, axis=op.axis, dtype=op.acc_dtype).astype(node.outputs[0].type.dtype)


class DeviceLinker(JAXLinker):
    """PyTensor's JAX linker for one device and one lowering of our Ops."""

    def __init__(self, device):
        super().__init__()
        self.lowering = "lax" if device == "jax" else "ffi"
        self.device = find_jax_device(device)

    def fgraph_convert(self, fgraph, **kwargs):
        return super().fgraph_convert(fgraph, lowering=self.lowering, **kwargs)

    def jit_compile(self, step):
        jitted = jax.jit(step, compiler_options=SAME_BITS)

        def call(*values):
            with jax.default_device(self.device):
                return jitted(*values)

        call.step, call.device = step, self.device
        return call


def compile_function(inputs, outputs, device, fused=True, **kwargs):
    """Compile a graph for a device of JAX; its shared variables are kept there.

    Parameters
    ----------
    inputs, outputs, fused, kwargs
        As of `compile.compile_function`.
    device : {'cuda', 'jax', 'jax-ffi'}

    Raises
    ------
    RuntimeError
        If there is no such device, or the kernels cannot be compiled.
    """
    if device != "jax":
        ffi.register_kernels(device)
    # XLA fuses elementwise expressions by itself.
    query = RewriteDatabaseQuery(include=["fast_run", "jax"], exclude=["fusion"])
    mode = Mode(DeviceLinker(device), query)
    mode = add_rewrites(mode) if fused else mode
    with warnings.catch_warnings():  # PyTensor drops assertions on shapes; XLA has its own
        warnings.filterwarnings("ignore", "Skipping Assert")
        function = pytensor.function(inputs, outputs, mode=mode, **kwargs)
    keep_on_device(function)
    return function
