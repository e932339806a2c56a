"""The processor: its instruction sets, the one the kernels use, and how many threads."""

import os
import platform
from pathlib import Path

AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


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
    """Return the instruction set to compile the kernels for: 'avx512', 'avx2' or 'plain'."""
    if asked == "plain" or not {"avx2", "fma"} <= flags:
        return "plain"
    return "avx2" if asked == "avx2" or not AVX512 <= flags else "avx512"


def count_threads():
    """Return how many threads the kernels use, as OpenMP counts them.

    Raises
    ------
    ValueError
        If OMP_NUM_THREADS is no number.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not asked:
        return len(os.sched_getaffinity(0))
    if not asked.isdecimal() or not int(asked):
        raise ValueError(f"OMP_NUM_THREADS = {asked!r}; a number of threads is needed, or nothing")
    return int(asked)
