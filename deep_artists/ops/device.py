"""The devices that a network can be trained on, 'cpu' and 'cuda', and what each needs.

Two more devices exercise the CUDA path without a GPU: 'jax' is JAX's CPU device with XLA's own code
for the Ops, and 'jax-ffi' the same with our kernels compiled for the host.
"""

import ctypes
import os
import shutil
from importlib.util import find_spec

DEVICES = ("cpu", "cuda", "jax", "jax-ffi")


def check_device(device):
    """Check that a device can be used, before anything slow.

    Parameters
    ----------
    device : {'cpu', 'cuda'}

    Raises
    ------
    ValueError
        If there is no such device.
    RuntimeError
        If something that the device needs is missing; says what, and how to get it.

    Examples
    --------
    >>> check_device("tpu")
    Traceback (most recent call last):
    ...
    ValueError: device = 'tpu'; it is 'cpu' or 'cuda'
    """
    if device not in DEVICES:
        raise ValueError(f"device = {device!r}; it is 'cpu' or 'cuda'")
    if device == "cpu":
        return
    install = "pip install 'deep_artists[cuda]'"
    if find_spec("jax") is None:
        raise RuntimeError(f"device {device} needs jax, which is not installed: {install}")
    if device == "cuda":
        if find_spec("jax_cuda13_plugin") is None and find_spec("jax_cuda12_plugin") is None:
            raise RuntimeError(
                f"device cuda needs jax's CUDA plugin, which is not installed: {install}"
            )
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise RuntimeError(
                "device cuda needs NVIDIA's driver, and libcuda.so.1 was not found: install the "
                "driver, until nvidia-smi lists the GPU"
            ) from error
    if device != "jax":
        find_compiler(device)
    find_jax_device(device)


def find_jax_device(device):
    """Return JAX's device of that name."""
    import jax

    platform = "cuda" if device == "cuda" else "cpu"
    try:
        return jax.devices(platform)[0]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(
            f"jax finds no device for {platform} ({reason}): see that nvidia-smi lists a GPU, and "
            "that CUDA_VISIBLE_DEVICES and JAX_PLATFORMS do not hide it"
        ) from error


def find_compiler(device):
    """Return the path of nvcc, or of g++ for 'jax-ffi'.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    if device == "cuda":
        homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
        wheels = find_spec("nvidia")  # that jax[cuda13] brings
        homes += [f"{at}/cu13" for at in (wheels and wheels.submodule_search_locations) or []]
        folders = [os.path.join(home, "bin") for home in [*homes, "/usr/local/cuda"]]
        nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(folders))
        if nvcc is None:
            raise RuntimeError(
                "device cuda compiles its kernels with nvcc, which was not found: pip install "
                "'deep_artists[cuda]', or install NVIDIA's CUDA toolkit and put its bin folder on "
                "PATH or its folder in CUDA_HOME"
            )
        return nvcc
    gxx = shutil.which("g++")
    if gxx is None:
        raise RuntimeError("no C++ compiler was found: install g++ (Debian: apt install g++)")
    return gxx
