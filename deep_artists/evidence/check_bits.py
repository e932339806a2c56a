"""Every kernel of a device, compared with its C code bit for bit."""

import numpy as np
import pytensor.tensor as pt

from ..ops.compile import compile_function
from ..ops.conv2d import Conv2D, Conv2DGradFilters, Conv2DGradInput
from ..ops.conv_pool import ConvPool, ConvPoolGradFilters
from ..ops.dot import FixedDot
from ..ops.max_pool import MaxPool, MaxPoolGrad
from ..ops.softmax import NegativeLogLikelihood, NegativeLogLikelihoodGrad, Softmax, SoftmaxGrad
from ..reference import inputs
from .check_artists import load_dataset
from .check_ops import POOLSIZES
from .compare import DTYPES, Rung, unequal


def list_rungs(device):
    """Return a rung for each dtype, where the device has kernels of its own."""
    dtypes = () if device in ("cpu", "jax") else DTYPES
    return [Rung(f"bits {dtype}", "the C kernels", check_bits, (dtype, device)) for dtype in dtypes]


def check_bits(dtype, device):
    """Every kernel of a device against its C code."""
    differing = {}
    for variables, outputs, arrays in list_kernel_cases(dtype):
        ours, c = (
            compile_function(variables, outputs, fused=False, device=where)(*arrays)
            for where in (device, "cpu")
        )
        for output, a, b in zip(outputs, ours, c):
            kernel = output.owner.op.function
            count = unequal(np.asarray(a).view(f"u{b.itemsize}"), b.view(f"u{b.itemsize}"))
            differing[kernel] = differing.get(kernel, 0) + count
    for kernel, count in differing.items():
        yield kernel, 0, count


def list_kernel_cases(dtype):
    """Yield (inputs, outputs, arrays): graphs of single Ops, on the recordings' inputs."""

    def variables(arrays):
        return [pt.TensorType(a.dtype, (None,) * a.ndim)() for a in arrays]

    patches = load_dataset("page")[0][0][:12].astype(dtype).reshape(-1, 1, 64, 40)
    rng = np.random.RandomState(0)
    filters = (rng.uniform(size=(10, 1, 33, 11)) - 0.5).astype(dtype)
    page = {"x": patches, "W": filters, "g": rng.uniform(size=(12, 10, 32, 30)).astype(dtype)}
    for case, arrays in [*inputs.conv2d_cases(dtype), ("page", page)]:
        x, W, g = given = variables(arrays.values())
        ds = (16, 10) if case == "page" else (1, 2)
        if arrays["g"].shape[3] < 2:
            ds = (1, 1)
        p, winners = ConvPool(ds)(x, W)
        yield (
            given,
            [
                Conv2D()(x, W),
                Conv2DGradInput()(W, g),
                Conv2DGradFilters()(x, g),
                p,
                winners,
                ConvPoolGradFilters(ds)(x, winners, p, W),
            ],
            list(arrays.values()),
        )
    for case, arrays in inputs.max_pool_cases(dtype):
        z, g = given = variables(arrays.values())
        p = MaxPool(POOLSIZES[case])(z)
        outputs = [p, MaxPoolGrad(POOLSIZES[case])(z, p, g)]
        yield given, outputs, list(arrays.values())
    for _, arrays in inputs.softmax_cases(dtype):
        z, y = given = variables(arrays.values())
        nll, p = NegativeLogLikelihood()(z, y)
        gradients = SoftmaxGrad()(p, p), NegativeLogLikelihoodGrad()(p, y, nll)
        yield given, [Softmax()(z), nll, p, *gradients], list(arrays.values())
    A, B = (rng.uniform(size=shape).astype(dtype) - 0.5 for shape in ((80, 1024), (1024, 60)))
    given = variables((A, B))
    yield given, [FixedDot()(*given), FixedDot()(given[1].T, given[0].T)], [A, B]
