"""What computes here: what a bug report needs, and what a paper should name."""

import os
import platform
import sysconfig
from pathlib import Path

from ..data.versions import get_revision, get_versions, run
from ..ops.isa import choose_instruction_set, count_threads, read_cpuinfo


def describe_machine(device="cpu"):
    """Return what computes here.

    Parameters
    ----------
    device : {'cpu', 'cuda'}
        Of cuda the GPU is named.

    Returns
    -------
    dict of str to str or dict
        versions (of Python and the packages, None where one is not installed), revision (of git,
        where this is a clone), system, processor, instruction_set (what the kernels use),
        threads, compiler, python_headers, blas, device, compile_cache.
    """
    flags, processor = read_cpuinfo()
    return {
        "versions": get_versions(),
        "revision": get_revision(),
        "system": platform.platform(),
        "processor": processor,
        "instruction_set": choose_instruction_set(flags, os.environ.get("DEEP_ARTISTS_ISA", "")),
        "threads": count_threads(),
        **describe_compiler(),
        "blas": "none needed",
        "device": device if device == "cpu" else describe_device(device),
    }


def describe_device(device):
    """Return the name of a device of JAX, and of what it computes with."""
    from ..ops.device import find_jax_device

    found = find_jax_device(device)
    return f"{device}: {found.device_kind}, {found.client.platform_version}".replace("\n", " ")


def describe_compiler():
    """Return PyTensor's compiler, its cache, and whether Python's headers are there."""
    import pytensor

    cxx = pytensor.config.cxx
    return {
        "compiler": (run([cxx, "--version"]).splitlines() or [cxx])[0] if cxx else None,
        "python_headers": Path(sysconfig.get_path("include"), "Python.h").is_file(),
        "compile_cache": str(pytensor.config.compiledir),
    }


def format_machine(machine):
    """Return the description as lines of text."""
    versions = ", ".join(
        f"{name} {v or 'not installed'}" for name, v in machine["versions"].items()
    )
    rest = {name: value for name, value in machine.items() if name != "versions"}
    lines = [f"{name.replace('_', ' '):<16}{value}" for name, value in rest.items()]
    return "\n".join([f"{'versions':<16}{versions}", *lines])
