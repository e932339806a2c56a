"""Compile a graph for the cpu or another device, with the rewrites beneath it."""

import sysconfig
from pathlib import Path

import pytensor
from pytensor.compile.mode import Mode
from pytensor.graph.utils import MethodNotDefined
from pytensor.link.c.basic import CLinker
from pytensor.link.vm import VMLinker
from pytensor.tensor.basic import TensorFromScalar

from .kernel import KernelOp
from .library import compile_all
from .rewrites import add_rewrites


class OneModule(CLinker):
    """PyTensor's linker "c", where `pytensor.function` expects a virtual machine's linker."""

    def accept_var_updates(self, updated_vars):
        """Do nothing: `pytensor.function` itself makes the updates after a call."""


class WholeLinker(VMLinker):
    """Compile a whole function into one C module, if every Op has C code.

    PyTensor's virtual machine, which this falls back on, compiles a module for each kind of node:
    44 of them for a training, where this needs 3.
    """

    def accept(self, fgraph, no_recycling=None, profile=None):
        """Return the linker that compiles this graph; compile the kernels it calls."""
        compile_all(
            (node.op.source, node.inputs[0].type.dtype)
            for node in fgraph.apply_nodes
            if isinstance(node.op, KernelOp)
        )
        if any(takes_object(node) for node in fgraph.apply_nodes):
            return super().accept(fgraph, no_recycling, profile)
        try:
            linker = OneModule().accept(fgraph, no_recycling, profile)
            linker.code_gen()
        except (NotImplementedError, MethodNotDefined):
            return super().accept(fgraph, no_recycling, profile)
        return linker


def takes_object(node):
    """Return whether a node's C code takes an array that another node made as a Python object.

    PyTensor's slices do (their code says ``py_x``). In one module only what comes from outside has
    a Python object; the others are None there: a sum fails, and a view does not keep its array.
    """
    if isinstance(node.op, TensorFromScalar):
        return node.inputs[0].owner is not None
    slices = ("Subtensor", "IncSubtensor", "AdvancedIncSubtensor1")  # PyTensor 3.3 lacks the last
    return type(node.op).__name__ in slices and any(v.owner for v in node.inputs[:2])


def cpu_mode(fused=True):
    """Return the compilation mode of the ``cpu`` backend: C code throughout.

    Parameters
    ----------
    fused : bool
        False leaves the rewrites of `rewrites` out: the plain Ops, one for one.

    Raises
    ------
    RuntimeError
        If PyTensor has no C++ compiler, and would run the Ops' Python code without a word, or if
        Python's headers are missing.
    """
    check_compiler()
    mode = Mode(WholeLinker(allow_gc=False, use_cloop=True), "fast_run")
    return add_rewrites(mode) if fused else mode


def check_compiler():
    """Raise RuntimeError if what compiles C code is missing."""
    if not pytensor.config.cxx:
        raise RuntimeError("no C++ compiler was found: install g++ (Debian: apt install g++)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise RuntimeError("Python.h was not found: install it (Debian: apt install python3-dev)")


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
