"""Aravis' software camera: a real GigE Vision camera on the network of this machine.

It speaks GVCP and GVSP on the port of every such camera, so one test at a time has it.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.stream.source.genicam.device import load_aravis
from tests.kit.stations import until

try:
    import fcntl
except ImportError:
    fcntl = None

PROGRAM = "arv-fake-gv-camera-0.8"
HERE, PORT = "127.0.0.1", 3956
LOCK = Path(tempfile.gettempdir()) / "edgeseg-gige.lock"


def missing():
    """Why there is no camera; empty if there is one."""
    if fcntl is None or shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed (apt-get install aravis-tools)"
    try:
        load_aravis()
    except MissingExtra as error:
        return str(error)
    return ""


class GigeCamera:
    """A camera that can be unplugged and plugged in again, elsewhere or with lost packets."""

    def __init__(self):
        self._process = None

    def plug_in(self, *, serial="EDGE1", address=HERE, lost=0):
        """Switch the camera on; lost: packets of a thousand."""
        command = [PROGRAM, "-i", address, "-s", serial, "-r", str(lost)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert until(lambda: answers(address)), "the camera does not answer"

    def unplug(self):
        """Switch it off without a farewell."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self):
        """Let it answer nothing, as behind a cut cable."""
        self._process.send_signal(signal.SIGSTOP)


def answers(address):
    """Whether a camera answers GVCP's discovery."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(bytes.fromhex("4201000200000001"), (address, PORT))
            return bool(sock.recv(1024))
        except OSError:
            return False


def other_address():
    """Another address of this machine; None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        found = sock.getsockname()[0]
    return None if found == HERE else found


@pytest.fixture
def gige():
    """A camera that is plugged in nowhere yet."""
    if reason := missing():
        pytest.skip(reason)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        camera = GigeCamera()
        yield camera
        camera.unplug()
