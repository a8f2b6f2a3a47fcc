"""Peers for bench_fleet.py: a broker, publishers without edgeseg, devices with it, a subscriber."""

import json
import multiprocessing
import queue
import selectors
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from edgeseg.station import workers
from edgeseg.station.config import OutputConfig
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import Cursors
from edgeseg.station.inspection import Code, Inspection
from edgeseg.station.journal import FILE, Journal, JournalReader
from edgeseg.station.outputs.base import Deliverer, OutputContext
from edgeseg.station.outputs.kinds import open_output
from station_peers import HOST, free_port

MODEL = "9f2c" * 16
REGION = {
    **{"box": [812, 340, 37, 22], "area": 611, "length": 39.118, "width": 19.402},
    **{"angle": 27.4, "centroid": [829.71, 350.12], "peak": 0.912345, "mean": 0.743112},
}
EVIDENCE = "evidence/2026-11-26/top-6743a1b2c3-00012345-anomalous"
BATCH = 1000  # records of one transaction of the subscriber
CPUS = multiprocessing.get_context("spawn")


def record(number: int, *, regions: int = 0) -> Inspection:
    """Return a record with the fields that a triggered camera's has; regions: 0 is a good part."""
    good = Inspection(
        **{"id": number, "device": "line-03-top", "boot": "6743a1b2c3", "sequence": number},
        **{"camera": "top", "recipe": "bottle", "model": MODEL, "trigger": number},
        part=f"4711-{number:08}",
        captured=1795651200.123 + number / 100,
        arrived=1795651200.125 + number / 100,
        decided=1795651200.131 + number / 100,
        **{"frame": number, "verdict": "good", "code": Code.OK, "score": 0.412345},
        **{"threshold": 0.731234, "ms": 6.123},
    )
    if not regions:
        return good
    found = {"verdict": "anomalous", "code": Code.ANOMALOUS, "score": 1.412345}
    return replace(
        good, **found, regions=(REGION,) * regions, region_count=regions, evidence=EVIDENCE
    )


def cpu_seconds(process: int) -> float:
    """Processor time of all threads of a process so far."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Broker:
    """Mosquitto on a port of its own; the same port after a restart."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        settings = ("allow_anonymous true", "user root", "sys_interval 1", *lines)
        self._file.write_text("\n".join((f"listener {self.port} {HOST}", *settings)) + "\n")
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["mosquitto", "-c", str(self._file)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            time.sleep(0.01)
        raise OSError("mosquitto does not listen")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _packet(kind: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, low = divmod(length, 128)
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes([kind, *encoded]) + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def connect_packet(client: str) -> bytes:
    """Return CONNECT of MQTT 5 with a clean start."""
    return _packet(0x10, _text("MQTT") + bytes([5, 2, 0, 60, 0]) + _text(client))


def publish_packet(topic: str, payload: str, number: int) -> bytes:
    """Return PUBLISH of MQTT 5, QoS 1."""
    return _packet(0x32, _text(topic) + number.to_bytes(2, "big") + b"\0" + payload.encode())


@dataclass
class _Publisher:
    """One connection, which sends the next window when the last is acknowledged."""

    socket: socket.socket
    burst: bytes
    waiting: int = 0
    rest: bytes = b""

    def acknowledged(self) -> int:
        """Return how many PUBACKs have come."""
        data = self.rest + self.socket.recv(65536)
        count = at = 0
        while len(data) >= at + 2 and len(data) >= at + 2 + data[at + 1]:
            count += data[at] == 0x40
            at += 2 + data[at + 1]
        self.rest = data[at:]
        return count


def publish(
    port: int,
    packets: Sequence[bytes],
    devices: int,
    count: int,
    connected_all: Callable[[], object] = lambda: None,
) -> int:
    """Publish at least `count` messages, the packets again and again; return how many.

    devices: connections; each sends all packets when those before are acknowledged. connected_all:
    called once all are connected.
    """
    burst = b"".join(packets)
    with selectors.DefaultSelector() as selector:
        for place in range(devices):
            connected = socket.create_connection((HOST, port))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.sendall(connect_packet(f"publisher-{place}"))
            connected.recv(1024)
            selector.register(connected, selectors.EVENT_READ, _Publisher(connected, burst))
        connected_all()
        done = sent = 0
        publishers = [key.data for key in selector.get_map().values()]
        for each in publishers:
            each.socket.sendall(burst)
            each.waiting, sent = len(packets), sent + len(packets)
        while done < sent:
            for key, _ in selector.select():
                found = key.data.acknowledged()
                done, key.data.waiting = done + found, key.data.waiting - found
                if not key.data.waiting and sent < count:
                    key.data.socket.sendall(burst)
                    key.data.waiting, sent = len(packets), sent + len(packets)
        for each in publishers:
            each.socket.close()
    return sent


@contextmanager
def subscriber(port: int, database: Path, *, store: bool = True) -> Iterator[Any]:
    """Run a plant's subscriber: MQTT, QoS 1, each record into SQLite; yield what tells of it."""
    told, over = CPUS.Queue(), CPUS.Event()
    process = CPUS.Process(target=_subscribe, args=(port, str(database), store, told, over))
    process.start()
    try:
        told.get(timeout=120)
        yield process
    finally:
        over.set()
        process.join(60)


def _subscribe(port: int, database: str, store: bool, told: Any, over: Event) -> None:
    from paho.mqtt import client as mqtt

    arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "plant", protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: client.subscribe("edgeseg/+/+/verdict", 1)
    client.on_subscribe = lambda *_: told.put(True)
    client.on_message = lambda _client, _data, message: arrived.put(message.payload)
    with closing(sqlite3.connect(database, isolation_level=None)) as file:
        file.execute("pragma journal_mode=wal")
        file.execute("create table if not exists record (key text primary key, ok integer, line)")
        client.connect(HOST, port)
        client.loop_start()
        while not over.is_set() or not arrived.empty():
            time.sleep(0.05)
            lines = [arrived.get() for _ in range(min(arrived.qsize(), 100 * BATCH))]
            for start in range(0, len(lines) if store else 0, BATCH):
                found = [(json.loads(line), line) for line in lines[start : start + BATCH]]
                rows = [(each["key"], each["ok"], line) for each, line in found]
                file.execute("begin")
                file.executemany("insert or ignore into record values (?, ?, ?)", rows)
                file.execute("commit")
    client.loop_stop()


def fill(folder: Path, count: int) -> float:
    """Append records to a journal as an inspector does, 1 % NOT OK; return seconds."""
    with Journal(folder / FILE) as journal:
        began = time.perf_counter()
        for number in range(1, count + 1):
            journal.append(record(number, regions=number % 100 == 0))
        return time.perf_counter() - began


class Device:
    """A process that appends parts to a journal and delivers them by edgeseg's MQTT output."""

    def __init__(
        self, folder: Path, port: int, parts_per_s: float, *, jitter: float, backlog: int = 0
    ) -> None:
        """backlog: records that wait at the start."""
        folder.mkdir()
        self._over, self._waiting = CPUS.Event(), CPUS.Value("q", -1)
        given = (str(folder), port, parts_per_s, jitter, backlog, self._waiting, self._over)
        self.process = CPUS.Process(target=_device, args=given)
        self.process.start()

    @property
    def waiting(self) -> int:
        """Records of the journal that the broker has not acknowledged; -1: it starts."""
        return int(self._waiting.value)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.process.join(20)


def _device(
    folder: str, port: int, parts: float, jitter: float, backlog: int, waiting: Any, over: Event
) -> None:
    workers.JITTER = jitter
    base = Path(folder)
    config = OutputConfig(kind="mqtt", name="mqtt", settings={"host": HOST, "port": port})
    context = OutputContext(
        **{"station": base.name, "device": base.name, "folder": base, "base": base},
        **{"cameras": ("top",), "recipes": ("bottle",), "command": lambda message: None},
    )
    output = open_output(config, context)
    assert isinstance(output, Deliverer)
    with Journal(base / FILE) as journal, Cursors(base / CURSORS, last=0) as cursors:
        for number in range(1, backlog + 1):
            journal.append(record(number))
        delivery = workers.Delivery(config, output, base / FILE, cursors)
        delivery.start()
        began, count = time.monotonic(), 0
        while not over.wait(0.01):
            due = int((time.monotonic() - began) * parts)
            for number in range(count + 1, due + 1):
                journal.append(record(backlog + number))
                delivery.wake()
            count = due
            waiting.value = journal.told - delivery.cursor
        delivery.stop(5)


def bytes_of_a_journal(folder: Path) -> int:
    """Return the size of a journal, without its log."""
    with JournalReader(folder / FILE) as reader:
        (pages,) = reader._file.execute("pragma page_count").fetchone()
        (size,) = reader._file.execute("pragma page_size").fetchone()
    return int(pages * size)
