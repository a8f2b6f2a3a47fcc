"""Python programs beside the test."""

import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def running(program, *words):
    """A program that has written a line and waits; killed at the end of the block, if not before.

    Its last statement reads standard input.
    """
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()
