"""The step of deep_artists itself, with the threads that OMP_NUM_THREADS says."""

import sys
from pathlib import Path

from worker import serve


def build(settings, x, y):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import pytensor

    from deep_artists.recipe import from_dict
    from deep_artists.train import Functions

    functions = Functions(from_dict(settings["recipe"]), settings["floatX"], [(x, y)] * 3)
    return functions.train_model, functions.network.set_values, f"PyTensor {pytensor.__version__}"


if __name__ == "__main__":
    serve(build)
