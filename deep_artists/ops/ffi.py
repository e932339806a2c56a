"""The Ops as calls of our CUDA kernels, through XLA's foreign function interface.

The kernels in ``kernels/*.cu`` are compiled on first use, for the device 'cuda' by nvcc and for
'jax-ffi', the host, by g++, and kept beside PyTensor's compiled modules. They give the bits of
the C code. Importing this module imports jax.
"""

import ctypes
import hashlib
import math
import os
import shlex
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytensor

from ..machine import read_cpuinfo
from .kernel import KERNELS

HANDLERS = ("conv2d", "conv2d_grad_input", "conv2d_grad_filters", "max_pool", "max_pool_grad",
            "conv_pool", "conv_pool_grad", "dot", "softmax", "softmax_grad", "nll", "nll_grad")

# Contraction would change the bits. Machine code for 8.x and 9.0; for 7.5, and for what comes after
# 9.0, PTX that the driver compiles.
NVCC_FLAGS = ("-O3", "-std=c++17", "--fmad=false", "--threads=0", "-shared", "-Xcompiler=-fPIC",
              "-gencode=arch=compute_75,code=compute_75", "-gencode=arch=compute_80,code=sm_80",
              "-gencode=arch=compute_90,code=[sm_90,compute_90]")
HOST_FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-x", "c++")

LARGEST = 2**31 - 2**16  # elements that a kernel can count


def find_compiler(device):
    """Return the path of nvcc, or of g++ for 'jax-ffi'.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    if device == "cuda":
        homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
        wheels = find_spec("nvidia")  # that jax[cuda13] brings
        homes += [f"{at}/cu13" for at in (wheels and wheels.submodule_search_locations) or []]
        folders = [os.path.join(home, "bin") for home in [*homes, "/usr/local/cuda"]]
        nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(folders))
        if nvcc is None:
            raise RuntimeError(
                "device cuda compiles its kernels with nvcc, which was not found: pip install "
                "'deep_artists[cuda]', or install NVIDIA's CUDA toolkit and put its bin folder on "
                "PATH or its folder in CUDA_HOME"
            )
        return nvcc
    gxx = shutil.which("g++")
    if gxx is None:
        raise RuntimeError("no C++ compiler was found: install g++ (Debian: apt install g++)")
    return gxx


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
        temporary = library.with_name(f".{library.name}.{os.getpid()}")
        try:
            run = subprocess.run([*command, "-o", str(temporary)], capture_output=True, text=True)
            if run.returncode:
                lines = (run.stderr + run.stdout).splitlines() or [f"status {run.returncode}"]
                reason = next((line for line in lines if "error" in line), lines[-1])
                raise RuntimeError(
                    f"{command[0]} could not compile the kernels ({reason}); by itself: "
                    f"{shlex.join([*command, '-o', 'kernels.so'])}"
                )
            os.replace(temporary, library)
        finally:
            temporary.unlink(missing_ok=True)
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
    room = list_room(op, shapes, arrays[0].dtype)
    for shape in [*shapes, *(shape for shape, _ in made + room)]:
        if math.prod(shape) > LARGEST:
            raise ValueError(f"{op}: an array of {shape} is too large; take a smaller minibatch")
    call = jax.ffi.ffi_call(
        f"deep_artists_{op.function}", [jax.ShapeDtypeStruct(*result) for result in made + room]
    )
    results = call(*arrays, **{name: np.int64(getattr(op, name)) for name in op.numbers})
    return results[0] if len(made) == 1 else tuple(results[: len(made)])


def list_room(op, shapes, dtype):
    """Return (shape, dtype) of the room a kernel needs beside its results."""
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
