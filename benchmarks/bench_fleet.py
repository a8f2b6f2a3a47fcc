"""What a station costs a plant: bytes, processor time of broker, registry, subscriber and device.

    python benchmarks/bench_fleet.py [--messages 20000] [--outages 5]

Needs mosquitto and, for the registry, docker-registry (both in Debian). Times are processor times
of the process that is named, by the kernel's count, so that other work on the machine matters
little; a core can do as many as fit into its second. At last the broker is killed while devices
deliver, and is started again: the time until they have caught up is compared with `fleet_sim.py`.

The last line of standard output is one JSON document.
"""

import argparse
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from documents import RATIO, Figure, emit, figure
from fleet_peers import (
    Broker,
    Device,
    bytes_of_a_journal,
    connect_packet,
    cpu_seconds,
    fill,
    publish,
    publish_packet,
    record,
    subscriber,
)
from fleet_sim import LAG, Brokers, Fleet, Outage, simulate
from station_peers import HOST, free_port

TOPIC = "edgeseg/line-03/top/verdict"
UNBOUND = ("max_queued_messages 0", "max_inflight_messages 1000", "set_tcp_nodelay true")
BURST = 16
BLOB = 32 << 20  # bytes
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SEEDS = 40


def main() -> None:
    """Measure, and print one document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000, help="of each measurement")
    parser.add_argument("--outages", type=int, default=5, help="of each length")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to measure: a,b")
    options = parser.parse_args()
    figures: list[Figure] = []

    def told(found: Figure) -> None:
        figures.append(found)
        spread = f" ({found.p5:.4g} to {found.p95:.4g})" if found.p5 is not None else ""
        print(f"{found.p50:12.4g}{spread} {found.unit}, n {found.n}: {found.name}", flush=True)

    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        folder = Path(scratch)
        for name in options.only.split(","):
            for each in PARTS[name](folder, options):
                told(each)
    emit("fleet", figures)


def records(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """Bytes of a record by itself and as an MQTT packet."""
    for name, regions in (("good", 0), ("anomalous, 1 region", 1), ("anomalous, 3 regions", 3)):
        line = record(12345, regions=regions).to_json()
        packet = publish_packet(TOPIC, line, 1)
        yield Figure(name=f"record, {name}", unit="bytes", p50=len(line))
        yield Figure(name=f"MQTT packet, {name}", unit="bytes", p50=len(packet))


def journal(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """A journal of parts of which 1 % are not OK."""
    count = options.messages
    began, place = time.process_time(), folder / "journal"
    seconds = fill(place, count)
    own = time.process_time() - began
    yield Figure(name="journal, append", unit="us", n=count, p50=own / count * 1e6)
    yield Figure(name="journal, one thread", unit="1/s", n=count, p50=count / seconds)
    size = bytes_of_a_journal(place)
    yield Figure(name="journal, row", unit="bytes", n=count, p50=size / count)


def broker(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """Messages that nobody has subscribed to."""
    count = options.messages
    line = record(12345).to_json()
    packets = [publish_packet(TOPIC, line, number) for number in range(1, BURST + 1)]
    for devices in (16, 128, 800):
        samples = []
        for _ in range(3):
            with Broker(folder, *UNBOUND) as served:
                marks: list[float] = []
                clock = partial(cpu_seconds, served.process.pid)
                sent = publish(
                    served.port, packets, devices, count, lambda m=marks, c=clock: m.append(c())
                )
                samples.append((clock() - marks[0]) / sent * 1e6)
        yield figure(f"broker, message, {devices} connections", samples, unit="us")


def connections(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """Connections that begin, are accepted and end."""
    count = options.messages // 100
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    tls = ssl.create_default_context(cafile=folder / "certificate.pem")
    tls.check_hostname = False
    secured = [f"certfile {folder / 'certificate.pem'}", f"keyfile {folder / 'key.pem'}"]
    for name, lines in (("plain", []), ("TLS, RSA 2048", secured)):
        with Broker(folder, *lines) as served:
            samples = []
            for turn in range(5):
                before = cpu_seconds(served.process.pid)
                for place in range(count):
                    with socket.create_connection((HOST, served.port)) as plain:
                        each = tls.wrap_socket(plain) if lines else plain
                        each.sendall(connect_packet(f"line-{turn}-{place}"))
                        each.recv(1024)
                        each.close()
                used = cpu_seconds(served.process.pid) - before
                samples.append(used / count * 1e6)
        yield figure(f"broker, connection, {name}", samples, unit="us")


def plant(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """A device of edgeseg's delivers what waits; a subscriber stores it in SQLite."""
    count = options.messages
    names = ("broker, one subscriber", "subscriber", "device")
    turns = [delivered(folder / f"plant-{turn}", count // 4) for turn in range(3)]
    for name, samples in zip(names, zip(*turns, strict=True), strict=True):
        yield figure(f"{name}, message", samples, unit="us")
    lines = [(f"line/{n}", 1, record(n).to_json()) for n in range(count)]
    with closing(sqlite3.connect(folder / "alone.sqlite3", isolation_level=None)) as file:
        file.execute("pragma journal_mode=wal")
        file.execute("create table record (key text primary key, ok integer, line)")
        began = time.process_time()
        for start in range(0, count, 1000):
            file.execute("begin")
            file.executemany("insert into record values (?, ?, ?)", lines[start : start + 1000])
            file.execute("commit")
        used = (time.process_time() - began) / count * 1e6
    yield Figure(name="SQLite, row, 1000 in a transaction", unit="us", n=count, p50=used)


def delivered(folder: Path, count: int) -> list[float]:
    """Return processor times of broker, subscriber and device for a message, in microseconds."""
    folder.mkdir()
    database = folder / "plant.sqlite3"
    with (
        Broker(folder, *UNBOUND) as served,
        subscriber(served.port, database) as stores,
        Device(folder / "line", served.port, 0.001, jitter=0.5, backlog=count) as device,
    ):
        wait_for(lambda: device.waiting > 0)
        processes = (served.process.pid, stores.pid, device.process.pid)
        first, before = device.waiting, [cpu_seconds(each) for each in processes]
        wait_for(lambda: device.waiting == 0)
        wait_for(lambda: rows(database) == count)
        return [
            (cpu_seconds(each) - start) / first * 1e6
            for each, start in zip(processes, before, strict=True)
        ]


def lost(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """A subscriber that does not answer for a while, at a broker with its default settings."""
    database = folder / "lost.sqlite3"
    sent = options.messages // 4
    with Broker(folder) as served, subscriber(served.port, database) as stores:
        os.kill(stores.pid, signal.SIGSTOP)
        lines = [record(number).to_json() for number in range(sent)]
        for start in range(0, sent, BURST):
            burst = enumerate(lines[start : start + BURST], 1)
            publish(served.port, [publish_packet(TOPIC, each, n) for n, each in burst], 1, 1)
        os.kill(stores.pid, signal.SIGCONT)
        seen = -1
        while seen != (seen := rows(database)):
            time.sleep(5)
    name = "messages that a frozen subscriber never gets, though acknowledged"
    yield Figure(name=name, unit="1", n=sent, p50=sent - seen)


def registry(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """A blob is pulled, and a tag is asked for."""
    if not shutil.which("docker-registry"):
        return
    with serving(folder) as (process, port):
        connected = HTTPConnection(HOST, port)
        data = np.random.default_rng(0).bytes(BLOB)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        request(connected, "POST", "/v2/line/bottle/blobs/uploads/")
        upload = connected_location.pop()
        mark = "&" if "?" in upload else "?"
        request(connected, "PUT", f"{upload}{mark}digest={digest}", data)
        manifest = (
            f'{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":'
            f'"application/vnd.oci.empty.v1+json","size":{BLOB},"digest":"{digest}"}},"layers":[]}}'
        )
        kind = {"Content-Type": MANIFEST}
        request(connected, "PUT", "/v2/line/bottle/manifests/stable", manifest.encode(), kind)
        blob = f"/v2/line/bottle/blobs/{digest}"
        samples = []
        for _ in range(10):
            before = cpu_seconds(process)
            assert len(request(connected, "GET", blob)) == BLOB
            samples.append((cpu_seconds(process) - before) / BLOB * 1e12)
        yield figure("registry, pulled", samples, unit="us/MB")
        accepts = {"Accept": MANIFEST}
        samples = []
        for _ in range(5):
            before = cpu_seconds(process)
            for _ in range(200):
                each = HTTPConnection(HOST, port)
                request(each, "HEAD", "/v2/line/bottle/manifests/stable", None, accepts)
                each.close()
            samples.append((cpu_seconds(process) - before) / 200 * 1e6)
        yield figure("registry, question for a tag, new connection", samples, unit="us")


connected_location: list[str] = []


def request(
    connected: HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return the answer to a request; the address of an upload goes to `connected_location`."""
    connected.request(method, path, body, headers or {})
    answer = connected.getresponse()
    data = answer.read()
    assert answer.status < 300, (answer.status, data[:200])
    if method == "POST":
        place = answer.headers["Location"]
        connected_location.append(place.partition(f":{connected.port}")[2] or place)
    return data


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a registry; its process and port."""
    port, file = free_port(), folder / "registry.yml"
    file.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{HOST}:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
    )
    command = ["docker-registry", "serve", str(file)]
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=silent, stderr=silent) as process:
        try:
            wait_for(lambda: _listens(port), 30)
            yield process.pid, port
        finally:
            process.terminate()


def outage(folder: Path, seconds: float, runs: int) -> Iterator[Figure]:
    """Kill the broker while two devices deliver; compare with the simulation."""
    parts, count = 50.0, 2
    for jitter in (0.0, 0.5):
        measured, drains = [], []
        for turn in range(runs):
            place = folder / f"outage-{seconds:g}-{jitter}-{turn}"
            place.mkdir()
            with Broker(folder, *UNBOUND) as served:
                backlog = 1500 if not turn else 300
                devices = [
                    Device(place / f"line-{n}", served.port, parts, jitter=jitter, backlog=backlog)
                    for n in range(count)
                ]
                with devices[0], devices[1]:
                    drains += [drain(devices, parts)] if not turn else []
                    wait_for(lambda devices=devices: caught_up(devices, parts), 120)
                    time.sleep(2)
                    served.kill()
                    time.sleep(seconds)
                    began = time.monotonic()
                    served.start()
                    wait_for(lambda devices=devices: caught_up(devices, parts), 200)
                    measured.append(time.monotonic() - began)
        fleet = Fleet(devices=count, parts_per_s=parts, jitter=jitter, drain_per_s=drains[0])
        silence = Outage(begin=2.0, seconds=seconds)
        simulated = [
            simulate(fleet, Brokers(), silence, seconds=300, seed=seed).caught_up
            for seed in range(SEEDS if jitter else 1)
        ]
        name = f"outage of {seconds:g} s, jitter {jitter:g}"
        yield figure(f"{name}, caught up, measured", measured, unit="s")
        yield figure(f"{name}, caught up, simulated", simulated, unit="s")
        ratios = np.array(measured) / np.median(simulated)
        yield figure(f"{name}, measured / simulated", ratios, unit=RATIO)
        yield Figure(name=f"{name}, device delivers", unit="1/s", p50=drains[0])


def outages(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    """A short and a longer outage."""
    for seconds in (5.0, 20.0):
        yield from outage(folder, seconds, options.outages)


def drain(devices: list[Device], parts: float) -> float:
    """Return the messages that a device delivers in a second while something waits."""
    wait_for(lambda: all(each.waiting > 0 for each in devices))
    began, first = time.monotonic(), [each.waiting for each in devices]
    wait_for(lambda: all(each.waiting < 200 for each in devices), 120)
    return (sum(first) / len(first) - 200) / (time.monotonic() - began) + parts


def caught_up(devices: list[Device], parts: float) -> bool:
    """Whether no device has more than LAG waiting."""
    return all(0 <= each.waiting <= LAG * parts + 1 for each in devices)


def rows(database: Path) -> int:
    """Records that the subscriber has stored."""
    with closing(sqlite3.connect(database, timeout=30)) as file:
        (found,) = file.execute("select count(*) from record").fetchone()
    return int(found)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.01)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


Part = Callable[[Path, argparse.Namespace], Iterator[Figure]]
PARTS: dict[str, Part] = {
    each.__name__: each
    for each in (records, journal, broker, connections, plant, lost, registry, outages)
}


if __name__ == "__main__":
    main()
