"""Extraction of a track's patches, and how long starting takes, in processes of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deep_artists.data.patches import extract_patches
from deep_artists.reference import golden

ROOT = Path(__file__).resolve().parents[1]
BUILD = """
import numpy as np
from deep_artists.artists.recipe import load_recipe
from deep_artists.artists.train import compile_steps
split = np.zeros((80, 2560), "float32"), np.zeros(80)
print(compile_steps(load_recipe("page", n_out=20), "float32", [split] * 3).train_model(0))
"""


@pytest.mark.benchmark(
    group="extraction of a 30 s track",
    max_time=1,
    min_rounds=5,
    warmup=True,
    warmup_iterations=1,
    timer=time.process_time,
)
@pytest.mark.parametrize("sr, channels", [(22050, 1), (44100, 2)])
def test_extraction(benchmark, tmp_path, sr, channels):
    import soundfile

    recorded = golden.load("frontend/clip.npz")["patches"]
    patches = extract_patches(golden.path("frontend/clip.wav"))
    np.testing.assert_allclose(patches, recorded, rtol=1e-5, atol=1e-6 * recorded.max())
    rng = np.random.RandomState(0)
    path = tmp_path / "track.flac"
    soundfile.write(path, rng.uniform(-0.5, 0.5, size=(30 * sr, channels)), sr)
    assert benchmark(extract_patches, path).shape == (129, 2560)


def run(*arguments, **environment):
    """Run Python; return what it prints."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
        env=os.environ | environment,
    ).stdout


@pytest.mark.benchmark(group="start")
def test_help(benchmark):
    benchmark.pedantic(run, ("-m", "deep_artists", "--help"), rounds=5, warmup_rounds=1)
    assert "reproduce" in run("-m", "deep_artists", "--help")


@pytest.mark.benchmark(group="start")
def test_compile_from_a_warm_cache(benchmark):
    cost = float(benchmark.pedantic(run, ("-c", BUILD), rounds=5, warmup_rounds=1))
    assert np.log(20) <= cost < np.log(20) + 1


@pytest.mark.benchmark(group="start")
def test_compile_for_the_first_time(benchmark, tmp_path):
    flags = f"{os.environ.get('PYTENSOR_FLAGS', '')},base_compiledir={tmp_path}".strip(",")
    cost = float(benchmark.pedantic(run, ("-c", BUILD), {"PYTENSOR_FLAGS": flags}, rounds=1))
    assert np.log(20) <= cost < np.log(20) + 1
