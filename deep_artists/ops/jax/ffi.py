"""The Ops as calls of our CUDA kernels, through XLA's foreign function interface.

The kernels in ``kernels/*.cu`` are compiled on first use, by nvcc for the GPU at hand or by g++ for
the host, the device 'jax-ffi', and kept beside PyTensor's compiled modules. They give the bits of
the C code. Importing this module imports jax.
"""

import ctypes
import hashlib
import math
import subprocess
from functools import cache
from pathlib import Path

import jax
import jaxlib
import numpy as np
import pytensor
from pytensor.tensor.elemwise import DimShuffle

from ..device import find_compiler, find_jax_device
from ..isa import read_cpuinfo
from ..library import KERNELS, hash_sources, make_library

HANDLERS = (
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_filters",
    "max_pool",
    "max_pool_grad",
    "conv_pool",
    "conv_pool_grad",
    "dot",
    "sigmoid",
    "softmax",
    "softmax_grad",
    "nll",
    "nll_grad",
)

# Contraction would change the bits.
NVCC_FLAGS = ("-O3", "-std=c++17", "--fmad=false", "-shared", "-Xcompiler=-fPIC")
HOST_FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-x", "c++")

LARGEST = 2**31 - 2**16  # elements that a kernel can count
TILE_ROWS, TILE_COLUMNS = 16, 32  # of the map, that a block of ConvolvePool makes
GROUP = 256  # samples that a block of SumTree adds


def make_command(device, architecture=None):
    """Return the command that compiles the kernels, but for the name of what it makes.

    Parameters
    ----------
    device : {'cuda', 'jax-ffi'}
    architecture : str, optional
        For 'cuda', the two digits of the GPU's compute capability, as '90'. Machine code is made
        for it: a driver older than nvcc does not load nvcc's PTX.
    """
    include = ["-isystem", jax.ffi.include_dir()]
    if device == "cuda":
        flags = [*NVCC_FLAGS, f"-gencode=arch=compute_{architecture},code=sm_{architecture}"]
    else:
        flags = list(HOST_FLAGS)
        if "fma" in read_cpuinfo()[0]:
            flags.append("-mfma")  # the same numbers as without, sooner
    return [find_compiler(device), *flags, *include, str(KERNELS / "kernels.cu")]


@cache
def compile_kernels(device, architecture=None):
    """Return the library of the kernels, compiling it where it is not there yet.

    Parameters
    ----------
    device, architecture
        As of `make_command`.

    Returns
    -------
    Path

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails; what it printed is kept in a file.
    """
    command = make_command(device, architecture)
    made_of = (
        hash_sources("*.cu", "*.cuh", "*.h"),
        command,
        subprocess.run([command[0], "--version"], capture_output=True, text=True).stdout,
        jaxlib.__version__,  # whose headers they include
    )
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()
    folder = Path(pytensor.config.base_compiledir) / "deep_artists"
    needs = "nvcc must know the GPU" if device == "cuda" else "a working g++ is needed"
    return make_library(
        folder / f"kernels-{device}-{digest[:24]}.so", command, "the kernels", needs
    )


@cache
def register_kernels(device, architecture=None):
    """Compile the kernels and make them known to XLA; by default for the GPU at hand."""
    if device == "cuda" and architecture is None:
        architecture = find_jax_device(device).compute_capability.replace(".", "")
    library = ctypes.CDLL(str(compile_kernels(device, architecture)))
    platform = "CUDA" if device == "cuda" else "cpu"
    for handler in HANDLERS:
        name = f"deep_artists_{handler}"
        capsule = jax.ffi.pycapsule(getattr(library, name))
        jax.ffi.register_ffi_target(name, capsule, platform=platform)


def call_kernel(op, node, *arrays):
    """Return what an Op's kernel makes of arrays whose shapes fit."""
    shapes = [a.shape for a in arrays]
    made = list(zip(op.infer_shape(shapes), [z.type.dtype for z in node.outputs]))
    workspace = list_workspace(op, shapes, arrays[0].dtype)
    for shape in [*shapes, *(shape for shape, _ in made + workspace)]:
        if math.prod(shape) > LARGEST:
            raise ValueError(f"{op}: an array of {shape} is too large; take a smaller minibatch")
    numbers = op.find_numbers(node)
    # XLA cannot lay out an empty matrix in another order.
    turned = [
        op.function == "dot" and is_transpose(x) and 0 not in a.shape
        for x, a in zip(node.inputs, arrays)
    ]
    if op.function == "dot":
        numbers |= dict(zip(("turned_A", "turned_B"), turned))
    call = jax.ffi.ffi_call(
        f"deep_artists_{op.function}",
        [jax.ShapeDtypeStruct(*result) for result in made + workspace],
        input_layouts=[(1, 0) if t else None for t in turned],
    )
    results = call(*arrays, **{name: np.int64(value) for name, value in numbers.items()})
    return results[0] if len(made) == 1 else tuple(results[: len(made)])


def is_transpose(variable):
    """Return whether a matrix is the transpose of another, which the kernel can read as it lies."""
    op = variable.owner and variable.owner.op
    return isinstance(op, DimShuffle) and tuple(op.new_order) == (1, 0)


def list_workspace(op, shapes, dtype):
    """Return (shape, dtype) of the working memory that a kernel needs beside its results."""
    if op.function in ("softmax", "nll"):
        return [(shapes[0], "float64")]
    if op.function == "conv_pool":
        (n, _, height, width), (filters, _, kh, kw) = shapes
        rows, columns = height - kh + 1, width - kw + 1
        whole = columns // op.pool_w * op.pool_w
        if op.pool_h <= TILE_ROWS and whole <= TILE_COLUMNS:
            return []
        tops = (n, filters, rows // op.pool_h, whole)
        return [((n, filters, rows, columns), dtype), (tops, dtype)]
    if op.function in ("conv2d_grad_filters", "conv_pool_grad"):
        (n, *_), dW = shapes[0], op.infer_shape(shapes)[0]
        return [((n, *dW), dtype), ((-(-n // GROUP), *dW), dtype)]
    return []
