"""What bench/gpu.py does on a device: a process for each part, which other programs can watch."""

import argparse
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ops")]

import numpy as np

PACKAGES = ("jax", "jaxlib", "jax-cuda13-plugin", "pytensor", "numpy", "scipy", "torch")


def show_versions(arguments):
    """Print the device, its driver, compilers, tools and packages."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    for command in (query, ["nvcc", "--version"], ["g++", "--version"], ["git", "log", "-1"]):
        found = shutil.which(command[0])
        print(subprocess.run(command, capture_output=True, text=True).stdout if found else command)
    for tool in ("compute-sanitizer", "ncu", "ptxas"):
        print(tool, shutil.which(tool))
    for name in PACKAGES:
        try:
            print(name, version(name))
        except PackageNotFoundError:
            print(name, "is not installed")
    header = Path(sysconfig.get_path("include"), "Python.h")
    print(header, "is there" if header.is_file() else "is missing: nothing can be compiled")
    from deep_artists.ops.device import check_device, find_jax_device

    check_device(arguments.device)
    found = find_jax_device(arguments.device)
    print(found.device_kind, getattr(found, "compute_capability", ""))
    return 0


def compare_kernels(arguments):
    """Compare every kernel with its C code, several times; or only run them, to be watched."""
    import test_jax

    from deep_artists.evidence.check_bits import list_kernel_cases
    from deep_artists.ops.compile import compile_function

    failed = 0
    for dtype in ("float32", "float64"):
        # Shapes beyond a tile, ties, silence, NaN, empty batches; then the recordings' inputs.
        for variables, outputs, arrays in [test_jax.build_all(dtype), *list_kernel_cases(dtype)]:
            compute = compile_function(variables, outputs, fused=False, device=arguments.device)
            if arguments.alone:
                compute(*arrays)
                continue
            c = compile_function(variables, outputs, fused=False)(*arrays)
            for _ in range(arguments.turns):
                found = [np.asarray(a) for a in compute(*arrays)]
                try:
                    test_jax.assert_same_bits(found, c, outputs)
                except AssertionError as error:
                    failed += 1
                    print(f"{dtype} DIFFERS: {error}")
        print(f"{dtype}: all kernels ran {1 if arguments.alone else arguments.turns} times")
    print(f"{failed} comparisons failed")
    return int(failed > 0)


def make_sets(floatX, n):
    """Return train, valid and test of noise: n, n / 4 and n / 4 patches."""
    rng = np.random.RandomState(0)
    draw = lambda m: (rng.uniform(size=(m, 2560)).astype(floatX), rng.randint(20, size=m))
    return [draw(m) for m in (n, n // 4, n // 4)]


def train_recipe(arguments):
    """Time an epoch of the default recipe, as `train` makes it, and the compilation before it."""
    from deep_artists.artists.train import train

    n = arguments.patches
    result = train(
        make_sets(arguments.floatX, n),
        floatX=arguments.floatX,
        device=arguments.device,
        n_epochs=arguments.epochs,
        n_out=20,
    )
    epochs = len(result.costs) / (n // 80)
    print(f"page, {arguments.floatX}, {n} patches: {result.seconds / epochs:.3f} s an epoch,")
    print(f"validations and first compilations included, over {epochs:.0f} epochs;")
    print(f"{result.compile_seconds:.1f} s to compile; last costs {result.costs[-3:]}")
    return int(not np.isfinite(result.costs).all())


def take_steps(arguments):
    """Take two steps of the default recipe, for a profiler: the second one is warm."""
    from deep_artists.artists.recipe import load_recipe
    from deep_artists.artists.train import compile_steps

    recipe = load_recipe("page", n_out=20)
    sets = make_sets(arguments.floatX, 8 * recipe.batch_size)
    steps = compile_steps(recipe, arguments.floatX, sets, arguments.device)
    for i in range(2):
        print("cost", float(steps.train_model(i)), flush=True)
    return 0


def main():
    works = {
        "versions": show_versions,
        "kernels": compare_kernels,
        "train": train_recipe,
        "step": take_steps,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=list(works))
    parser.add_argument("device")
    parser.add_argument("--floatX", default="float32")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="kernels: without their C code")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--patches", type=int, default=20000)
    arguments = parser.parse_args()
    return works[arguments.work](arguments)


if __name__ == "__main__":
    sys.exit(main())
