"""A station under fault injection: four cameras, and every few seconds something breaks.

    python benchmarks/bench_station.py [--minutes 120] [--every 10] [--fps 30] [--out FILE]

Three software cameras and an MJPEG server, a network of `--side` pixels with random weights,
outputs to a file, to MQTT (where mosquitto is installed), Prometheus and the page. In turn, each
for half of `--every` seconds and then nothing for the other half:

    broker frozen (SIGSTOP)    gateway killed (-9)     camera killed    clock one hour ahead
    broker killed (-9)         inspector killed (-9)   half frames      clock one hour back
    network cut                page hammered           disk full        busy neighbors

In the second half of the time the two processes are not killed, so that a leak would show. The
network is a namespace with the broker in it, whose cable is pulled (root, iproute2); the clock is
that of the station's processes alone (a C compiler). The state of the station, journal and evidence
is on a small file system of its own in memory, which a big file fills (root). What is not possible
here is left out, with the reason. The programs that hammer take what is left of both cores, which
the station shares with them; busy neighbors take as much and ask for nothing. Broker, camera and
this program have a nice value 5 above the station's, which has that of this command: they stand for
other machines.

accounted    frames of the software cameras, by their number, with exactly one record
delivered    records of the journal that each output got, at least once and in order
p99          of the records in quiet times, and in the time of each fault
flat         memory, threads and files, of the longest life of each process, early and late

Ctrl-C or SIGTERM ends it early, with its table. After each round `--out` has what is known by then.
The last line of standard output is one JSON document.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from documents import RATIO, Figure, emit, figure
from edgeseg.files import write_atomic
from edgeseg.interrupt import Stop, stop_requests
from edgeseg.station.inspection import Code
from edgeseg.station.journal import FILE
from station_counts import Latencies, Lines, Records, Samples, Window, delivered, note
from station_faults import HAMMERED, KILLS, NEIGHBORS, OUTPUTS, Bench
from station_peers import Subscriber

QUIET = "quiet"
CATCH_UP = 300.0  # seconds at the end for what waits
CALM = 1.5  # seconds before each fault that count as quiet


class Proof:
    """A run: what is broken, and what is counted."""

    def __init__(self, bench: Bench, options: argparse.Namespace, stop: Stop) -> None:
        self.bench, self.options, self._stop = bench, options, stop
        self.windows: list[Window] = []
        self.began = time.time()
        self.samples = Samples(bench)
        self.records = Records(bench.folder / "state" / FILE)
        self.lines = Lines(bench.folder / "verdicts.jsonl")
        self.subscriber = Subscriber(bench.network.host, bench.ports["mqtt"])

    def begin(self) -> None:
        """Start the station, and count."""
        bench = self.bench
        bench.start_station()  # by the thread whose nice value was not changed
        if bench.has_broker:
            self.subscriber.start()
            wait_for(self.subscriber.ready.is_set, 20)
        wait_for((bench.folder / "verdicts.jsonl").exists, 60)
        for thread in (self.samples, self.records, self.lines):
            thread.start()
        self.pause(3 * self.options.every)

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is to end."""
        end = time.monotonic() + seconds
        while not self._stop.requested and time.monotonic() < end:
            time.sleep(max(min(0.2, end - time.monotonic()), 0))

    def inject(self) -> None:
        """Break one thing after the other, until it is time to end."""
        half, begun = self.options.every / 2, time.monotonic()
        faults, left = self.bench.faults()
        for name, why in left.items():
            note(f"left out: {name} ({why})")
        length = self.options.minutes * 60
        while not self._stop.requested and time.monotonic() < begun + length:
            alive = time.monotonic() > begun + length / 2
            for name, (begin, finish) in faults.items():
                if self._stop.requested or (alive and name in KILLS):
                    continue
                started = time.time()
                self._try(name, begin)
                self.pause(half - (time.time() - started))
                self.windows.append((name, started, time.time()))
                self._try(f"end of {name}", finish)
                self.pause(half - CALM)
                started = time.time()
                self.pause(CALM)
                self.windows.append((QUIET, started, time.time()))
                self.bench.tend()
                load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
                note(f"{len(self.records.ids)} records after: {name} (load {load})")
            self.tell()

    def _try(self, name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # a process may be gone: the run goes on
            note(f"{name}: {error!r}")

    def end(self) -> None:
        """Let what waits be delivered, and end everything."""
        self.samples.over.set()
        time.sleep(self.options.every)
        wait_for(self._caught_up, CATCH_UP, "not everything was delivered")
        self.bench.stop_station()
        time.sleep(2)
        for each in (self.records, self.lines):
            each.over.set()
            each.join()
            each.read()
        self.subscriber.over.set()

    def _caught_up(self) -> bool:
        """Whether the outputs have what was in the journal two seconds ago."""
        newest = self.records.ids[-1]
        got = [self.lines.ids] + [self.subscriber.ids] * self.bench.has_broker
        return all(len(ids) and ids[-1] > newest - 4 * 2 * self.options.fps for ids in got)

    def tell(self) -> None:
        """Print and store what is known by now."""
        try:
            text, figures = self.report()
        except Exception as error:  # of a count, in the middle of a run
            note(f"no report: {error!r}")
            return
        print(text, file=sys.stderr, flush=True)
        if self.options.out:
            found = {"minutes": (time.time() - self.began) / 60, "text": text.splitlines()}
            found["figures"] = [vars(each) for each in figures]
            write_atomic(self.options.out, json.dumps(found, indent=1).encode())

    def report(self) -> tuple[str, list[Figure]]:
        """Return a table for people, and the figures."""
        records, lines, figures = self.records, [], []

        def add(name: str, unit: str, value: float, n: int = 1) -> None:
            figures.append(Figure(name=name, unit=unit, p50=value, n=n))

        minutes, count = (time.time() - self.began) / 60, len(records.ids)
        faults = Counter(name for name, _, _ in self.windows if name != QUIET)
        lines.append(
            f"{minutes:.1f} minutes, {faults.total()} faults, {count} records of "
            f"{len(records.boots)} starts of the inspector, {self.bench.starts} of the station"
        )
        codes = [f"{Code(code).name} {n}" for code, n in sorted(records.codes.items())]
        lines.append("  " + ", ".join(codes))
        missing, double = records.accounted()
        lines.append(f"  frames without a record {missing}, with several {double}")
        add("frames without a record", "1", missing)
        add("frames with several records", "1", double)
        got = {"jsonl": self.lines.ids}
        if self.bench.has_broker:
            got["mqtt"] = self.subscriber.ids
        for name, ids in got.items():
            found = delivered(records.ids[:count], ids[:])
            lost = found.pop("lost_ids")
            lines.append(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in found.items()))
            if lost:
                lines.append(f"    lost: {lost}, {self._when(lost)}")
            add(f"{name}, lost", "1", found["lost"], n=count)
            add(f"{name}, out of order", "1", not found["in_order"], n=count)
        lines += self._latencies(figures)
        for name, sizes in self.samples.flat().items():
            lived = f"  {name}, {sizes.pop('minutes')[1]:.0f} minutes:"
            for what, (early, late) in sizes.items():
                lived += f"  {early:.1f} -> {late:.1f} {what}"
                add(f"{name}, early", what, early)
                add(f"{name}, late", what, late)
            lines.append(lived)
        if records.problem:
            lines.append(f"  the journal could not be read once: {records.problem}")
        return "\n".join(lines), figures

    def _latencies(self, figures: list[Figure]) -> list[str]:
        found = Latencies(self.records, self.windows)
        lines = [f"  {'':22} {'n':>8} {'p50 ms':>8} {'p99 ms':>8} {'dropped':>8}"]
        for name, names in [(each, (each,)) for each in sorted(found.ms)] + [
            ("outputs broken", OUTPUTS)
        ]:
            ms = found.of(*names)
            if not len(ms):
                continue
            figures.append(figure(name, ms, unit="ms"))
            dropped = sum(found.dropped[each] for each in names)
            p50, p99 = np.percentile(ms, (50, 99))
            lines.append(f"  {name:22} {len(ms):8} {p50:8.2f} {p99:8.2f} {dropped:8}")
        pairs: list[tuple[str, tuple[str, ...], str]]
        pairs = [(name, (name,), QUIET) for name in OUTPUTS]
        pairs += [("outputs broken", OUTPUTS, QUIET), (HAMMERED, (HAMMERED,), NEIGHBORS)]
        for name, broken, of in pairs:
            ratio, low, high = found.ratio(broken, of)
            if np.isfinite(ratio):
                lines.append(f"  p99, {name} / {of}: {ratio:.3f} ({low:.3f} to {high:.3f})")
                figures.append(
                    Figure(name=f"p99, {name}", unit=RATIO, p50=ratio, p5=low, p95=high, of=of)
                )
        return lines

    def _when(self, lost: list[int]) -> dict[str, int]:
        """Return after the begin of which fault these records were decided."""
        begins = [(begin, name) for name, begin, _ in self.windows if name != QUIET]
        found: Counter[str] = Counter()
        for each in lost:
            decided = self.records.times[self.records.ids.index(each)]
            found[next((name for begin, name in reversed(begins) if begin <= decided), "none")] += 1
        return dict(found)


def main() -> None:
    """Run, break, count and print."""
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-")))
        stop = stack.enter_context(stop_requests())
        proof = Proof(Bench(folder, options, stack), options, stop)
        proof.begin()
        proof.inject()
        proof.end()
        proof.tell()
        text, figures = proof.report()
        print(text)
        faults = len(proof.windows) // 2
        emit("station", figures, minutes=(time.time() - proof.began) / 60, faults=faults)


def wait_for(
    condition: Callable[[], bool], seconds: float, problem: str = "the station did not begin"
) -> None:
    """Wait for a condition, and say so if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return note(problem)
        time.sleep(0.1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120, help="of faults")
    parser.add_argument("--every", type=float, default=10, help="seconds from fault to fault")
    parser.add_argument("--fps", type=int, default=30, help="frames per second of each camera")
    parser.add_argument("--side", type=int, default=64, help="of the network, px")
    parser.add_argument("--out", type=Path, help="file for what is known after each round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
