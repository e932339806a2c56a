"""What a command prints: results on stdout, what it does and what went wrong on stderr.

A reader that leaves, as ``head`` does, or a full disk behind stdout must not end the work.
"""

import os
import sys

lost = []  # errors of writing to stdout


def prepare():
    """Let every name be printed, also where the terminal's encoding lacks its characters."""
    lost.clear()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text, end="\n"):
    """Print a result; where nobody takes it, go on without stdout and keep the error in `lost`."""
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        lost.append(error)
        _silence(sys.stdout)


def note(text):
    """Print to stderr; where nobody takes it, go on without."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def fail(message):
    """Print an error; return the exit status.

    What a terminal might obey in it is escaped, and only its first line begins at the margin, so
    that no name in it can pass for another message.
    """
    from ..data.files import printable

    lines = "\n    ".join(map(printable, str(message).split("\n")))
    note(f"deep-artists: error: {lines}")
    return 2


def _silence(stream):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
