"""What both processes of a station have in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os
from edgeseg.station.child import weigh_session
os.nice(3)
weigh_session()
print(open("/proc/self/autogroup").read())
"""


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel does not group sessions"
)
def test_a_session_weighs_what_its_process_does():
    words = [sys.executable, "-c", CODE]
    found = subprocess.run(
        words, start_new_session=True, check=True, capture_output=True, text=True
    ).stdout
    assert found.split()[-1] == str(os.getpriority(os.PRIO_PROCESS, 0) + 3)
