"""The training step: the order of an epoch, and data used where they lie."""

import numpy as np

from deep_artists import load_recipe
from deep_artists.artists.train import compile_steps


def small_sets(n=(60, 30, 30), n_classes=3, dtype=np.float32):
    rng = np.random.RandomState(0)
    return [(rng.uniform(size=(k, 2560)).astype(dtype), np.arange(k) % n_classes) for k in n]


SMALL = {"batch_size": 10, "n_hidden": 20, "n_out": 3}


def test_a_shuffled_epoch_sees_every_patch_once():
    recipe = load_recipe("page", batch_size=10, n_out=3)
    steps = compile_steps(recipe, "float32", small_sets())
    seen = []
    for epoch in (1, 2):
        steps.start_epoch(epoch)
        seen.append(steps.splits[0].order.get_value())
        assert sorted(seen[-1]) == list(range(60))
    assert (seen[0] != seen[1]).any()


def test_data_of_the_dtype_are_used_where_they_lie(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (20, 2560))
    x[:] = np.random.RandomState(0).uniform(size=x.shape)
    x.flush()
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sets = [(mapped, np.arange(20) % 3)] * 3
    steps = compile_steps(load_recipe("page", **SMALL), "float32", sets)
    steps.train_model(0)
    shared = [v for v in steps.train_model.get_shared() if v.name == "x"]
    assert np.shares_memory(shared[0].get_value(borrow=True), mapped)
