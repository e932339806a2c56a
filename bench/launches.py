"""What XLA launches on a GPU in a step of training or validation; no GPU is needed.

    pip install --no-deps jax-cuda13-plugin==V jax-cuda13-pjrt==V    # V: jax's version; 400 MB
    python bench/launches.py --recipe page                           # a step of train_model
    python bench/launches.py --recipe page --scan                    # many in one call

XLA compiles the step ahead of time for an H200, whose description is below; so does nvcc with our
kernels, because XLA asks their library what they allow. Printed is the step as it runs on the
device, a line a launch, then how many there are: a kernel of XLA's, a copy, or a call of ours,
which may launch two kernels. A command buffer is a CUDA graph. ptxas must be on PATH.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

H200 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H200"
runtime_version { major: 13 minor: 0 }
dnn_version_info { major: 9 minor: 12 }
gpu_device_info {
  cuda_compute_capability { major: 9 }
  driver_version: "13.0.0"
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 4800000000000
  device_memory_size: 150754820096
  l2_cache_size: 62914560
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
}
"""
N_OUT, N_BATCHES, N_STEPS = 20, 8, 64
KINDS = {"kCustomKernel": "kernels of XLA's", "kCopy": "copies", "kCustomCall": "calls of ours"}


def compile_step(recipe, floatX, what):
    """Return the compiled function of a recipe, on the host."""
    from deep_artists.artists.train import compile_steps

    rng = np.random.RandomState(0)
    n = N_BATCHES * recipe.batch_size
    x, y = rng.uniform(size=(n, 2560)).astype(floatX), rng.randint(N_OUT, size=n)
    steps = compile_steps(recipe, floatX, [(x, y)] * 3, "jax-ffi")
    return steps.train_model if what == "train" else steps.validate_model


def compile_ahead(function, scan):
    """Have XLA compile a function for the H200, once or scanned."""
    import jax
    from jax.experimental import topologies
    from jax.sharding import SingleDeviceSharding

    from deep_artists.ops.jax.scan import compile_scan

    topology = topologies.get_topology_desc("h200", "cuda", topology="1x1x1", target_config=H200)
    sharding = SingleDeviceSharding(topology.devices[0])
    values = {
        i: jax.ShapeDtypeStruct(storage[0].shape, storage[0].dtype, sharding=sharding)
        for i, storage in enumerate(function.vm.inputs)
        if i
    }
    index = jax.ShapeDtypeStruct((), np.int64, sharding=sharding)
    step = function.vm.jit_fn.step
    if scan:
        updates = tuple(function.maker.fgraph.update_mapping.items())
        traced = compile_scan(step, updates).trace(N_STEPS, index, values)
    else:
        traced = jax.jit(step).trace(index, *values.values())
    traced.lower(lowering_platforms=("cuda",)).compile()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="page")
    parser.add_argument("--floatX", default="float32", choices=("float32", "float64"))
    parser.add_argument("--what", default="train", choices=("train", "validate"))
    parser.add_argument("--scan", action="store_true", help="the loop of many steps in one call")
    arguments = parser.parse_args()
    dump = tempfile.TemporaryDirectory()
    os.environ["JAX_PLATFORMS"] = "cpu"  # the plugin is there, but finds no driver
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={dump.name} --xla_dump_hlo_as_text"

    from deep_artists.artists.recipe import load_recipe
    from deep_artists.ops.jax import ffi

    recipe = load_recipe(arguments.recipe, n_out=N_OUT)
    function = compile_step(recipe, arguments.floatX, arguments.what)
    ffi.register_kernels("cuda", "90")
    compile_ahead(function, arguments.scan)
    (path,) = Path(dump.name).glob("*thunk_sequence_after_thunk_passes.txt")
    text = path.read_text()
    print(text)
    step = text.rpartition("body:")[2]  # of the loop
    for kind, name in KINDS.items():
        print(f"{len(re.findall(rf': {kind} ', step))} {name} a step")


if __name__ == "__main__":
    main()
