"""A Dask cluster as joblib's backend: the same command, on many machines.

The machines share a file system, on which audio and results have the same paths everywhere, and
the scheduler, the workers and the caller have the same deep_artists installed. Start one worker
process for each core, of one thread::

    dask scheduler                                                    # on one machine
    dask worker tcp://HOST:8786 --nworkers auto --nthreads 1          # on each
"""

from contextlib import contextmanager

from .patches import SETTINGS


class ClusterError(RuntimeError):
    """A cluster that cannot be used; the message names it."""


@contextmanager
def connect(address, timeout_s=10):
    """Let joblib's tasks within the block run on a cluster.

    A task whose worker dies is done again by another; after four deaths it is given up.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tcp://HOST:PORT``.
    timeout_s : float
        How long to wait for the scheduler, and for a first worker.

    Raises
    ------
    ClusterError
        If dask.distributed is missing, the scheduler does not answer or has no worker, one of them
        has other packages than here, a task is given up, or the scheduler is lost.
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
        """What joblib 1.6 lacks: else it waits for ever for a task that Dask has given up."""

        def effective_n_jobs(self, n_jobs=1):
            return max(2, super().effective_n_jobs(n_jobs))  # of 1, joblib does the work itself

        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            future.add_done_callback(lambda f: f.exception() and callback(f.exception()))
            return future

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
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout_s)
        except TimeoutError as error:
            raise ClusterError(
                f"cluster {address}: has no worker; start one a core with 'dask worker {address} "
                "--nworkers auto --nthreads 1'"
            ) from error
        _check_versions(client, address)
        try:
            with parallel_config(backend=Backend(client=client)):
                yield
        except KilledWorker as error:
            raise ClusterError(
                f"cluster {address}: {error.allowed_failures + 1} workers died of the same tracks "
                "(for want of memory?); what was done is kept, run again to go on"
            ) from error
        except CancelledError as error:
            raise ClusterError(
                f"cluster {address}: the scheduler was lost; what was done is kept, run "
                "again to go on"
            ) from error


def _check_versions(client, address):
    """See that all have what decides the bits; without deep_artists a task would break a worker."""
    from .versions import find_versions

    ours = SETTINGS | find_versions()
    # Only builtins: what is sent must be known there.
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
