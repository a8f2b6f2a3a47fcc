"""From the mask to a client of Modbus TCP and of OPC UA, through a whole station.

    python benchmarks/bench_plc.py MODEL [--fps 30] [--count 600]

A station with one software camera runs in its own processes: with Modbus alone, with OPC UA alone,
and with both. The clients run in this one, one after the other. Modbus is read every millisecond,
OPC UA by subscriptions to Index with the publishing intervals 0 (at once), 1 and 10 ms, signed and
encrypted. The time of the mask is arrival plus latency in the record. `sleep` is how much later
than asked for this process wakes up from 1 ms of sleep meanwhile: a machine that does other work
delays every step as much.

The last line of standard output is one JSON document.
"""

import argparse
import asyncio
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from documents import Figure, emit, figure
from edgeseg.station.journal import FILE, JournalReader
from edgeseg.text import table
from station_peers import HOST, free_port

STATION = """
[station]
folder = "state"
[page]
address = ""
[evidence]
quota_gb = 0
[[recipe]]
name = "model"
model = {model}
[[camera]]
name = "top"
source = "test://64x48@{fps:g}"
"""
OUTPUTS = {
    "Modbus": """
[[output]]
kind = "modbus"
port = {port}
""",
    "OPC UA": """
[[output]]
kind = "opcua"
port = {port}
user = "plc"
password_file = "password"
""",
}
WARM_UP = 3.0  # seconds

Seen = dict[int, float]
"""Index -> when a client has seen it."""


def main() -> None:
    """Run a station, and one client after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="an engine, an ONNX file or a run")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second")
    parser.add_argument("--count", type=int, default=600, help="verdicts for each client")
    options = parser.parse_args()
    figures: list[Figure] = []
    for names in (("Modbus",), ("OPC UA",), ("Modbus", "OPC UA")):
        figures += run_station(names, options)
    rows = [["", "n", "p50 ms", "p99 ms", "max ms"]]
    for each in figures:
        worst = (each.p99 or 0.0, each.max or 0.0)
        rows.append([each.name, str(each.n), f"{each.p50:.2f}", *(f"{ms:.2f}" for ms in worst)])
    print("\n".join(table(rows, "<>>>>")))
    emit("plc", figures, fps=options.fps)


def run_station(names: Sequence[str], options: argparse.Namespace) -> list[Figure]:
    """Run a station with these outputs; return what their clients measured."""
    seconds = options.count / options.fps
    ports = {name: free_port() for name in names}
    beside = ", beside the other" if len(names) > 1 else ""
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "password").write_text("secret\n")
        file = folder / "station.toml"
        text = STATION.format(model=repr(str(options.model.resolve())), fps=options.fps)
        file.write_text(text + "".join(OUTPUTS[name].format(port=ports[name]) for name in names))
        station = subprocess.Popen([sys.executable, "-m", "edgeseg", "station", str(file)])
        try:
            wait_for(*ports.values())
            time.sleep(WARM_UP)
            read = {}
            if port := ports.get("Modbus"):
                read["Modbus, read every 1 ms"] = partial(poll, port, seconds)
            for interval in (0, 1, 10) if "OPC UA" in ports else ():
                read[f"OPC UA, published every {interval} ms"] = subscriber(
                    ports["OPC UA"], seconds, interval, folder
                )
            for title, call in read.items():
                warm_up = round(options.fps)  # the client connects
                figures += measured(title + beside, *call(), folder / "state" / FILE, warm_up)
        finally:
            station.send_signal(signal.SIGTERM)
            station.wait(60)
    return figures


def measured(
    title: str, seen: Seen, late: list[float], journal: Path, warm_up: int
) -> list[Figure]:
    """Return the time from the mask to the client, and that of the sleeps."""
    with JournalReader(journal) as reader:
        records = [(reader.one(index), at) for index, at in seen.items() if index]
    times = [
        (at - record.arrived) * 1e3 - record.ms
        for record, at in records
        if record is not None and record.ms is not None
    ]
    return [
        figure(title, times[warm_up:], unit="ms"),
        figure(f"{title}: sleep", [1e3 * each for each in late], unit="ms"),
    ]


def poll(port: int, seconds: float) -> tuple[Seen, list[float]]:
    """Read the index by Modbus until the time is over."""
    seen: Seen = {}
    late = []
    with socket.create_connection((HOST, port), timeout=5) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 4, 2))
            answer = b""
            while len(answer) < 13:
                answer += client.recv(13 - len(answer))
            (index,) = struct.unpack(">I", answer[9:])
            seen.setdefault(index, time.time())
            late.append(lateness(time.sleep))
    return seen, late


def subscriber(
    port: int, seconds: float, interval: float, folder: Path
) -> Callable[[], tuple[Seen, list[float]]]:
    """Return what subscribes to the index by OPC UA."""
    from asyncua import Client, ua
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    from edgeseg.station.outputs.opcua_security import self_signed

    uri = "urn:edgeseg:bench"
    key, certificate = self_signed(folder / "client", uri, "localhost")
    seen: Seen = {}
    late: list[float] = []

    class Handler:
        def datachange_notification(self, node: object, value: int, data: object) -> None:
            seen.setdefault(value, time.time())

    async def work() -> None:
        client = Client(f"opc.tcp://{HOST}:{port}")
        client.application_uri = uri
        mode = ua.MessageSecurityMode.SignAndEncrypt
        policy = SecurityPolicyBasic256Sha256
        await client.set_security(policy, str(certificate), str(key), mode=mode)
        client.set_user("plc")
        client.set_password("secret")
        async with client:
            subscription = await client.create_subscription(interval, Handler())
            node = client.get_node("ns=2;s=top.Index")
            await subscription.subscribe_data_change(node, queuesize=100)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.perf_counter()
                await asyncio.sleep(1e-3)
                late.append(time.perf_counter() - began - 1e-3)

    def run() -> tuple[Seen, list[float]]:
        asyncio.run(work())
        return seen, late

    return run


def lateness(sleep: Callable[[float], None]) -> float:
    """Sleep for 1 ms; return how many seconds it took longer."""
    began = time.perf_counter()
    sleep(1e-3)
    return time.perf_counter() - began - 1e-3


def wait_for(*ports: int) -> None:
    """Wait until all ports are listened at."""
    for port in ports:
        for _ in range(600):
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"nobody listens at port {port}")


if __name__ == "__main__":
    main()
