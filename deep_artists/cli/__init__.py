"""The command ``deep-artists``: the whole experiment, and its steps one by one.

What a command finds goes to stdout; what it does and what went wrong goes to stderr. The exit
status is 0, or 1 where something was left out under ``--strict`` or a check failed, or 2 for an
error.
"""

from ..data.workers import check_jobs
from .output import fail, lost, prepare


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    from .parser import make_parser

    prepare()
    arguments = make_parser().parse_args(argv)
    try:
        check_jobs(getattr(arguments, "jobs", 1))
        status = arguments.command(arguments)
    except KeyboardInterrupt:
        return fail("interrupted")
    except MemoryError:
        return fail("there is not enough memory; take a smaller network or fewer patches")
    except BrokenPipeError:  # of a command that only prints
        return 0
    except (ValueError, OSError, RuntimeError, OverflowError) as error:
        return fail(error)
    for error in lost:
        if not isinstance(error, BrokenPipeError):  # the reader had enough
            return fail(f"the output could not be printed: {error}")
    return status
