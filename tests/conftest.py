"""What tests of several rooms need."""

import os
import subprocess
import sys

import pytest

import deep_artists  # noqa: F401  before a test imports PyTensor: it sets its flags


@pytest.fixture(scope="session")
def run_python():
    """Run Python with arguments in a process of its own, which finds what this one finds.

    Returns subprocess.CompletedProcess, with stdout and stderr as text.
    """

    def run(*arguments, cwd=None, timeout=None, **environment):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            **environment,
        }
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, env=environment, cwd=cwd, timeout=timeout, capture_output=True, text=True
        )

    return run
