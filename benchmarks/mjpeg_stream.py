"""Stream from a real MJPEG server on this machine, and time frames from their sending to the mask.

The server notes when it begins to send each picture, on the same clock; the backend is watched, and
the number in the picture tells which one a mask belongs to. So a frame that waits in a buffer of
the network, where the program cannot see it, is counted with its whole age.
"""

import bisect
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from documents import Figure, figure
from edgeseg.config import StreamConfig
from edgeseg.runtime.base import Backend, Pipelined
from edgeseg.stream.source.synthetic import read_stamp
from edgeseg.stream.stream import stream_from

WARM = 30  # frames that are not counted


class Server:
    """The server's process, and what it has sent."""

    def __init__(self, what: str) -> None:
        script = Path(__file__).with_name("mjpeg_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), what], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/video"
        self._sent: dict[int, list[int]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, moment = map(int, line.split())
            self._sent.setdefault(number, []).append(moment)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def age(self, number: int, done: int) -> float | None:
        """Return the milliseconds from the last sending of a picture until `done`."""
        moments = self._sent.get(number, [])
        place = bisect.bisect_left(moments, done)
        return (done - moments[place - 1]) / 1e6 if place else None


def watch(backend: Any, masks: list[tuple[int, int]]) -> None:
    """Note the picture's number and the time of each mask of a backend and its other requests."""
    name = "finish" if isinstance(backend, Pipelined) else "run"
    kind: Any = type(backend)
    held: list[Any] = []
    done = getattr(kind, name).__get__(backend)

    def bind(slot: Any) -> None:
        held[:] = [slot]
        kind.bind(backend, slot)

    def finish() -> None:
        done()
        moment = time.perf_counter_ns()
        if held and (stamp := read_stamp(held[0].frame[0])):
            masks.append((stamp.count, moment))

    def second() -> Any:
        other = kind.second(backend)
        watch(other, masks)
        return other

    backend.bind, backend.second = bind, second
    setattr(backend, name, finish)


def measure(backend: Backend, what: str, seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Stream `WIDTHxHEIGHT@FPS` for some seconds; return ages, latencies and counts."""
    masks: list[tuple[int, int]] = []
    watch(backend, masks)
    server = Server(what)
    try:
        cpu = time.process_time()
        config = StreamConfig(source=server.url, seconds=seconds, window=False)
        report = stream_from(backend, config)
        cpu = time.process_time() - cpu
    finally:
        server.close()
    ages = [age for each in masks[WARM:] if (age := server.age(*each)) is not None]
    assert report.latency is not None and ages
    figures = [
        figure("sent to mask", ages, unit="ms"),
        Figure(name="arrival to mask, p50", unit="ms", p50=report.latency.p50_ms),
        Figure(name="arrival to mask, p99", unit="ms", p50=report.latency.p99_ms),
        Figure(name="wait, p50", unit="ms", p50=report.stages["wait"].p50_ms),
        Figure(name="run, p50", unit="ms", p50=report.stages["run"].p50_ms),
        Figure(name="masks", unit="1/s", better="higher", p50=report.fps),
        Figure(name="processor time of a mask", unit="ms", p50=cpu * 1e3 / report.frames),
    ]
    return figures, {
        "mjpeg": what,
        "frames": report.frames,
        "drops": report.drops,
        "broken": report.broken,
        "sent_to_mask_max_ms": round(max(ages), 1),
    }
