"""Appends to the journal of a station, alone: nothing is judged, nobody reads.

    python benchmarks/bench_journal.py [--count 5000] [--threads 4] [--folder DIR]

The station writes records of good parts with `synchronous` NORMAL and all others with FULL, which
waits for the disk; OFF shows what the rest costs. Each append waits until its record is written, as
inference does. `at once`: so many threads append, and their records share transactions. The disk is
that of `--folder` [default: the folder for temporary files].

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from documents import Figure, emit, figure
from edgeseg.station.inspection import Inspection
from edgeseg.station.journal import Journal
from edgeseg.text import table

WARM_UP = 200  # appends
RECORD = Inspection(
    device="bench",
    boot="6b08e24ebd3c",
    sequence=1,
    camera="top",
    recipe="bottle",
    model="0" * 64,
    captured=1_795_744_425.1,
    arrived=1_795_744_425.2,
    decided=1_795_744_425.3,
    frame=1,
    verdict="anomalous",
    code=1,
    score=1.234567,
    threshold=1.0,
    regions=({"top": 1, "left": 2, "height": 30, "width": 40, "area": 900, "peak": 2.5},),
    region_count=1,
    ms=4.2,
    evidence="evidence/2026-11-27/top-6b08e24ebd3c-00000001-anomalous",
)


class Synchronous(Journal):
    """A journal that always writes in one way."""

    mode = "full"

    def _synchronous(self, batch: Sequence[Inspection]) -> str:
        return self.mode


def main() -> None:
    """Append, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5_000, help="appends of each kind")
    parser.add_argument("--threads", type=int, default=4, help="that append at once")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    options = parser.parse_args()
    figures: list[Figure] = []
    rows = [["synchronous", "threads", "appends/s", "p50 ms", "p99 ms"]]
    for mode in ("off", "normal", "full"):
        for threads in (1, options.threads):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                seconds, times = appended(Path(folder), mode, threads, options.count)
            name = f"{mode}, {threads} at once"
            found = figure(name, times, unit="ms")
            rate = len(times) / seconds
            figures += [found, Figure(name=name, unit="1/s", better="higher", p50=rate)]
            row = [mode, str(threads), f"{rate:.0f}", f"{found.p50:.3f}", f"{found.p99:.3f}"]
            rows.append(row)
    print("\n".join(table(rows, "<>>>>")))
    emit("journal", figures, count=options.count)


def appended(folder: Path, mode: str, threads: int, count: int) -> tuple[float, list[float]]:
    """Return the seconds of all appends, and the milliseconds of each."""
    times: list[float] = []
    with Synchronous(folder / "journal.sqlite3") as journal:
        journal.mode = mode

        def work(number: int) -> None:
            for _ in range(number):
                began = time.perf_counter()
                journal.append(RECORD)
                times.append(1e3 * (time.perf_counter() - began))

        work(WARM_UP)
        times.clear()
        began = time.perf_counter()
        workers = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        return time.perf_counter() - began, times


if __name__ == "__main__":
    main()
