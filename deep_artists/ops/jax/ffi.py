"""The Ops as calls of our CUDA kernels, through XLA's foreign function interface.

The kernels in ``kernels/*.cu`` are compiled on first use, for the device 'cuda' by nvcc and for
'jax-ffi', the host, by g++, and kept beside PyTensor's compiled modules. They give the bits of
the C code. Importing this module imports jax.
"""

import ctypes
import hashlib
import math
import shlex
import subprocess
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytensor

from ...data.files import new_file
from ..device import find_compiler
from ..isa import read_cpuinfo
from ..library import KERNELS

HANDLERS = (
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_filters",
    "max_pool",
    "max_pool_grad",
    "conv_pool",
    "conv_pool_grad",
    "dot",
    "softmax",
    "softmax_grad",
    "nll",
    "nll_grad",
)

# Contraction would change the bits. Machine code for 8.x and 9.0; for 7.5, and for what comes after
# 9.0, PTX that the driver compiles.
NVCC_FLAGS = (
    "-O3",
    "-std=c++17",
    "--fmad=false",
    "--threads=0",
    "-shared",
    "-Xcompiler=-fPIC",
    "-gencode=arch=compute_75,code=compute_75",
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90,code=[sm_90,compute_90]",
)
HOST_FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-x", "c++")

LARGEST = 2**31 - 2**16  # elements that a kernel can count


def make_command(device):
    """Return the command that compiles the kernels, but for the name of what it makes."""
    flags = list(NVCC_FLAGS if device == "cuda" else HOST_FLAGS)
    if device != "cuda" and "fma" in read_cpuinfo()[0]:
        flags.append("-mfma")  # the same numbers as without, sooner
    include = ["-isystem", jax.ffi.include_dir()]
    return [find_compiler(device), *flags, *include, str(KERNELS / "kernels.cu")]


@cache
def compile_kernels(device):
    """Return the library of the kernels, compiling it where it is not there yet.

    Parameters
    ----------
    device : {'cuda', 'jax-ffi'}

    Returns
    -------
    Path

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails.
    """
    command = make_command(device)
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True).stdout
    digest = hashlib.sha256(repr((command, version, jax.__version__)).encode())
    for path in sorted([*KERNELS.glob("*.cu*"), KERNELS / "exp_log.h"]):
        digest.update(path.read_bytes())
    folder = Path(pytensor.config.base_compiledir) / "deep_artists"
    library = folder / f"kernels-{device}-{digest.hexdigest()[:32]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(library) as file:
            done = subprocess.run([*command, "-o", file.name], capture_output=True, text=True)
            if done.returncode:
                lines = (done.stderr + done.stdout).splitlines() or [f"status {done.returncode}"]
                reason = next((line for line in lines if "error" in line), lines[-1])
                raise RuntimeError(
                    f"{command[0]} could not compile the kernels ({reason}); by itself: "
                    f"{shlex.join([*command, '-o', 'kernels.so'])}"
                )
    return library


@cache
def register_kernels(device):
    """Compile the kernels and make them known to XLA."""
    library = ctypes.CDLL(str(compile_kernels(device)))
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
    call = jax.ffi.ffi_call(
        f"deep_artists_{op.function}",
        [jax.ShapeDtypeStruct(*result) for result in made + workspace],
    )
    results = call(*arrays, **{name: np.int64(getattr(op, name)) for name in op.int_params})
    return results[0] if len(made) == 1 else tuple(results[: len(made)])


def list_workspace(op, shapes, dtype):
    """Return (shape, dtype) of the working memory that a kernel needs beside its results."""
    if op.function in ("softmax", "nll"):
        return [(shapes[0], "float64")]
    if op.function == "conv_pool":
        (n, _, height, width), (filters, _, kh, kw) = shapes
        rows, columns = height - kh + 1, width - kw + 1
        tops = (n, filters, rows // op.pool_h, columns // op.pool_w * op.pool_w)
        return [((n, filters, rows, columns), dtype), (tops, dtype)]
    if op.function in ("conv2d_grad_filters", "conv_pool_grad"):
        if op.function == "conv2d_grad_filters":
            n, filters, rows, columns = shapes[1]
        else:
            n, filters, rows, columns = shapes[2]
            rows, columns = rows * op.pool_h, columns * op.pool_w
        cells = (filters, n * rows * columns)
        return [(cells, "int32"), (cells, dtype), ((filters,), "int32")]
    return []
