"""The end of a process: a thread that a library has blocked does not change its exit code."""

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, sys, threading, time
from edgeseg.closing import leave

class Library:
    def __del__(self):  # as the destructors of a C++ library: with the thread inside, an abort
        print("destroyed")

library = Library()
atexit.register(print, "registered")
threading.Thread(target=time.sleep, args=({blocked},), daemon={daemon}).start()
time.sleep(0.2)
print("done", end=" ")
leave(3)
"""


@pytest.mark.parametrize(
    ("blocked", "daemon", "printed"),
    [
        (600, True, "done registered\n"),
        (0, True, "done registered\ndestroyed\n"),
        (0.5, False, "done registered\ndestroyed\n"),
    ],
)
def test_a_process_ends_with_its_code_whatever_is_blocked(blocked, daemon, printed):
    """Python itself, whose end destroys what the thread uses, ends only without such a thread."""
    script = SCRIPT.format(blocked=blocked, daemon=daemon)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, printed, "")
