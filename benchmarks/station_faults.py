"""A station with everything around it, and what can be broken; see bench_station.py."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from bench_profiles import eager
from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_graph
from edgeseg.recipes import TrainConfig
from station_peers import HOST, Clock, Network, behind, end, fill, free_port, mounted

HERE = Path(__file__).parent
SIZE = "320x240"
DISK, BROKER_DISK = "800m", "100m"
JOURNAL_GB = 0.15  # some 250,000 records, so that a long run deletes old ones
LIMIT = 0.507418  # which a few percent of the frames exceed: the network is random
HAMMERED = "page hammered"
OUTPUTS = ("broker frozen", "broker killed", "network cut", "gateway killed", HAMMERED)
"""Faults of what comes after the journal."""
KILLS = ("gateway killed", "inspector killed")
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
SPIN = """
import sys, time
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    pass
"""
NEIGHBORS = "busy neighbors"
"""What the programs that hammer take of the two cores, without a request: no fault of a station."""
Fault = tuple[Callable[[], object], Callable[[], object]]
"""How it begins and how it ends."""


class Bench:
    """The station and everything around it."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
        self.folder, self.options, self._stack = folder, options, stack
        self.ports = {name: free_port() for name in ("camera", "mqtt", "metrics", "page")}
        self.has_broker = shutil.which("mosquitto") is not None
        self.clock = Clock(folder)
        self.network = Network(stack)
        self.no_disk = mounted(folder / "state", DISK, stack)
        mounted(folder / "broker", BROKER_DISK, stack)  # it is synced for each message
        self.broker: subprocess.Popen[bytes] | None = None
        self.camera: subprocess.Popen[bytes] | None = None
        self.station: subprocess.Popen[bytes] | None = None
        self.starts = 0
        """Of the supervisor; more than one is a failure."""
        stack.callback(self.end)
        self._export()
        self.file = folder / "station.toml"
        self.file.write_text(self._text())
        self.start_broker()
        self.start_camera()

    def start_station(self) -> None:
        """Start the station; its log is beside its file."""
        command = [sys.executable, "-m", "edgeseg", "station", str(self.file)]
        with (self.folder / "station.log").open("ab") as log:
            self.station = subprocess.Popen(
                command, stderr=log, stdout=log, env=self.clock.environment
            )
        self.starts += 1

    def tend(self) -> None:
        """Start again what should not have ended."""
        if self.station is not None and self.station.poll() is not None:
            print(f"THE STATION ENDED with code {self.station.returncode}", file=sys.stderr)
            self.start_station()
        if self.broker is not None and self.broker.poll() is not None:
            self.start_broker()
        if self.camera is not None and self.camera.poll() is not None:
            self.start_camera()

    def stop_station(self) -> None:
        """End the station as a service manager would."""
        end(self.station)

    def end(self) -> None:
        """End everything."""
        for process in (self.station, self.broker, self.camera):
            end(process)

    def start_broker(self) -> None:
        """Start the broker; its sessions survive on the disk."""
        if self.has_broker:
            file = self.folder / "mosquitto.conf"
            file.write_text(
                f"listener {self.ports['mqtt']} {self.network.host}\nallow_anonymous true\n"
                f"persistence true\npersistence_location {self.folder}/broker/\n"
                "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n"
            )
            self.broker = behind([*self.network.prefix, "mosquitto", "-c", str(file)])

    def start_camera(self) -> None:
        """Start the MJPEG camera."""
        size, port = f"{SIZE}@{self.options.fps}", str(self.ports["camera"])
        self.camera = behind([sys.executable, str(HERE / "mjpeg_server.py"), size, port])

    def child(self, name: str) -> int | None:
        """Return the process id of the inspector or the gateway."""
        if self.station is None:
            return None
        with suppress(OSError):
            parent = Path(f"/proc/{self.station.pid}/task/{self.station.pid}/children")
            for process in parent.read_text().split():
                with suppress(OSError):
                    if f"edgeseg.station.{name}" in Path(f"/proc/{process}/cmdline").read_text():
                        return int(process)
        return None

    def faults(self) -> tuple[dict[str, Fault], dict[str, str]]:
        """Return how each fault begins and ends; and those that are left out, with the reason."""

        def kill(name: str) -> Callable[[], object]:
            return lambda: os.kill(self.child(name) or 0, signal.SIGKILL)

        def tell(name: str, number: int) -> Callable[[], object]:
            return lambda: getattr(self, name).send_signal(number)

        def nothing() -> None:
            return None

        big = self.folder / "state" / "big"
        step = self.clock.step
        found: dict[str, Fault] = {
            "gateway killed": (kill("gateway"), nothing),
            "camera killed": (tell("camera", signal.SIGKILL), self.start_camera),
            "broker frozen": (tell("broker", signal.SIGSTOP), tell("broker", signal.SIGCONT)),
            "clock one hour ahead": (lambda: step(1), lambda: step(0)),
            "broker killed": (tell("broker", signal.SIGKILL), self.start_broker),
            "inspector killed": (kill("inspector"), nothing),
            "network cut": (self.network.cut, self.network.mend),
            "half frames": (tell("camera", signal.SIGUSR1), tell("camera", signal.SIGUSR2)),
            HAMMERED: (self._hammer, nothing),
            NEIGHBORS: (self._spin, nothing),
            "clock one hour back": (lambda: step(-1), lambda: step(0)),
            "disk full": (lambda: fill(big), lambda: big.unlink(missing_ok=True)),
        }
        without = "" if self.has_broker else "mosquitto is not installed"
        reasons = {
            "broker frozen": without,
            "broker killed": without,
            "network cut": without or self.network.why,
            "clock one hour ahead": self.clock.why,
            "clock one hour back": self.clock.why,
            "disk full": self.no_disk,
        }
        left = {name: why for name, why in reasons.items() if why}
        return {name: fault for name, fault in found.items() if name not in left}, left

    def _hammer(self) -> None:
        """Ask page and metrics as fast as they answer, for as long as the fault lasts."""
        for port, path in ((self.ports["page"], "/"), (self.ports["metrics"], "/metrics")):
            self._run(HAMMER, f"http://{HOST}:{port}{path}")

    def _spin(self) -> None:
        for _ in range(2):
            self._run(SPIN)

    def _run(self, program: str, *words: str) -> None:
        """Run a program for as long as a fault lasts."""
        command = ["nice", "-n", "19", sys.executable, "-c", program, *words]
        process = subprocess.Popen([*command, str(self.options.every / 2)])
        threading.Thread(target=process.wait, daemon=True).start()

    def _export(self) -> None:
        config = TrainConfig(image_size=self.options.side, profile="edge")
        with eager(config, "light", 1, frame_size=(240, 320), frame_format="bgr") as network:
            export_graph(network, self.folder / "light.onnx", ExportConfig(tolerance=1e-3))

    def _text(self) -> str:
        fps = self.options.fps
        sources = [f"test://{SIZE}@{fps}"] * 3 + [f"http://{HOST}:{self.ports['camera']}/"]
        lines = ["[station]", 'name = "bench"', 'folder = "state"', "disk_reserve_gb = 0.01"]
        lines += [f"journal_gb = {JOURNAL_GB}", "[evidence]", "quota_gb = 0.02"]
        lines += ["near = 0.0", "good_share = 0.02"]
        lines += ["[page]", f'address = "{HOST}:{self.ports["page"]}"']
        lines += ["[[recipe]]", 'name = "light"', 'model = "light.onnx"', "threads = 1"]
        lines += ["threshold = 0.9", f"image_threshold = {LIMIT}"]
        for place, source in enumerate(sources):
            lines += ["[[camera]]", f'name = "camera-{place}"', f'source = "{source}"']
        lines += ["[[output]]", 'kind = "jsonl"', 'path = "verdicts.jsonl"']
        lines += ["[[output]]", 'kind = "prometheus"']
        lines += [f'address = "{HOST}:{self.ports["metrics"]}"']
        if self.has_broker:
            lines += ["[[output]]", 'kind = "mqtt"', f'host = "{self.network.host}"']
            lines += [f"port = {self.ports['mqtt']}", "tls = false"]
            lines += ["ack_s = 2.0", "keepalive_s = 2"]
        return "\n".join(lines) + "\n"
