"""What computes here: what a bug report needs, and what a paper should name."""

import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("deep_artists", "pytensor", "numpy", "scipy", "librosa", "soundfile", "scikit-learn",
            "jax")
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


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
    from .device import find_jax_device

    found = find_jax_device(device)
    return f"{device}: {found.device_kind}, {found.client.platform_version}".replace("\n", " ")


def get_versions():
    """Return the version of Python and of the packages that compute."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def get_revision():
    """Return the git revision of the clone this runs from, marked where files are changed."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return run(command) or None


def read_cpuinfo():
    """Return the processor's flags and its name."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        lines = []
    values = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    name = values.get("model name") or platform.processor() or platform.machine()
    return set(values.get("flags", "").split()), name


def choose_instruction_set(flags, asked):
    """Return what the kernels choose, by the rule of ops/kernels/isa.h."""
    if asked == "plain" or not {"avx2", "fma"} <= flags:
        return "plain"
    return "avx2" if asked == "avx2" or not AVX512 <= flags else "avx512"


def count_threads():
    """Return how many threads the kernels use, as OpenMP counts them."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdigit() and int(asked) else len(os.sched_getaffinity(0))


def describe_compiler():
    """Return PyTensor's compiler, its cache, and whether Python's headers are there."""
    import sysconfig

    from . import ops  # noqa: F401  (before PyTensor: it quiets its search for a BLAS)
    import pytensor

    cxx = pytensor.config.cxx
    return {
        "compiler": (run([cxx, "--version"]).splitlines() or [cxx])[0] if cxx else None,
        "python_headers": Path(sysconfig.get_path("include"), "Python.h").is_file(),
        "compile_cache": str(pytensor.config.compiledir),
    }


def run(command):
    """Return what a command prints, or nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def format_machine(machine):
    """Return the description as lines of text."""
    versions = ", ".join(f"{name} {v or 'not installed'}" for name, v in machine["versions"].items())
    rest = {name: value for name, value in machine.items() if name != "versions"}
    lines = [f"{name.replace('_', ' '):<16}{value}" for name, value in rest.items()]
    return "\n".join([f"{'versions':<16}{versions}", *lines])
