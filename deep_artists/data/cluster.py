"""Run joblib's tasks on a Dask cluster: the same command, on many machines.

The machines share a file system, on which audio and results have the same paths everywhere, and
the scheduler, the workers and the caller have the same deep_artists installed. Start one worker
process for each core, of one thread::

    dask scheduler                                                    # on one machine
    dask worker tcp://HOST:8786 --nworkers auto --nthreads 1          # on each
"""

import logging
import sys
import threading
import time
from contextlib import contextmanager

from .patches import SETTINGS

TELL_AFTER_S = 30


class ClusterError(RuntimeError):
    """A cluster that cannot be used; the message names it."""


@contextmanager
def connect(address, timeout_s=10, lost_timeout_s=600):
    """Make a Dask cluster the backend of joblib within the block.

    A task whose worker dies is given to another worker. When four workers died of it, the run ends.

    Parameters
    ----------
    address : str
        Address of the scheduler, ``tcp://HOST:PORT``.
    timeout_s : float
        How long to wait for the scheduler, and for a first worker.
    lost_timeout_s : float
        How long to wait for a worker to come back once there is none left. After 30 s the wait is
        announced on stderr.

    Raises
    ------
    ClusterError
        If dask.distributed is missing, the scheduler does not answer or has no worker, one of them
        has other packages than here, a task is given up, or the scheduler or all workers are lost.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            f"cluster {address}: dask.distributed is needed; pip install 'deep_artists[cluster]'"
        ) from error
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from joblib import parallel_config
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        """joblib's backend, which (1.6) waits for ever for a task that Dask has given up."""

        under_way = {}  # future to callback

        def effective_n_jobs(self, n_jobs=1):
            # With one job joblib would do the work in this process.
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            self.under_way[future] = callback
            future.add_done_callback(self.finish)
            return future

        def finish(self, future):
            callback = self.under_way.pop(future, None)
            if callback is not None and future.exception():
                callback(future.exception())

        def give_up(self, error):
            """Let every task under way end with an error."""
            while self.under_way:
                _, callback = self.under_way.popitem()
                callback(error)

        def retrieve_result_callback(self, out):
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    try:
        client = Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"cluster {address}: no Dask scheduler answers within {timeout_s} s; start one with "
            "'dask scheduler', and give the address it prints, tcp://HOST:PORT"
        ) from error
    with _no_logging(), client:
        try:
            client.wait_for_workers(1, timeout=timeout_s)
        except TimeoutError as error:
            raise ClusterError(
                f"cluster {address}: has no worker; start one a core with 'dask worker {address} "
                "--nworkers auto --nthreads 1'"
            ) from error
        _check_versions(client, address)
        backend = Backend(client=client)
        lost = ClusterError(
            f"cluster {address}: has had no worker for {lost_timeout_s:g} s; what was done is "
            "kept, start workers and run again to go on"
        )
        try:
            with (
                _watch_workers(client, address, lost_timeout_s, lambda: backend.give_up(lost)),
                parallel_config(backend=backend),
            ):
                yield
        except KilledWorker as error:
            raise ClusterError(
                f"cluster {address}: {error.allowed_failures + 1} workers died of the same tracks "
                "(too little memory?); what was done is kept, run again to go on"
            ) from error
        except CancelledError as error:
            raise ClusterError(
                f"cluster {address}: the scheduler was lost; what was done is kept, run "
                "again to go on"
            ) from error


@contextmanager
def _no_logging():
    """Keep Dask's log lines back: what it logs of a lost scheduler, our own error says."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


@contextmanager
def _watch_workers(client, address, timeout_s, give_up):
    """Report it on stderr when no worker is left, and give up if none comes in time."""
    ended = threading.Event()

    def watch():
        last_seen, told = time.monotonic(), False
        while not ended.wait(0.5):
            try:
                n_workers = len(client.ncores())
            except (OSError, RuntimeError, TimeoutError, ValueError):
                continue  # the scheduler is lost, which ends the tasks
            if n_workers:
                last_seen, told = time.monotonic(), False
            waited_s = time.monotonic() - last_seen
            if waited_s >= timeout_s:
                give_up()
                return
            if waited_s >= TELL_AFTER_S and not told:
                told = True
                print(
                    f"cluster {address}: no worker is left; waiting {timeout_s - waited_s:.0f} s "
                    "for one to come",
                    file=sys.stderr,
                )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


def _check_versions(client, address):
    """Check that scheduler and workers have the versions and settings that decide the bits.

    One without deep_artists would not even understand its tasks.
    """
    from .versions import find_versions

    ours = SETTINGS | find_versions()
    # A text for eval: a function of this package could not be sent to a worker that lacks it.
    module = "__import__('importlib').import_module('deep_artists.data.{}')".format
    command = f"{module('patches')}.SETTINGS | {module('versions')}.find_versions()"
    found = client.run(eval, command, on_error="return")
    found = {f"worker {name}": settings for name, settings in found.items()}
    try:
        found["the scheduler"] = client.run_on_scheduler(eval, command)
    except ImportError as error:
        found["the scheduler"] = error
    for where, settings in found.items():
        if settings != ours:
            wrong = settings
            if not isinstance(settings, Exception):
                wrong = f"it has {dict(sorted(settings.items() - ours.items()))}, here is "
                wrong += f"{dict(sorted(ours.items() - settings.items()))}"
            raise ClusterError(
                f"cluster {address}: {where} cannot extract ({wrong}); the same packages are "
                "needed everywhere"
            )
