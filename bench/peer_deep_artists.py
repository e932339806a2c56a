"""The step of deep_artists itself, with the threads that OMP_NUM_THREADS says."""

import sys
from pathlib import Path

import numpy as np
from worker import BLOCK, serve


def build(settings, x, y):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import pytensor

    from deep_artists.artists.recipe import from_dict
    from deep_artists.artists.train import compile_steps

    recipe, block = from_dict(settings["recipe"]), settings["variant"] == "block"
    if block:  # an epoch is a block
        times = BLOCK * recipe.batch_size // len(x)
        x, y = np.tile(x, (times, 1)), np.tile(y, times)
    steps = compile_steps(recipe, settings["floatX"], [(x, y)] * 3, settings["device"])
    train_model, set_values = steps.train_model, steps.network.set_values
    if settings["device"] != "cpu":  # as the others, hand the cost to Python
        train_model = lambda index: float(steps.train_model(index))
    version = f"PyTensor {pytensor.__version__}"
    if block:  # as train() trains on a GPU

        def take_steps(n):
            for _ in range(n // BLOCK):
                list(steps.train(range(BLOCK)))

        return train_model, set_values, version, take_steps
    return train_model, set_values, version


if __name__ == "__main__":
    serve(build)
