"""Around a station under test: a clock that steps, a network that is cut, a small disk."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
HOUR = 3600
BEHIND = 5  # how much less than the station the programs around it are preferred, in steps of nice


class Clock:
    """The clock that a station sees (station_clock.c); the machine's own is never changed."""

    def __init__(self, folder: Path) -> None:
        self._file, self._library = folder / "step", folder / "clock.so"
        self._file.write_bytes(bytes(8))
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.why = "" if compiler else "there is no C compiler"
        if compiler:
            source = Path(__file__).with_name("station_clock.c")
            words = [compiler, "-shared", "-fPIC", "-O2", "-o", self._library, source]
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            self.why = done.stderr.strip()

    def step(self, hours: int) -> None:
        """Let the station's clock differ by so many hours from the machine's."""
        with self._file.open("r+b", 0) as opened:  # the station has it mapped
            opened.write(struct.pack("q", hours * HOUR))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see this clock."""
        if self.why:
            return dict(os.environ)
        return os.environ | {"LD_PRELOAD": str(self._library), "STEP_FILE": str(self._file)}


def without_steps(told: float, now: float) -> float:
    """Return a time of the station by the machine's clock; now: when it was read there."""
    return told - HOUR * round((told - now) / HOUR)


class Network:
    """A network of its own for the broker, behind a cable that can be pulled."""

    def __init__(self, stack: ExitStack) -> None:
        self._name, number = f"edgeseg-{os.getpid()}", 4 * (os.getpid() % 63)
        self._cable = f"es{os.getpid()}"
        self.host, self.why = HOST, ""
        near, far = f"192.0.2.{number + 1}/30", f"192.0.2.{number + 2}"  # RFC 5737: nobody's
        if shutil.which("ip") is None:
            self.why = "iproute2 is not installed"
            return
        stack.callback(self._end)
        for words in (
            f"netns add {self._name}",
            f"link add {self._cable} type veth peer name eth0 netns {self._name}",
            f"addr add {near} dev {self._cable}",
            f"link set {self._cable} up",
            f"-n {self._name} addr add {far}/30 dev eth0",
            f"-n {self._name} link set eth0 up",
            f"-n {self._name} link set lo up",
        ):
            done = subprocess.run(["ip", *words.split()], check=False, capture_output=True)
            if done.returncode:
                self.why = f"ip {words}: {done.stderr.decode().strip()}"
                return
        self.host = far

    @property
    def prefix(self) -> list[str]:
        """The words before a command that runs in the network."""
        return [] if self.why else ["ip", "netns", "exec", self._name]

    def cut(self) -> None:
        """Pull the cable, at the far end."""
        self._set("down")

    def mend(self) -> None:
        """Plug it in."""
        self._set("up")

    def _set(self, state: str) -> None:
        words = f"-n {self._name} link set eth0 {state}"
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)

    def _end(self) -> None:
        for words in (f"link del {self._cable}", f"netns del {self._name}"):
            subprocess.run(["ip", *words.split()], check=False, capture_output=True)


class Subscriber(threading.Thread):
    """Gets every record from the broker, by a session that survives; keeps the ids alone."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self._host, self._port = host, port
        self.ids = array("q")
        self.ready = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        from paho.mqtt import client as mqtt

        os.nice(BEHIND)
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, "bench", protocol=mqtt.MQTTv311, clean_session=False
        )
        client.on_connect = lambda *_: client.subscribe("+/+/+/verdict", 1)
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = lambda _client, _data, message: self._take(message.payload)
        client.reconnect_delay_set(0.2, 1.0)
        while not self.over.is_set():
            with suppress(OSError):
                client.connect(self._host, self._port, keepalive=5)
                break
            time.sleep(0.2)
        client.loop_start()
        self.over.wait()
        client.loop_stop()

    def _take(self, payload: bytes) -> None:
        _, found, rest = payload.partition(b'"id":')
        digits = rest.partition(b",")[0]
        if found and digits.isdigit():
            self.ids.append(int(digits))


@contextmanager
def _umount(place: Path) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def mounted(place: Path, size: str, stack: ExitStack) -> str:
    """Mount a small file system; return why not, empty if it is."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        return done.stderr.decode().strip()
    stack.enter_context(_umount(place))
    return ""


def fill(file: Path) -> None:
    """Fill a file system."""
    with suppress(OSError), file.open("wb", 0) as opened_file:
        free = os.statvfs(file.parent)
        os.posix_fallocate(opened_file.fileno(), 0, free.f_bavail * free.f_bsize)
        opened_file.seek(0, os.SEEK_END)
        while True:
            opened_file.write(bytes(1 << 16))


def behind(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a program that stands for another machine: it yields to the station."""
    nice = ["nice", "-n", str(BEHIND)] if shutil.which("nice") else []
    return subprocess.Popen([*nice, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: "subprocess.Popen[bytes] | None") -> None:
    """End a process, frozen or not."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        print(f"{process.args!r} did not end and is killed", file=sys.stderr)
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
