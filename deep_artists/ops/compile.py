"""Compile a graph for the cpu or another device, with the rewrites beneath it."""

import sysconfig
from pathlib import Path

import pytensor
from pytensor.compile.mode import Mode

from .rewrites import add_rewrites


def cpu_mode(fused=True):
    """Return the compilation mode of the ``cpu`` backend: PyTensor's C virtual machine.

    Parameters
    ----------
    fused : bool
        False leaves the rewrites of this module out: the plain Ops, one for one.

    Raises
    ------
    RuntimeError
        If PyTensor has no C++ compiler, and would run the Ops' Python code without a word, or if
        Python's headers are missing.
    """
    if not pytensor.config.cxx:
        raise RuntimeError("no C++ compiler was found: install g++ (Debian: apt install g++)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise RuntimeError("Python.h was not found: install it (Debian: apt install python3-dev)")
    mode = Mode("cvm_nogc", "fast_run")
    return add_rewrites(mode) if fused else mode


def compile_function(inputs, outputs, fused=True, device="cpu", **kwargs):
    """Compile a graph, as ``pytensor.function`` with `cpu_mode` or for another device.

    On the cpu without contraction of a * b + c in PyTensor's own C code either, so that a result
    does not depend on whether the processor has fused multiply-adds.
    """
    if device != "cpu":
        from .jax import linker

        return linker.compile_function(inputs, outputs, device, fused, **kwargs)
    mode = cpu_mode(fused)
    flags = f"{pytensor.config.gcc__cxxflags} -ffp-contract=off".strip()
    with pytensor.config.change_flags(gcc__cxxflags=flags, openmp=True):
        return pytensor.function(inputs, outputs, mode=mode, **kwargs)
