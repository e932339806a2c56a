"""Deep Unlearning (McFee and Montecchio, 2013), rebuilt to its numbers.

The network learns music features by recognising artists. To run the whole experiment::

    deep-artists reproduce --out run

or, step by step in Python::

    deep_artists.extract_folder("music", "patches")           # sound files -> mel patches
    datasets = deep_artists.make_dataset("patches", "set")    # -> train, valid and test
    result = deep_artists.train(datasets, "page")             # -> a model, with its history
    result.model.save("model.npz")
    deep_artists.load("model.npz").embed(["a.mp3", "b.mp3"])  # a row of features for each

To read the code, begin with nn/layers.py, artists/network.py, nn/steps.py, nn/loop.py and
artists/train.py, then ops/conv2d.py: about 1,000 lines. Each folder says in its __init__.py what
it is for. ``deep-artists verify`` compares this machine with the original's recorded numbers.
"""

import os

import lazy_loader

# PyTensor and OpenMP read these once, when they are first imported or first used.
# Our graphs need no BLAS: keep PyTensor from looking for one and warning that there is none. And
# let it wait longer than two minutes for another process that compiles.
flags = os.environ.get("PYTENSOR_FLAGS", "")
for name, value in (("blas__ldflags", ""), ("compile__timeout", "1800")):
    if name not in flags:
        flags = f"{flags},{name}={value}".lstrip(",")
os.environ["PYTENSOR_FLAGS"] = flags
# Threads that spin while they wait take the core from the thread they wait for, where cores are
# shared: a factor of 5 was seen. Spin briefly, then sleep.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.2.0"

# The public names stand in __init__.pyi; each is imported when it is first used.
__getattr__, _, names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*names, "__version__"]


def __dir__():
    return sorted(__all__)
