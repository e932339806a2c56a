"""The command ``deep-artists``: the whole experiment, and its steps one by one.

What a command finds goes to stdout; what it does and what went wrong goes to stderr. The exit
status is 0, or 1 where something was left out under ``--strict`` or a check failed, or 2 for an
error.
"""

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    from .parser import make_parser

    arguments = make_parser().parse_args(argv)
    try:
        if getattr(arguments, "jobs", None) == 0:
            raise ValueError("--jobs 0: a number of processes is needed, or -1 for one per core")
        return arguments.command(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return fail("interrupted")
    except MemoryError:
        return fail("there is not enough memory; take a smaller network or fewer patches")
    except (ValueError, OSError, RuntimeError) as error:
        return fail(error)


def fail(message):
    """Print an error; return the exit status."""
    print(f"deep-artists: error: {message}", file=sys.stderr)
    return 2
