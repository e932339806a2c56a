"""Compile a graph for the cpu or another device, with the rewrites beneath it."""

import platform
import sysconfig
from pathlib import Path

import pytensor
from filelock import Timeout
from pytensor.compile.mode import Mode, get_mode
from pytensor.graph.utils import MethodNotDefined
from pytensor.link.c.basic import CLinker
from pytensor.link.c.op import OpenMPOp
from pytensor.link.jax import JAXLinker
from pytensor.link.vm import VMLinker

from .isa import count_threads
from .kernel import KernelOp
from .library import ISA_FLAGS, choose_isa, compile_all
from .rewrites import add_cpu_rewrites, add_rewrites


class OneModule(CLinker):
    """PyTensor's linker "c", where `pytensor.function` expects a virtual machine's linker."""

    def accept_var_updates(self, updated_vars):
        """Do nothing: `pytensor.function` itself makes the updates after a call."""


class WholeLinker(VMLinker):
    """Compile a whole function into one C module, if the C code of every node allows it.

    Otherwise, and where each node is to be timed, PyTensor's virtual machine runs it, which takes a
    module for each kind of node: 44 of them for a training, where this takes 2.
    """

    def accept(self, fgraph, no_recycling=None, profile=None):
        """Return the linker that compiles this graph; compile the kernels it calls."""
        compile_all(
            (node.op.source, node.inputs[0].type.dtype)
            for node in fgraph.apply_nodes
            if isinstance(node.op, KernelOp)
        )
        if profile is None and all(fits_one_module(node) for node in fgraph.apply_nodes):
            return OneModule().accept(fgraph, no_recycling, profile)
        return super().accept(fgraph, no_recycling, profile)


def fits_one_module(node):
    """Return whether a node's C code can stand in one module with that of other nodes.

    Some of PyTensor's Ops, `Subtensor` among them, use the Python object of an input, ``py_x``
    beside ``x``. In a module of many nodes only inputs of the whole function have one that is
    up to date.
    """
    inputs = [f"x{i}_" for i in range(len(node.inputs))]
    outputs = [f"z{i}_" for i in range(len(node.outputs))]
    sub = {"fail": "", "params": "params", "id": 0, "failure_var": "failure"}
    try:
        code = node.op.c_code(node, "node", inputs, outputs, sub)
    except (AttributeError, NotImplementedError, MethodNotDefined):
        return False
    computed = (name for name, x in zip(inputs, node.inputs) if x.owner is not None)
    return not any(f"py_{name}" in code for name in computed)


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
    return add_cpu_rewrites(add_rewrites(mode)) if fused else mode


def has_compiler():
    """Return whether C code can be compiled here."""
    try:
        check_compiler()
    except RuntimeError:
        return False
    return True


def python_mode():
    """Return a mode that runs every Op by its NumPy definition: slow, and no compiler is needed."""
    return Mode(VMLinker(allow_gc=False, c_thunks=False), "fast_compile")


def check_compiler():
    """Check that C code can be compiled here.

    Raises
    ------
    RuntimeError
        If a C++ compiler or Python's headers are missing; says what to install.
    """
    if not pytensor.config.cxx:
        raise RuntimeError("no C++ compiler was found: install g++ (Debian: apt install g++)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise RuntimeError("Python.h was not found: install it (Debian: apt install python3-dev)")


def compile_function(inputs, outputs, fused=True, device="cpu", mode=None, **kwargs):
    """Compile a graph, as ``pytensor.function`` with `cpu_mode` or for another device.

    On the cpu without contraction of a * b + c in PyTensor's own C code either, so that a result
    does not depend on whether the processor has fused multiply-adds.

    Parameters
    ----------
    inputs, outputs, kwargs
        As of ``pytensor.function``.
    fused : bool
        See `cpu_mode`.
    device : str
        See `device.check_device`.
    mode : Mode or str, optional
        Instead of `cpu_mode`, on the cpu: a name as "NUMBA" or "JAX", or a Mode of your own. It is
        taken as it is, without our rewrites: `rewrites.add_rewrites` adds them to a Mode. Numba
        and the Python modes run our Ops by their NumPy definitions.

    Raises
    ------
    ValueError
        If a mode is given for another device than the cpu.
    """
    if device != "cpu" and mode is not None:
        raise ValueError(f"mode = {mode!r} for device {device!r}; a mode is for the cpu")
    if device != "cpu":
        from .jax import linker

        return linker.compile_function(inputs, outputs, device, fused, **kwargs)
    count_threads()  # refuses what OpenMP would only complain of
    mode = cpu_mode(fused) if mode is None else get_mode(mode)
    if isinstance(mode.linker, JAXLinker):
        from .jax import linker  # noqa: F401 - registers what our Ops are in JAX
    OpenMPOp.gxx_support_openmp = True  # as the kernels need; PyTensor compiles a program to see
    try:
        with pytensor.config.change_flags(gcc__cxxflags=choose_flags(), openmp=True):
            return pytensor.function(inputs, outputs, mode=mode, **kwargs)
    except Timeout as error:
        seconds = pytensor.config.compile__timeout
        raise RuntimeError(
            f"another process has been compiling for {seconds} s; wait for it, or delete "
            f"{error.lock_file} if there is none"
        ) from error


def choose_flags():
    """Return the flags for PyTensor's own C code: without contraction of a * b + c.

    Without PyTensor's debugging symbols, which take a quarter of the compiler's time. And with the
    kernels' instruction set by name, or PyTensor would compile and run a program in every process
    to see whether that of this processor works.
    """
    flags = ["-g0", pytensor.config.gcc__cxxflags, "-ffp-contract=off"]
    if platform.machine() == "x86_64" and "-march=" not in flags[1]:
        flags += ["-march=x86-64", *ISA_FLAGS[choose_isa()]]
    return " ".join(filter(None, flags))
