"""What the streaming loop costs beside the bare backend, on the same frames, in the same run.

    python benchmarks/bench_stream.py MODEL [--runtime openvino] [--threads 1] [--soak 30]
    python benchmarks/bench_stream.py --fixed-ms 10

--fixed-ms stands in for a device beside the processor: each 640x480 frame takes it so long, asleep.
It shows the loop's own cost where model and loop do not share the cores; it is no device's figure.
With two in flight a bare run's time has the wait for the other frame in it, and a live one's not.

throughput   rounds of bare runs and rounds of the loop in turn; the share is the median of the
             rounds' ratios, so that a machine that slows down in between cancels out. The bare
             backend runs on one frame that lies in its slot; the loop reads each frame from memory
             into a slot in its capture thread. With two in flight both sides have two.
latency      arrival to mask in the loop less one bare run, both as medians: saturated, and live at
             half the frames a second that the backend can do
allocations  the highest traced memory (tracemalloc: Python's and NumPy's) above the level between
             two frames, in bytes; what the runtime allocates in its own library is not seen
soak         resident memory each second while a live source is streamed into a .jsonl file, at 80 %
             of what the backend can do, 200 frames/s at most

From the start of the process to the first mask: bench_startup.py.
The last line of standard output is one JSON document.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from edgeseg.stream.pipeline.ring import Frame, Source
from edgeseg.stream.sink.sinks import AnySink, JsonlSink

from documents import RATIO, Figure, emit, figure
from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.data.frames import load_frames
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Backend, Pipelined
from edgeseg.runtime.fake import FakeBackend
from edgeseg.stream.pipeline.latency import summarize
from edgeseg.stream.report import StreamReport
from edgeseg.stream.stream import stream

ROUNDS = 20
MIB = 1 << 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measures edgeseg's streaming loop.")
    parser.add_argument("model", type=Path, nargs="?", help="an ONNX file, an engine or a run")
    parser.add_argument("--fixed-ms", type=float, help="instead of a model: a frame takes so long")
    parser.add_argument("--runtime", help="onnxruntime or openvino, for an ONNX file")
    parser.add_argument("--threads", type=int, help="of a CPU runtime")
    parser.add_argument("--frames", type=int, default=25, help="frames in each of 20 rounds")
    parser.add_argument("--in-flight", type=int, default=1, help="1 or 2")
    parser.add_argument("--data", type=Path, help="folder of images; default: synthetic ones")
    parser.add_argument("--soak", type=float, help="minutes; only this is measured then")
    options = parser.parse_args()
    if (options.model is None) == (options.fixed_ms is None):
        parser.error("a model or --fixed-ms is needed")
    with open_backend(options) as backend:
        bench = Bench(backend, options)
        figures, facts = bench.soak(options.soak) if options.soak else bench.measure()
        facts |= {"engine": backend.name, "frame": backend.card.frame_shape}
    print(this_machine().line())
    for name, value in facts.items():
        print(f"{name:<34} {value}")
    for found in figures:
        spread = "" if found.p5 is None else f"  p5 {found.p5:.4g}, p95 {found.p95:.4g}"
        print(f"{found.name:<34} {found.p50:.4g} {found.unit}{spread}, n {found.n}")
    model = options.model.name if options.model else backend.name
    emit(f"{'soak' if options.soak else 'stream'} of {model}", figures, **facts)


def open_backend(options: argparse.Namespace) -> Backend:
    """Open the model, or what stands in for one."""
    if options.model is None:
        return Fixed(options.fixed_ms / 1e3)
    runtime, threads = options.runtime, options.threads
    return open_model(options.model, runtime=runtime, threads=threads)


class Fixed(FakeBackend):
    """A device that computes one frame after the other, each in the same time."""

    def __init__(self, seconds: float) -> None:
        card = GraphCard(
            name="fixed",
            model="destseg",
            frame_format="bgr",
            frame_shape=(1, 480, 640, 3),
            image_size=64,
            threshold=0.5,
            image_threshold=0.5,
            weights_sha256="0" * 64,
            training={},
            versions={},
        )
        super().__init__(card)
        self.name = f"a stand-in of {seconds * 1e3:g} ms a frame, asleep"
        self._seconds, self._until = seconds, 0.0
        self._device = [0.0]  # when it is free, for all twins

    def start(self) -> None:
        """Queue a frame."""
        self._until = max(time.perf_counter(), self._device[0]) + self._seconds
        self._device[0] = self._until

    def finish(self) -> None:
        """Sleep until it is done."""
        time.sleep(max(self._until - time.perf_counter(), 0.0))

    def run(self) -> None:
        """Queue a frame and wait for it."""
        self.start()
        self.finish()


class Memory(Source):
    """Copies prepared BGR frames into the buffers that it is given; live ones at a fixed rate."""

    def __init__(self, pixels: Any, count: int | None, *, fps: float | None = None) -> None:
        super().__init__("memory", fps or 30.0)
        self.live = fps is not None
        self._pixels, self._count, self._given = pixels, count, 0
        self._start = 0.0

    def read_into(self, frame: Frame) -> bool:
        """Copy the next frame, at its time."""
        if self._given == self._count or (self.live and not self._wait()):
            return False
        image = self._pixels[self._given % len(self._pixels)]
        if frame.image.shape != image.shape:
            frame.image = np.empty_like(image)
        np.copyto(frame.image, image)
        frame.stamp()
        self._given += 1
        return True

    def _wait(self) -> bool:
        self._start = self._start or time.perf_counter()
        left = self._start + self._given / self.fps - time.perf_counter()
        return not self.stopping.wait(max(left, 0.0))


class Bench:
    """One backend, and its frames."""

    def __init__(self, backend: Backend, options: argparse.Namespace) -> None:
        self._backend, self._count = backend, options.frames
        self._in_flight = options.in_flight
        self._pixels = load_frames(backend.card, options.data, note).pixels
        self._lanes = [backend]
        if isinstance(backend, Pipelined):
            self._lanes += [backend.second() for _ in range(options.in_flight - 1)]

    def measure(self) -> tuple[list[Figure], dict[str, Any]]:
        """Return the figures, and under which conditions they hold."""
        self._stream(Memory(self._pixels, 20))
        self._bare(20)
        shares, bare, looped = [], [], []
        for _ in range(ROUNDS):
            rate, seconds = self._bare(self._count)
            report = self._stream(Memory(self._pixels, self._count))
            assert report.latency is not None
            shares.append(report.fps / rate)
            bare += seconds
            looped.append(report.latency.p50_ms)
        alone = figure("one bare run", np.array(bare) * 1e3, unit="ms")
        fps = 500.0 / alone.p50
        live = self._stream(Memory(self._pixels, self._count, fps=fps))
        assert live.latency is not None
        added = "added by the loop to the median"
        figures = [
            figure("throughput, share of the bare", shares, unit=RATIO, better="higher"),
            alone,
            figure(added, np.array(looped) - alone.p50, unit="ms"),
            Figure(name=f"{added}, live", unit="ms", p50=live.latency.p50_ms - alone.p50),
            Figure(name="live, p99", unit="ms", p50=live.latency.p99_ms),
            Figure(name="live, wait", unit="ms", p50=live.stages["wait"].p50_ms),
            Figure(name="allocated within a frame", unit="bytes", p50=self._allocations()),
        ]
        return figures, {
            "in_flight": self._in_flight,
            "rounds": f"{ROUNDS} of {self._count} frames",
            "live_fps": round(fps, 1),
            "live_drops": live.drops,
            "frame_bytes": int(self._pixels[0].nbytes),
        }

    def soak(self, minutes: float) -> tuple[list[Figure], dict[str, Any]]:
        """Stream for some minutes and watch the memory."""
        self._bare(20)
        _, seconds = self._bare(50)
        fps = min(800.0 / summarize(seconds).p50_ms, 200.0)
        with tempfile.TemporaryDirectory() as folder, Rss() as rss:
            path = Path(folder) / "soak.jsonl"
            with JsonlSink(path) as lines:
                config = self._config(seconds=minutes * 60)
                source = Memory(self._pixels, None, fps=fps)
                report = stream(self._backend, source, [lines], config, note)
            written = sum(1 for _ in path.open())
        assert report.latency is not None
        found = report.latency
        figures = [
            Figure(name="arrival to mask, p50", unit="ms", p50=found.p50_ms),
            Figure(name="arrival to mask, p99", unit="ms", p50=found.p99_ms),
            Figure(name="arrival to mask, p99.9", unit="ms", p50=found.p999_ms),
            Figure(name="memory at the end", unit="MiB", p50=rss.settled()[-1]),
            Figure(name="memory gained", unit="MiB/h", p50=rss.hourly()),
        ]
        return figures, {
            "soak_minutes": minutes,
            "frames": report.frames,
            "lines": written,
            "drops": report.drops,
            "fps": round(report.fps, 1),
            "max_ms": round(found.max_ms, 3),
        }

    def _bare(self, count: int) -> tuple[float, list[float]]:
        """Return runs a second, and the seconds of each: begun, and waited for."""
        lanes: list[Any] = self._lanes
        for lane in lanes:
            slot = lane.new_slot()
            np.copyto(slot.frame[0], self._pixels[0])
            lane.bind(slot)
            lane.run()
        flying: deque[tuple[Any, float]] = deque()
        seconds: list[float] = []
        began = time.perf_counter()
        for i in range(count):
            lane = lanes[i % len(lanes)]
            begin = time.perf_counter()
            if len(lanes) == 1:
                lane.run()
                seconds.append(time.perf_counter() - begin)
                continue
            lane.start()
            flying.append((lane, begin))
            if len(flying) == len(lanes):
                self._land(flying, seconds)
        while flying:
            self._land(flying, seconds)
        return count / (time.perf_counter() - began), seconds

    @staticmethod
    def _land(flying: "deque[tuple[Any, float]]", seconds: list[float]) -> None:
        lane, begin = flying.popleft()
        lane.finish()
        seconds.append(time.perf_counter() - begin)

    def _stream(self, source: Source, sinks: tuple[AnySink, ...] = ()) -> StreamReport:
        return stream(self._backend, source, sinks, self._config(), note)

    def _config(self, **changes: Any) -> StreamConfig:
        return StreamConfig(window=False, in_flight=self._in_flight, **changes)

    def _allocations(self) -> int:
        """Return the largest peak between two frames, after the first twenty."""
        peaks: list[int] = []

        class Gauging(Memory):
            def read_into(self, frame: Frame) -> bool:
                now, peak = tracemalloc.get_traced_memory()
                peaks.append(peak - now)
                tracemalloc.reset_peak()
                return super().read_into(frame)

        tracemalloc.start()
        try:
            self._stream(Gauging(self._pixels, 60))
        finally:
            tracemalloc.stop()
        return max(peaks[20:-5])


class Rss:
    """Reads this process's resident memory each second, in bytes."""

    def __enter__(self) -> "Rss":
        self.samples: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(1.0):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(pages * os.sysconf("SC_PAGE_SIZE"))

    def settled(self) -> list[float]:
        """Return the samples after a tenth of the time, MiB."""
        return [sample / MIB for sample in self.samples[len(self.samples) // 10 :]]

    def hourly(self) -> float:
        """Return the slope of those, MiB an hour."""
        settled = self.settled()
        return float(np.polyfit(np.arange(len(settled)), settled, 1)[0] * 3600)


def note(line: str) -> None:
    """Tell on standard error: standard output belongs to the figures."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
