"""A station under fault injection: four cameras, and every few seconds something breaks.

    python benchmarks/bench_station.py [--minutes 120] [--every 10] [--fps 30]

Three software cameras and an MJPEG server, a network of `--side` pixels with random weights,
outputs to a file, to MQTT (where mosquitto is installed), Prometheus and the page. In turn, each
for half of `--every` seconds and then nothing for the other half:

    broker frozen (SIGSTOP)    gateway killed (-9)     camera killed      disk full
    broker killed (-9)         inspector killed (-9)   half frames        page and metrics hammered

The state of the station is on a small file system of its own, which a big file fills; that needs
root and is left out without. Not injected: a step of the clock, a cut network.

accounted    frames of the software cameras, by their number, with exactly one record
delivered    records of the journal that each output got, at least once and in order
p99          of the records in quiet times, and while an output is broken
flat         memory, threads and files of both processes, a tenth after the start and at the end

The last line of standard output is one JSON document.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from documents import RATIO, Figure, emit, figure
from edgeseg.station.inspection import Inspection
from edgeseg.station.journal import FILE, JournalReader
from station_faults import HOST, Bench

OUTPUT_FAULTS = ("broker frozen", "broker killed", "gateway killed", "hammered")


class Samples(threading.Thread):
    """Memory, threads and files of both processes, once a second."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self.found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(1.0):
            for name in ("inspector", "gateway"):
                process = self._bench.child(name)
                with suppress(OSError, StopIteration, ValueError):
                    folder = Path(f"/proc/{process}")
                    status = (folder / "status").read_text().splitlines()
                    rss, threads = (
                        float(next(line.split()[1] for line in status if line.startswith(key)))
                        for key in ("VmRSS", "Threads")
                    )
                    files = float(len(list((folder / "fd").iterdir())))
                    self.found[name].append((time.time(), rss / 1e3, threads, files))


class Subscriber(threading.Thread):
    """Gets every record from the broker, by a session that survives."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.ids: list[int] = []
        self.ready = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        from paho.mqtt import client as mqtt

        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, "bench", protocol=mqtt.MQTTv311, clean_session=False
        )
        client.on_connect = lambda *_: client.subscribe("#", 1)
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = lambda _client, _data, message: self._take(message.payload)
        client.reconnect_delay_set(0.2, 1.0)
        while not self.over.is_set():
            with suppress(OSError):
                client.connect(HOST, self._port, keepalive=5)
                break
            time.sleep(0.2)
        client.loop_start()
        self.over.wait()
        client.loop_stop()

    def _take(self, payload: bytes) -> None:
        with suppress(ValueError, KeyError, TypeError):
            self.ids.append(int(json.loads(payload)["id"]))


def main() -> None:
    """Run, break, count and print."""
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")))
        bench = Bench(folder, options, stack)
        subscriber = Subscriber(bench.ports["mqtt"])
        if bench.has_broker:
            subscriber.start()
            wait_for(subscriber.ready.is_set, 20)
        bench.start_station()
        wait_for(lambda: (folder / "verdicts.jsonl").exists(), 60)
        samples = Samples(bench)
        samples.start()
        time.sleep(3 * options.every)
        windows = inject(bench, options)
        time.sleep(2 * options.every)  # what waits is delivered
        samples.over.set()
        bench.stop_station()
        time.sleep(2)
        subscriber.over.set()
        report(bench, windows, samples, subscriber, options)


def inject(bench: Bench, options: argparse.Namespace) -> list[tuple[str, float, float]]:
    """Break one thing after the other; return (name, begin, end), also of quiet times."""
    windows = []
    end = time.monotonic() + options.minutes * 60
    faults = bench.faults()
    while time.monotonic() < end:
        for name, (begin, finish) in faults.items():
            started = time.time()
            with suppress(OSError):
                begin()
            time.sleep(options.every / 2)
            with suppress(OSError):
                finish()
            windows.append((name, started, time.time()))
            time.sleep(options.every / 2 - 1)
            windows.append(("quiet", time.time(), time.time() + 1))
            time.sleep(1)
            print(name, file=sys.stderr, flush=True)
    return windows


def report(
    bench: Bench,
    windows: list[tuple[str, float, float]],
    samples: Samples,
    subscriber: Subscriber,
    options: argparse.Namespace,
) -> None:
    """Count what was recorded and delivered, and print it."""
    with JournalReader(bench.folder / "state" / FILE) as reader:
        records = reader.after(0, 10**9)
    codes = Counter(each.code for each in records)
    print(f"{len(records)} records of {len({each.boot for each in records})} starts")
    print("  by code: " + ", ".join(f"{code} {count}" for code, count in sorted(codes.items())))
    missing, double = accounted(records)
    print(f"  frames of software cameras without a record {missing}, with more than one {double}")
    ids = [each.id for each in records]
    lines = (bench.folder / "verdicts.jsonl").read_text().splitlines()
    got = {"jsonl": [json.loads(line)["id"] for line in lines]}
    if bench.has_broker:
        got["mqtt"] = subscriber.ids
    figures = [
        Figure(name="frames without a record", unit="1", p50=missing),
        Figure(name="frames with several records", unit="1", p50=double),
    ]
    for name, found in got.items():
        once = list(dict.fromkeys(found))
        lost, ordered = len(set(ids) - set(once)), once == sorted(once)
        print(f"  {name}: {len(found)} received, lost {lost}, in order {ordered}")
        figures.append(Figure(name=f"{name}, lost", unit="1", n=len(ids), p50=lost))
    times = defaultdict(list)
    for each in records:
        for name, begin, end in windows:
            if each.ms is not None and begin <= each.decided <= end:
                times[name].append(each.ms)
    broken = [ms for name in OUTPUT_FAULTS for ms in times[name]]
    for name, found_ms in [("output broken", broken), *sorted(times.items())]:
        if found_ms:
            figures.append(figure(name, np.array(found_ms), unit="ms"))
            print(f"  {figures[-1].p50:8.2f} ms p50 {figures[-1].p99:8.2f} ms p99  {name}")
    if broken and times["quiet"]:
        ratio = float(np.percentile(broken, 99) / np.percentile(times["quiet"], 99))
        figures.append(Figure(name="p99, output broken / quiet", unit=RATIO, p50=ratio))
        print(f"  {ratio:8.3f} p99 while an output is broken, in that of quiet times")
    for name, rows in samples.found.items():
        early, late = np.array(rows[len(rows) // 10 : len(rows) // 5]), np.array(rows[-20:])
        for place, what in enumerate(("MB", "threads", "files"), 1):
            before, after = np.median(early[:, place]), np.median(late[:, place])
            print(f"  {name}: {before:.0f} -> {after:.0f} {what}")
            figures.append(Figure(name=f"{name}, late", unit=what, p50=float(after)))
    emit("station", figures, minutes=options.minutes, faults=len(windows) // 2)


def accounted(records: list[Inspection]) -> tuple[int, int]:
    """Return how many frames of the software cameras have no record, and how many have several.

    What was in flight when the inspector was killed is not counted: numbers begin again then.
    """
    missing = double = 0
    frames: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in records:
        if each.frame is not None:
            frames[each.boot, each.camera].append(each.frame)
    for numbers in frames.values():
        missing += max(numbers) + 1 - len(set(numbers))
        double += len(numbers) - len(set(numbers))
    return missing, double


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition; RuntimeError if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("the station did not begin")
        time.sleep(0.1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120, help="of faults")
    parser.add_argument("--every", type=float, default=10, help="seconds from fault to fault")
    parser.add_argument("--fps", type=int, default=30, help="frames per second of each camera")
    parser.add_argument("--side", type=int, default=64, help="of the network, px")
    return parser.parse_args()


if __name__ == "__main__":
    main()
