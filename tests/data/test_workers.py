"""Worker processes: an interrupt is their parent's affair."""

import signal

import pytest

from deep_artists.data.workers import check_jobs, run_tasks


def get_handler(_):
    import signal

    return signal.getsignal(signal.SIGINT)


def test_workers_leave_an_interrupt_to_their_parent():
    # Else each prints a traceback where it comes while they start.
    handler = signal.getsignal(signal.SIGINT)
    handlers = list(run_tasks(2, 2, get_handler, [(0,), (1,)]))
    assert handlers == [signal.SIG_IGN] * 2 and signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("jobs", [0, -2, 1025, 10**30, 1.5, "2", None])
def test_a_number_of_jobs_that_makes_no_sense(jobs):
    with pytest.raises(ValueError, match="needed: 1 to 1024 processes, or -1"):
        check_jobs(jobs)
