"""Functions as one C module, where that is right, and kernels as libraries."""

import platform
import subprocess

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.compile import ProfileStats
from pytensor.compile.mode import Mode

from deep_artists.artists.network import Network
from deep_artists.artists.recipe import load_recipe
from deep_artists.ops import library
from deep_artists.ops.compile import OneModule, compile_function, python_mode
from deep_artists.ops.conv2d import conv2d


@pytest.mark.parametrize(
    "build",
    [
        lambda x: (2 * x)[1:, ::-1],
        lambda x: pt.inc_subtensor((2 * x)[1], 5.0),
        lambda x: pt.set_subtensor((2 * x)[:, 1:], 5.0),
        lambda x: pt.inc_subtensor((2 * x)[pt.constant([0, 0, 2])], 1.0),
    ],
    ids=["slice", "inc", "set", "inc_rows"],
)
def test_parts_of_a_computed_array_are_of_its_present_value(build):
    x = pt.dmatrix()
    function = compile_function([x], build(x))
    for seed in range(3):
        value = np.random.RandomState(seed).uniform(size=(3, 4))
        expected = build(pt.constant(value)).eval(mode="FAST_COMPILE")
        np.testing.assert_array_equal(function(value), expected)


def test_a_function_that_allows_it_is_one_module():
    x, W = pt.tensor4(dtype="float64"), pt.tensor4(dtype="float64")
    assert isinstance(compile_function([x, W], conv2d(x, W).sum()).maker.linker, OneModule)
    sliced = compile_function([x, W], conv2d(x, W)[:, 0].sum())
    assert not isinstance(sliced.maker.linker, OneModule)


def test_a_compiler_that_fails_is_one_sentence_and_a_log(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "make_command", lambda source, dtype: ["false"])
    monkeypatch.setattr(library, "name_library", lambda source, dtype: tmp_path / "dot.so")
    with pytest.raises(RuntimeError, match="could not compile the kernel dot.cpp") as error:
        library.compile_library("dot.cpp", "float32")
    (log,) = tmp_path.rglob("*.log")
    assert str(log) in str(error.value) and log.read_text().startswith("false")
    assert not list(tmp_path.rglob("*.so")) and not list(tmp_path.rglob("*.tmp"))


def test_another_source_or_flag_is_another_library(monkeypatch):
    here = library.name_library("dot.cpp", "float32")
    assert here != library.name_library("dot.cpp", "float64")
    monkeypatch.setattr(library, "hash_sources", lambda *patterns: "changed")
    assert here != library.name_library("dot.cpp", "float32")


FORK = """
import os
import numpy as np
import pytensor.tensor as pt
from deep_artists.ops.compile import compile_function
from deep_artists.ops.dot import FixedDot
A, B = pt.fmatrices(2)
function = compile_function([A, B], FixedDot()(A, B))
values = np.ones((300, 300), "float32"), np.ones((300, 300), "float32")
assert function(*values)[0, 0] == 300
child = os.fork()
if not child:
    os._exit(int(function(*values)[5, 5] != 300))
print(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_computes_after_its_parent_used_threads(run_python):
    try:
        done = run_python("-c", FORK, OMP_NUM_THREADS="2", timeout=120)
    except subprocess.TimeoutExpired:
        pytest.fail("the child hangs")
    assert done.stdout == "0\n", done.stderr


def test_a_mode_that_is_given_is_used_as_it_is():
    x, W = pt.tensor4(dtype="float64"), pt.tensor4(dtype="float64")
    mode = python_mode()
    function = compile_function([x, W], conv2d(x, W), mode=mode)
    assert function.maker.mode is mode and not isinstance(function.maker.linker, OneModule)
    values = np.arange(12.0).reshape(1, 1, 3, 4), np.ones((1, 1, 2, 2))
    named = compile_function([x, W], conv2d(x, W), mode="FAST_COMPILE")
    np.testing.assert_array_equal(named(*values), function(*values))
    with pytest.raises(ValueError, match="a mode is for the cpu"):
        compile_function([x, W], conv2d(x, W), mode=mode, device="jax")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["NUMBA", "JAX", "CVM", "FAST_RUN", Mode("cvm", "fast_compile")])
def test_a_training_step_has_the_same_costs_in_every_mode(mode):
    recipe = load_recipe("page", n_out=4, n_hidden=16, batch_size=4)
    x, y = np.random.RandomState(0).uniform(size=(4, 2560)), np.arange(4, dtype="int32")

    def take_steps(mode):
        network = Network(recipe, 4, "float64")
        step = compile_function(
            [network.x, network.y], network.cost, updates=network.updates(), mode=mode
        )
        return [float(step(x, y)) for _ in range(3)]

    np.testing.assert_allclose(take_steps(mode), take_steps(None), rtol=1e-12)


def test_a_profiled_function_has_a_time_for_each_node():
    x = pt.matrix(dtype="float64")
    profile = ProfileStats(atexit_print=False)
    function = compile_function([x], (x + 1).sum(), profile=profile)
    function(np.ones((2, 2)))
    assert set(dict.fromkeys(node for _, node in profile.apply_time)) == {
        *function.maker.fgraph.apply_nodes
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets are named on x86-64")
def test_no_program_is_compiled_to_try_what_the_kernels_need_anyway(run_python):
    code = """
import pytensor.tensor as pt
from deep_artists.ops.compile import compile_function
from pytensor.link.c.cmodule import GCC_compiler

def refuse(*_, **options):
    raise AssertionError(f"tried {options}")

GCC_compiler.try_compile_tmp = refuse
x = pt.dvector()
print(compile_function([x], (2 * x).sum())([1.0, 2.0]))
"""
    done = run_python("-c", code)
    assert done.stdout == "6.0\n", done.stderr
