"""What a station's proof counts while it runs: records, frames, deliveries, latencies, memory.

All grow by some ten bytes a record, so that hours of 120 records/s fit in memory.
"""

import os
import re
import sqlite3
import sys
import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.station.inspection import Code, Inspection
from edgeseg.station.journal import JournalReader
from station_faults import Bench
from station_peers import BEHIND, without_steps

EVERY = 1.0  # seconds between two looks
BATCH = 2_000
FAR = 100  # numbers of frames back, from where on a camera has begun again
RESAMPLES = 300
_ID = re.compile(rb'"id":(\d+)')
Window = tuple[str, float, float]
"""Name, begin, end."""


class Records(threading.Thread):
    """Reads the journal as it grows: old records are deleted from it."""

    def __init__(self, journal: Path) -> None:
        super().__init__(daemon=True)
        self._journal = journal
        self.ids, self.times, self.ms = array("q"), array("d"), array("f")
        """Times by the machine's clock; ms is NaN for a record without a judged frame."""
        self.dropped = array("b")
        self.codes: Counter[int] = Counter()
        self.boots: set[str] = set()
        self.frames: dict[tuple[str, str], list[array[int]]] = defaultdict(lambda: [array("q")])
        """Numbers of a camera, which begin again when it does: after a kill, or a new file."""
        self.problem = ""
        self.over = threading.Event()
        self._last = 0

    def run(self) -> None:
        os.nice(BEHIND)
        while not self.over.wait(EVERY):
            self.read()

    def read(self) -> None:
        """Take the records that are new."""
        try:
            with JournalReader(self._journal) as reader:
                while found := reader.after(self._last, BATCH):
                    now = time.time()
                    for each in found:
                        self._take(each, now)
                    self._last = found[-1].id
        except (EdgesegError, OSError, ValueError, sqlite3.Error) as error:
            self.problem = str(error)

    def _take(self, each: Inspection, now: float) -> None:
        self.ids.append(each.id)
        self.times.append(without_steps(each.decided, now))
        self.ms.append(float("nan") if each.ms is None else each.ms)
        self.dropped.append(each.code == Code.DROPPED)
        self.codes[each.code] += 1
        self.boots.add(each.boot)
        if each.frame is not None:
            numbers = self.frames[each.boot, each.camera]
            if numbers[-1] and each.frame < numbers[-1][-1] - FAR:
                numbers.append(array("q"))
            numbers[-1].append(each.frame)

    def accounted(self) -> tuple[int, int]:
        """Return how many frames of the software cameras have no record, and how many several.

        What was in flight when the inspector was killed is not counted: numbers begin again then.
        """
        missing = double = 0
        for numbers in (np.array(each) for found in list(self.frames.values()) for each in found):
            distinct = len(np.unique(numbers))
            missing += int(numbers.max()) + 1 - distinct
            double += len(numbers) - distinct
        return missing, double


class Lines(threading.Thread):
    """Reads the ids of a JSON Lines file as it grows."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._place = path, 0
        self.ids = array("q")
        self.over = threading.Event()

    def run(self) -> None:
        os.nice(BEHIND)
        while not self.over.wait(EVERY):
            self.read()

    def read(self) -> None:
        """Take the lines that are new and whole."""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._place += len(line)
                found = _ID.search(line)
                self.ids.append(int(found[1]) if found else -1)


def delivered(records: Sequence[int], got: Sequence[int]) -> dict[str, Any]:
    """Return what an output received of these records; `lost` are those that later ones passed."""
    wanted, found = np.array(records, np.int64), np.array(got, np.int64)
    distinct, first = np.unique(found, return_index=True)
    lost = np.setdiff1d(wanted[wanted <= found.max(initial=0)], distinct)
    return {
        "received": len(found),
        "again": len(found) - len(distinct),
        "lost": len(lost),
        "lost_ids": lost[:20].tolist(),
        "behind": int(np.sum(wanted > found.max(initial=0))),
        "unknown": len(np.setdiff1d(distinct, wanted)),
        "in_order": bool(np.all(np.diff(first) > 0)),
    }


class Latencies:
    """The records of each window."""

    def __init__(self, records: Records, windows: Sequence[Window]) -> None:
        count = len(records.dropped)
        times = np.array(records.times[:count])
        order = np.argsort(times, kind="stable")
        times, ms = times[order], np.array(records.ms[:count])[order]
        dropped = np.array(records.dropped[:count])[order]
        self.ms: dict[str, list[NDArray[Any]]] = defaultdict(list)
        """By name, of each window."""
        self.dropped: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()
        for name, begin, end in list(windows):
            part = slice(*np.searchsorted(times, (begin, end)))
            judged = ms[part]
            self.ms[name].append(judged[np.isfinite(judged)])
            self.dropped[name] += int(dropped[part].sum())
            self.frames[name] += len(judged)

    def of(self, *names: str) -> NDArray[Any]:
        """Return the latencies in windows of these names."""
        return np.concatenate([np.empty(0), *(each for name in names for each in self.ms[name])])

    def ratio(self, names: Sequence[str], base: str) -> tuple[float, float, float]:
        """Return p99 in that of `base`, and the 95 % interval over windows drawn again."""
        one = [each for name in names for each in self.ms[name] if len(each)]
        other = [each for each in self.ms[base] if len(each)]
        if not one or not other:
            return (float("nan"),) * 3
        rng = np.random.default_rng(0)

        def p99(windows: list[NDArray[Any]], again: bool) -> float:
            places = rng.integers(len(windows), size=len(windows)) if again else range(len(windows))
            return float(np.percentile(np.concatenate([windows[place] for place in places]), 99))

        drawn = [p99(one, True) / p99(other, True) for _ in range(RESAMPLES)]
        low, high = np.percentile(drawn, (2.5, 97.5))
        return p99(one, False) / p99(other, False), float(low), float(high)


class Samples(threading.Thread):
    """Memory, threads and files of the processes of a station, every five seconds."""

    EVERY = 5.0

    def __init__(self, bench: Bench) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self.rows: dict[tuple[str, int], list[tuple[float, float, float, float]]] = defaultdict(
            list
        )
        """By name and process: time, MB, threads, files."""
        self.over = threading.Event()

    def run(self) -> None:
        os.nice(BEHIND)
        while not self.over.wait(self.EVERY):
            station = self._bench.station
            processes = {name: self._bench.child(name) for name in ("inspector", "gateway")}
            processes["supervisor"] = station.pid if station else None
            for name, process in processes.items():
                with suppress(OSError, StopIteration, ValueError):
                    self.rows[name, process or 0].append((time.time(), *_sizes(process or 0)))

    def flat(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Return for each process, of its longest life, early and late MB, threads and files.

        Early: a tenth after the begin, where caches are filled; late: the last tenth.
        """
        found: dict[str, dict[str, tuple[float, float]]] = {}
        for name in ("supervisor", "inspector", "gateway"):
            lives = [list(rows) for (of, _), rows in list(self.rows.items()) if of == name]
            if not lives:
                continue
            rows = np.array(max(lives, key=len))
            tenth = max(len(rows) // 10, 1)
            early, late = (
                np.median(part, 0) for part in (rows[tenth : 2 * tenth + 1], rows[-tenth:])
            )
            found[name] = {"minutes": (0.0, float(rows[-1, 0] - rows[0, 0]) / 60)}
            for place, what in enumerate(("MB", "threads", "files"), 1):
                found[name][what] = float(early[place]), float(late[place])
        return found


def _sizes(process: int) -> tuple[float, float, float]:
    folder = Path(f"/proc/{process}")
    status = (folder / "status").read_text().splitlines()
    rss, threads = (
        float(next(line.split()[1] for line in status if line.startswith(key)))
        for key in ("VmRSS", "Threads")
    )
    return rss / 1e3, threads, float(len(list((folder / "fd").iterdir())))


def note(text: str) -> None:
    """Print a line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
