"""Worker processes: no more than there is work for, and none that outlives its parent."""

import functools
import multiprocessing
import numbers
import os
import signal
import threading
import time
from contextlib import contextmanager

MAX_JOBS = 1024


def check_jobs(jobs):
    """Raise ValueError unless this is a number of processes: 1 to 1024, or -1 for one a core."""
    if not isinstance(jobs, numbers.Integral) or (jobs != -1 and not 1 <= jobs <= MAX_JOBS):
        raise ValueError(
            f"jobs = {jobs}; needed: 1 to {MAX_JOBS} processes, or -1 for one per core"
        )


def run_tasks(jobs, n_tasks, function, tasks):
    """Call a function with the arguments of every task, in worker processes, a few at a time.

    Parameters
    ----------
    jobs : int
        Processes; -1 for one a core. A backend set by `joblib.parallel_config` is used.
    n_tasks : int
        No more processes than this are started.
    function : callable
    tasks : iterable of tuple
        Read as the results come.

    Returns
    -------
    generator
        The results, in the order of the tasks.
    """
    from joblib import Parallel, cpu_count, delayed

    check_jobs(jobs)
    n_jobs = max(1, min(cpu_count() if jobs == -1 else jobs, n_tasks))
    caller = os.getpid()
    calls = (delayed(_call)(caller, function, *task) for task in tasks)
    parallel = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)
    if n_jobs == 1:
        return parallel(calls)
    with _ignore_interrupts():
        return parallel(calls)


def _call(caller, function, *arguments):
    if multiprocessing.current_process().name.startswith("Loky"):  # a process that joblib started
        _end_with(caller)
    return function(*arguments)


@functools.cache
def _end_with(parent):
    """End this process within a second of its parent's end, even one by SIGKILL."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _ignore_interrupts():
    """Ignore Ctrl-C while workers are started, each of which would print a traceback.

    They inherit that it is ignored and go on ignoring it: their parent ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
