"""A station with everything around it, and what can be broken; see bench_station.py."""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench_profiles import eager
from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_graph
from edgeseg.recipes import TrainConfig

HERE = Path(__file__).parent
SIZE = "320x240"
DISK = "96m"
HOST = "127.0.0.1"
HAMMER = """
import sys, threading, time, urllib.request
until = time.monotonic() + float(sys.argv[2])
def ask():
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(sys.argv[1], timeout=1).read(1 << 16)
        except OSError:
            pass
for _ in range(4):
    threading.Thread(target=ask).start()
"""
Fault = tuple[Callable[[], object], Callable[[], object]]
"""How it begins and how it ends."""


class Bench:
    """The station and everything around it."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
        self.folder, self.options, self._stack = folder, options, stack
        self.ports = {name: free_port() for name in ("camera", "mqtt", "metrics", "page")}
        self.has_broker = shutil.which("mosquitto") is not None
        self.disk = mounted(folder / "state", stack)
        self.broker: subprocess.Popen[bytes] | None = None
        self.camera: subprocess.Popen[bytes] | None = None
        self._export()
        self.file = folder / "station.toml"
        self.file.write_text(self._text())
        self.start_broker()
        self.start_camera()
        self.station: subprocess.Popen[bytes] | None = None
        stack.callback(self.end)

    def start_station(self) -> None:
        """Start the station; its log is beside its file."""
        command = [sys.executable, "-m", "edgeseg", "station", str(self.file)]
        log = self._stack.enter_context((self.folder / "station.log").open("wb"))
        self.station = subprocess.Popen(command, stderr=log, stdout=log)

    def stop_station(self) -> None:
        """End the station as a service manager would."""
        if self.station is not None:
            self.station.terminate()
            self.station.wait(40)

    def end(self) -> None:
        """End everything."""
        for process in (self.station, self.broker, self.camera):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(40)

    def start_broker(self) -> None:
        """Start the broker; its sessions survive on the disk."""
        if self.has_broker:
            file = self.folder / "mosquitto.conf"
            file.write_text(
                f"listener {self.ports['mqtt']} {HOST}\nallow_anonymous true\npersistence true\n"
                f"persistence_location {self.folder}/\nautosave_on_changes true\n"
                "autosave_interval 1\nmax_queued_messages 0\nuser root\n"
            )
            self.broker = subprocess.Popen(
                ["mosquitto", "-c", str(file)], stderr=subprocess.DEVNULL
            )

    def start_camera(self) -> None:
        """Start the MJPEG camera."""
        server = [sys.executable, HERE / "mjpeg_server.py"]
        self.camera = subprocess.Popen(
            [*server, f"{SIZE}@{self.options.fps}", str(self.ports["camera"])],
            stdout=subprocess.DEVNULL,
        )

    def child(self, name: str) -> int | None:
        """Return the process id of the inspector or the gateway."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                words = stat.with_name("cmdline").read_text()
                if (
                    self.station
                    and parent == self.station.pid
                    and f"edgeseg.station.{name}" in words
                ):
                    return int(stat.parent.name)
        return None

    def faults(self) -> dict[str, Fault]:
        """Return how each fault begins and ends."""

        def kill(name: str) -> Callable[[], object]:
            return lambda: os.kill(self.child(name) or 0, signal.SIGKILL)

        def nothing() -> None:
            return None

        big = self.folder / "state" / "big"
        found: dict[str, Fault] = {
            "gateway killed": (kill("gateway"), nothing),
            "camera killed": (lambda: self.camera and self.camera.kill(), self.start_camera),
            "inspector killed": (kill("inspector"), nothing),
            "half frames": (
                lambda: self.camera and self.camera.send_signal(signal.SIGUSR1),
                lambda: self.camera and self.camera.send_signal(signal.SIGUSR2),
            ),
            "hammered": (self._hammer, nothing),
        }
        if self.has_broker:
            found["broker frozen"] = (
                lambda: self.broker and self.broker.send_signal(signal.SIGSTOP),
                lambda: self.broker and self.broker.send_signal(signal.SIGCONT),
            )
            found["broker killed"] = (
                lambda: self.broker and self.broker.kill(),
                self.start_broker,
            )
        if self.disk:
            found["disk full"] = (lambda: fill(big), lambda: big.unlink(missing_ok=True))
        return found

    def _hammer(self) -> None:
        """Ask page and metrics as fast as they answer, for as long as the fault lasts."""
        for port, path in ((self.ports["page"], "/"), (self.ports["metrics"], "/metrics")):
            words = [f"http://{HOST}:{port}{path}", str(self.options.every / 2)]
            subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", HAMMER, *words])

    def _export(self) -> None:
        config = TrainConfig(image_size=self.options.side, profile="edge")
        with eager(config, "light", 1, frame_size=(240, 320), frame_format="bgr") as network:
            export_graph(network, self.folder / "light.onnx", ExportConfig(tolerance=1e-3))

    def _text(self) -> str:
        fps = self.options.fps
        sources = [f"test://{SIZE}@{fps}"] * 3 + [f"http://{HOST}:{self.ports['camera']}/"]
        lines = ["[station]", 'name = "bench"', 'folder = "state"', "disk_reserve_gb = 0.01"]
        lines += ["[evidence]", "quota_gb = 0.02"]
        lines += ["[page]", f'address = "{HOST}:{self.ports["page"]}"']
        lines += ["[[recipe]]", 'name = "light"', 'model = "light.onnx"', "threads = 1"]
        for place, source in enumerate(sources):
            lines += ["[[camera]]", f'name = "camera-{place}"', f'source = "{source}"']
        lines += ["[[output]]", 'kind = "jsonl"', 'path = "verdicts.jsonl"']
        lines += ["[[output]]", 'kind = "prometheus"']
        lines += [f'address = "{HOST}:{self.ports["metrics"]}"']
        if self.has_broker:
            lines += ["[[output]]", 'kind = "mqtt"', f'host = "{HOST}"']
            lines += [f"port = {self.ports['mqtt']}", "tls = false"]
        return "\n".join(lines) + "\n"


@contextmanager
def _umount(place: Path) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def mounted(place: Path, stack: ExitStack) -> bool:
    """Mount a small file system, if this user may."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    stack.enter_context(_umount(place))
    return True


def fill(file: Path) -> None:
    """Fill a file system."""
    with suppress(OSError), file.open("wb", 0) as opened_file:
        while True:
            opened_file.write(bytes(1 << 20))


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
