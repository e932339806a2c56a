"""The most multiply-adds that this processor makes: a loop of nothing else, from registers.

The vectors are those the kernels use here: AVX-512, else AVX2, or what DEEP_ARTISTS_ISA asks for.
"""

import ctypes
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

# Every accumulator is a chain of its own. Eight chains hide the latency of two units; registers
# are 32 with AVX-512 and 16 otherwise.
SOURCE = """
typedef {T} vec __attribute__((vector_size({n_bytes})));
extern "C" double multiply_add(long iterations, int threads) {{
    double total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {{
        const vec b = vec{{}} + ({T})0.999, c = vec{{}} + ({T})0.01;
        {declare}
        for (long i = 0; i < iterations; i++) {{ {step} }}
        const vec sum = {sum};
        total += sum[0];
    }}
    return total;
}}
"""
ISAS = {  # bytes of a vector, accumulators, flags of g++
    "avx512": (64, 20, ["-mavx512f", "-mfma"]),
    "avx2": (32, 12, ["-mavx2", "-mfma"]),
    "plain": (16, 12, []),
}


def read_cpu():
    """Return the processor's name and its flags."""
    found = dict(
        re.findall(
            r"^(model name|flags)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
    )
    return found.get("model name", "unknown"), found.get("flags", "").split()


def choose_isa():
    """Return the instruction set that the kernels run with."""
    flags, asked = read_cpu()[1], os.environ.get("DEEP_ARTISTS_ISA")
    if asked == "plain" or not {"avx2", "fma"} <= set(flags):
        return "plain"
    full = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(flags)
    return "avx512" if full and asked != "avx2" else "avx2"


@cache
def compile_peak(floatX="float32"):
    """Compile the loop.

    Returns
    -------
    run : callable
        run(iterations, threads) -> floating-point operations made, by all threads together.
    """
    n_bytes, n, flags = ISAS[choose_isa()]
    names = [f"a{k}" for k in range(n)]
    source = SOURCE.format(
        T={"float32": "float", "float64": "double"}[floatX],
        n_bytes=n_bytes,
        declare=" ".join(f"vec {a} = c * {k};" for k, a in enumerate(names)),
        step=" ".join(f"{a} = {a} * b + c;" for a in names),
        sum=" + ".join(names),
    )
    command = ["g++", "-O2", "-ffp-contract=fast", "-fopenmp", "-fPIC", *flags, "-x", "c++", "-"]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "peak.so")
        subprocess.run([*command, "-shared", "-o", library], input=source, text=True, check=True)
        multiply_add = ctypes.CDLL(library).multiply_add
    if flags:
        assembly = subprocess.run(
            [*command, "-S", "-o", "-"], input=source, text=True, check=True, capture_output=True
        ).stdout
        steps = re.findall(r"\bvfn?madd\w+\s+(.*)", assembly)
        if len(steps) != n or any("(" in operands for operands in steps):
            raise RuntimeError("g++ put the accumulators in memory: the loop shows no peak")
    multiply_add.argtypes, multiply_add.restype = [ctypes.c_long, ctypes.c_int], ctypes.c_double
    flops = 2 * n * n_bytes // {"float32": 4, "float64": 8}[floatX]

    def run(iterations, threads):
        multiply_add(iterations, threads)
        return flops * iterations * threads

    return run
