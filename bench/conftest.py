"""What every benchmark shares: a calibration before and after it, and the number of threads."""

import time

import numpy as np
import pytest
from peak import compile_peak
from threadpoolctl import threadpool_limits

collect_ignore_glob = ["[!t]*.py", ".peers", "results"]

CALIBRATION_ITERATIONS = 1_000_000  # about 3 ms with AVX-512


def time_peak(timer, threads):
    """Return the seconds of a fixed number of multiply-adds, and the cores it got."""
    run_peak, seconds = compile_peak(), []
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(9):
        start = timer()
        run_peak(CALIBRATION_ITERATIONS, threads)
        seconds.append(timer() - start)
    return np.median(seconds), (time.process_time() - cpu) / (time.perf_counter() - wall)


@pytest.fixture(autouse=True)
def calibration(request, benchmark):
    """Store beside each time that of the calibration, for compare.py."""
    threads = getattr(request.node, "callspec", None)
    threads = threads.params.get("threads", 1) if threads else 1
    timer = request.node.get_closest_marker("benchmark").kwargs.get("timer", time.perf_counter)
    before = time_peak(timer, threads)
    yield
    seconds, cores = np.array([before, time_peak(timer, threads)]).T
    benchmark.extra_info["calibration_s"] = float(seconds.mean())
    # Processor time leaves other programs out, wall time does not.
    benchmark.extra_info["undisturbed"] = bool(
        timer is time.process_time or cores.min() > 0.9 * threads
    )


@pytest.fixture
def limit():
    """Return a function that sets the threads of all pools loaded so far, until the test ends."""
    limits = []
    yield lambda threads: limits.append(threadpool_limits(threads))
    for limit in reversed(limits):
        limit.restore_original_limits()
