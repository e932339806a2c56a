"""Properties that hold for any input: the split, the patches, the printed lines, the loop."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deep_artists.artists.recipe import load_recipe
from deep_artists.artists.train import Result, run_epochs
from deep_artists.data.patches import (
    HOP_LENGTH,
    MIN_SAMPLES,
    N_FFT,
    N_FRAMES,
    extract_patches,
    mel_power,
)
from deep_artists.data.tracks import Track, split_tracks

FEW = settings(max_examples=40, deadline=None)

tracks = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=60, unique=True)


@FEW
@given(tracks, st.integers(0, 2**32 - 1), st.booleans())
def test_a_split_keeps_groups_whole_and_loses_no_track(pairs, seed, grouped):
    listed = [Track(f"{a}/{t}", f"artist {a}", f"{a}-{t % 3}" if grouped else f"{a}/{t}")
              for a, t in pairs]
    try:
        splits = split_tracks(listed, seed)
    except ValueError as error:
        assert re.search("artist|group|track", str(error))
        return
    assert sorted(t for split in splits.values() for t in split) == sorted(listed)
    groups = [{t.group for t in split} for split in splits.values()]
    assert all(groups) and sum(map(len, groups)) == len({t.group for t in listed})
    assert splits == split_tracks(listed[::-1], seed)  # the order of the list does not matter


@FEW
@given(st.integers(0, 3 * MIN_SAMPLES), st.integers(0, 2**32 - 1))
def test_patches_are_the_frames_in_their_order(n, seed):
    y = np.random.RandomState(seed).uniform(-1, 1, size=n)
    if n < MIN_SAMPLES:
        with pytest.raises(ValueError, match=str(n)):
            extract_patches(y)
        return
    patches = extract_patches(y)
    assert len(patches) == (1 + (n - N_FFT) // HOP_LENGTH) // N_FRAMES
    frames = patches.reshape(-1, 64, N_FRAMES).transpose(1, 0, 2).reshape(64, -1)
    np.testing.assert_array_equal(frames, mel_power(y)[:, : frames.shape[1]].astype(np.float32))


def play(losses, n_train_batches, patience, frequency, n_epochs):
    validation = iter(losses)
    functions = SimpleNamespace(
        n_batches=[n_train_batches], best=None, start_epoch=lambda epoch: None,
        network=SimpleNamespace(values=dict, x=SimpleNamespace(dtype="float64")),
        train_model=lambda i: 0.0, run=map, validate=lambda: next(validation), test=lambda: 0.5,
    )
    recipe = load_recipe("third", patience=patience, validation_frequency=frequency, n_epochs=n_epochs)
    result = Result()
    run_epochs(recipe, functions, result, result.log.append)
    return result


@FEW
@given(st.lists(st.floats(0, 1), min_size=200, max_size=200), st.integers(1, 30), st.integers(1, 60),
       st.integers(1, 40), st.integers(1, 8))
def test_the_loop_is_that_of_the_program(losses, n_train_batches, patience, frequency, n_epochs):
    result = play(losses, n_train_batches, patience, frequency, n_epochs)
    # The loop of 2013, counting only.
    best, best_iteration, seen, iteration, waits = np.inf, 0, [], -1, patience
    for epoch in range(1, n_epochs + 1):
        for minibatch_index in range(n_train_batches):
            iteration = (epoch - 1) * n_train_batches + minibatch_index
            if (iteration + 1) % frequency == 0:
                seen.append((iteration + 1, losses[len(seen)]))
                if seen[-1][1] < best:
                    if seen[-1][1] < best * 0.995:
                        waits = max(waits, iteration * 2)
                    best, best_iteration = seen[-1][1], iteration
            if waits <= iteration:
                break
        if waits <= iteration:
            break
    assert (len(result.costs), result.validation, result.patience) == (iteration + 1, seen, waits)
    assert (result.best_validation_error, result.best_iteration) == (best, best_iteration + 1)
    number = r"(\d+\.\d{6}|inf)"
    assert re.fullmatch(rf"Best validation score of {number} % obtained at iteration \d+,with test "
                        rf"performance {number} %", result.log[-1])
    for line in result.log[:-2]:
        assert re.fullmatch(
            rf"training @ iter =  \d+00|training @ iter =  0|( {{5}})?epoch \d+, minibatch \d+/\d+, "
            rf"(validation error|test error of best model) {number} %", line)
