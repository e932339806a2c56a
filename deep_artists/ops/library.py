"""The kernels as shared libraries, compiled for this processor when they are first needed.

A library holds one source of ``kernels/`` for one dtype and one instruction set, and lies beside
PyTensor's compiled modules. Its name holds a hash of all that made it, so that nothing stale is
ever loaded. PyTensor's modules only call the addresses that `find_kernel` returns.
"""

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytensor
from filelock import FileLock

from ..data.files import new_file
from .isa import choose_instruction_set, read_cpuinfo

KERNELS = Path(__file__).resolve().parent / "kernels"

C_TYPES = {"float32": "float", "float64": "double"}

# Contraction would tie the last bit to the processor: where a fused multiply-add is meant, the
# kernels say so.
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fopenmp",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fPIC",
    "-shared",
)
ISA_FLAGS = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma",
               "-mprefer-vector-width=512"),
    "avx2": ("-mavx2", "-mfma"),
    "plain": (),
}  # fmt: skip


@cache
def choose_isa():
    """Return the instruction set of this process: this processor's best, or what is asked for."""
    return choose_instruction_set(read_cpuinfo()[0], os.environ.get("DEEP_ARTISTS_ISA", ""))


def make_command(source, dtype):
    """Return the command that compiles a source, but for the name of what it makes."""
    headers = (sysconfig.get_path("include"), np.get_include())
    return [
        *shlex.split(pytensor.config.cxx),
        *FLAGS,
        *ISA_FLAGS[choose_isa()],
        f"-DREAL={C_TYPES[dtype]}",
        *(f"-I{folder}" for folder in headers),
        str(KERNELS / source),
    ]


@cache
def hash_sources(*patterns):
    """Return a hash of the sources whose names fit one of the patterns."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in KERNELS.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def name_library(source, dtype):
    """Return the path of a library, whether it is there or not."""
    made_of = (
        hash_sources("*.cpp", "*.h"),
        make_command(source, dtype)[1:],
        pytensor.config.gcc_version_str,
        sys.implementation.cache_tag,
        np.__version__,
    )
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()
    folder = Path(pytensor.config.base_compiledir) / "deep_artists"
    return folder / f"{Path(source).stem}-{dtype}-{choose_isa()}-{digest[:24]}.so"


def compile_library(source, dtype):
    """Return the path of a library, compiling it where it is not there yet.

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails; what it printed is kept in a file.
    """
    library = name_library(source, dtype)
    needs = "a working g++ and Python's headers are needed (Debian: apt install g++ python3-dev)"
    return make_library(library, make_command(source, dtype), f"the kernel {source}", needs)


def make_library(library, command, what, needs):
    """Return a library, made by a command where it is not there yet, by one process at a time.

    Parameters
    ----------
    library : Path
    command : list of str
        All but ``-o`` and a name.
    what, needs : str
        What is compiled, and what that needs, for the error.

    Raises
    ------
    RuntimeError
        If the command fails; what it printed is kept in a file.
    """
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(library.with_suffix(".lock")):
        if library.exists():  # another process compiled it meanwhile
            return library
        with new_file(library) as file:
            done = subprocess.run([*command, "-o", file.name], capture_output=True, text=True)
            if done.returncode:
                log = library.with_suffix(".log")
                log.write_text(f"{shlex.join(command)}\n\n{done.stdout}{done.stderr}")
                raise RuntimeError(
                    f"{command[0]} could not compile {what} (status {done.returncode}): see {log}; "
                    f"{needs}"
                )
    return library


def compile_all(kernels):
    """Compile the libraries of (source, dtype) pairs that are not there yet, side by side."""
    missing = sorted({pair for pair in kernels if not name_library(*pair).exists()})
    if not missing:
        return
    if sys.stderr.isatty():
        print(f"compiling {len(missing)} kernels for {choose_isa()}, once ...", file=sys.stderr)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(lambda pair: compile_library(*pair), missing):
            pass


@cache
def find_kernel(source, function, dtype):
    """Return the address of a function of a source in ``kernels/``, for C code to call."""
    library = load_library(source, dtype)
    return ctypes.c_void_p.in_dll(library, f"{function}_entry").value


@cache
def load_library(source, dtype):
    """Load a library into this process."""
    library = ctypes.CDLL(str(compile_library(source, dtype)))
    # GNU's OpenMP hangs in a forked child if the parent has used threads.
    os.register_at_fork(after_in_child=lambda: library.omp_set_num_threads(1))
    return library
