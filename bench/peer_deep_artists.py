"""The step of deep_artists itself, with the threads that OMP_NUM_THREADS says."""

import sys
from pathlib import Path

from worker import serve


def build(settings, x, y):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import pytensor

    from deep_artists.artists.recipe import from_dict
    from deep_artists.artists.train import compile_steps

    recipe = from_dict(settings["recipe"])
    steps = compile_steps(recipe, settings["floatX"], [(x, y)] * 3, settings["device"])
    train_model, set_values = steps.train_model, steps.network.set_values
    if settings["device"] != "cpu":  # as the others, hand the cost to Python
        train_model = lambda index: float(steps.train_model(index))
    version = f"PyTensor {pytensor.__version__}"
    if settings["variant"] == "block":  # an epoch a call, as train() trains on a GPU

        def take_steps(n):
            for first in range(0, n, steps.n_batches[0]):
                list(steps.train(range(min(n - first, steps.n_batches[0]))))

        return train_model, set_values, version, take_steps
    return train_model, set_values, version


if __name__ == "__main__":
    serve(build)
