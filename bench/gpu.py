"""What there is to check and to time on a GPU: its first run, and any later one.

    python bench/gpu.py                             # versions, kernels, quick
    python bench/gpu.py peers train ncu             # these parts, in this order
    python bench/gpu.py all --seconds 3600
    python bench/gpu.py kernels --device jax-ffi    # on the host, to try the script

| part | what it does |
|---|---|
| versions | device, driver, compilers, packages |
| kernels | every kernel against its C code, bit for bit, many times: a race would move bits |
| quick, verify | `deep-artists verify --device cuda`, with and without --quick |
| peers | bench/peers.py in float32 and float64 |
| train | seconds of an epoch of the default recipe |
| sanitize | memcheck, racecheck, initcheck, synccheck of compute-sanitizer over all kernels |
| ncu | time, registers and load of every launch of a step |

A part that has not ended after its time is stopped; the next one goes on. What each prints is kept
in --out. Where there is no network, --wheels names a folder of wheels of what is missing, to be
installed into a folder of their own. This script itself needs nothing but Python.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = [sys.executable, str(HERE / "gpu_work.py")]
VERIFY = [sys.executable, "-m", "deep_artists", "verify", "--device"]
METRICS = (
    "gpu__time_duration.sum",
    "launch__grid_size",
    "launch__registers_per_thread",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "l1tex__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
)
# Only our kernels are watched, every array is an allocation of its own, and there is no CUDA graph.
SANITIZE = ["compute-sanitizer", "--error-exitcode", "9", "--kernel-regex", "kns=run_kernel"]
SANITIZED = {
    "XLA_PYTHON_CLIENT_ALLOCATOR": "platform",
    "XLA_FLAGS": "--xla_gpu_enable_command_buffer=",
}
# Launches one by one; the clock as it is.
NCU = ["ncu", "--clock-control", "none", "--csv", "--metrics", ",".join(METRICS)]
NOT_GRAPHS = {"XLA_FLAGS": "--xla_gpu_enable_command_buffer="}


def list_commands(part, device):
    """Return (name, seconds at the most, command, environment) for each command of a part."""
    peers = [sys.executable, str(HERE / "peers.py"), "--device", device, "--rounds", "12"]
    for name in ("torch", "jax"):  # where they are installed beside deep_artists
        if not (HERE / ".peers" / name).exists():
            peers += ["--python", f"{name}={sys.executable}"]
    dtypes, tools = ("float32", "float64"), ("memcheck", "racecheck", "initcheck", "synccheck")
    return {
        "versions": [("versions", 60, [*WORK, "versions", device], {})],
        "kernels": [("kernels", 300, [*WORK, "kernels", device, "--turns", "20"], {})],
        "quick": [("verify-quick", 300, [*VERIFY, device, "--quick"], {})],
        "verify": [("verify", 540, [*VERIFY, device], {})],
        "peers": [(f"peers-{t}", 240, [*peers, "--floatX", t], {}) for t in dtypes],
        "train": [(f"train-{t}", 180, [*WORK, "train", device, "--floatX", t], {}) for t in dtypes],
        "sanitize": [
            (tool, 240, [*SANITIZE, "--tool", tool, *WORK, "kernels", device, "--alone"], SANITIZED)
            for tool in tools
        ],
        "ncu": [
            (f"ncu-{t}", 180, [*NCU, *WORK, "step", device, "--floatX", t], NOT_GRAPHS)
            for t in dtypes
        ],
    }[part]


PARTS = ("versions", "kernels", "quick", "peers", "train", "ncu", "sanitize", "verify")


def install(wheels, folder):
    """Install wheels, without what they depend on, into a folder."""
    print(f"installing {wheels} into {folder}", flush=True)
    options = ["-q", "--no-index", "--no-deps", "--no-compile", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, *sorted(wheels.glob("*.whl"))]
    subprocess.run(command, check=True)


def run(name, seconds, command, environment, out):
    """Run a command, show its last lines and keep all in a file; return whether it succeeded."""
    if shutil.which(command[0]) is None:
        print(f"== {name}: NOT RUN, there is no {command[0]}", flush=True)
        return False
    if seconds < 20:
        print(f"== {name}: NOT RUN, no time is left", flush=True)
        return False
    log, start = out / f"{name}.log", time.monotonic()
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = "none, it was stopped"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)  # peers.py ends its workers
                try:
                    process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
    print(*log.read_text(errors="replace").splitlines()[-40:], sep="\n")
    print(f"== {name}: status {status}, {time.monotonic() - start:.0f} s", flush=True)
    return status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"all, or some of {', '.join(PARTS)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=540, help="for all parts together")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels to install first")
    arguments = parser.parse_args()
    parts = arguments.parts or ["versions", "kernels", "quick"]
    parts = PARTS if parts == ["all"] else parts
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    end, paths = time.monotonic() + arguments.seconds, [str(HERE.parent)]
    with tempfile.TemporaryDirectory() as site:
        if arguments.wheels:
            install(arguments.wheels, site)
            paths.append(site)
        # Several processes share the GPU.
        shared = {
            "PYTHONPATH": os.pathsep.join(paths + os.environ.get("PYTHONPATH", "").split(":")),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        failed = []
        for part in parts:
            for name, seconds, command, own in list_commands(part, arguments.device):
                left = min(seconds, end - time.monotonic())
                if not run(name, left, command, os.environ | shared | own, arguments.out):
                    failed.append(name)
    print("failed or not run:", ", ".join(failed) or "none")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
