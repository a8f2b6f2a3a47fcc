"""Overhead of the streaming loop over the bare backend, on the same frames in the same run.

    python benchmarks/bench_stream.py MODEL [--runtime openvino] [--threads 1] [--soak 30]
    python benchmarks/bench_stream.py MODEL --mjpeg 1920x1080@30 [--seconds 30]
    python benchmarks/bench_stream.py --fixed-ms 10

--fixed-ms replaces the model by a simulated device that takes so long for each frame of 640x480, or
of --mjpeg, without using the processor. It shows the overhead of the loop where model and loop do
not share the cores; its times are those of no real device. With two in flight, the time of a bare
run includes the wait for the other frame, and that of a live one does not.

throughput   rounds of bare runs and rounds of the loop in turn; the median of the rounds' ratios.
             The bare backend runs on one frame in its slot; the loop copies each frame from memory
             into a slot in its capture thread. With two in flight, both sides have two.
latency      arrival to mask in the loop minus one bare run, as medians: saturated, and live at half
             the frame rate of the backend
allocations  peak of the traced memory (tracemalloc: Python's and NumPy's) between two frames, in
             bytes; allocations inside the runtime's library are not traced
mjpeg        a server in a process of its own sends JPEGs over HTTP; time from the sending of a
             frame to its mask, with its wait where the program cannot see it (mjpeg_stream.py)
soak         resident memory every second while a live source is streamed into a .jsonl file, at
             80 % of the frame rate of the backend, 200 frames/s at most

The last line of standard output is one JSON document.
"""

import argparse
import os
import tempfile
import threading
import time
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from documents import RATIO, Figure, emit, figure
from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.data.frames import load_frames
from edgeseg.loading import open_model
from edgeseg.runtime.base import Backend, Pipelined
from edgeseg.runtime.fake import FakeBackend
from edgeseg.settings import parse_size
from edgeseg.stream.pipeline.latency import summarize
from edgeseg.stream.report import StreamReport
from edgeseg.stream.sink.base import AnySink
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.stream import stream
from mjpeg_stream import measure

MIB = 1 << 20
SIZE = (480, 640)  # of the simulated device's frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="an ONNX file, an engine or a run")
    parser.add_argument("--fixed-ms", type=float, help="simulate a device with this latency")
    parser.add_argument("--runtime", help="onnxruntime or openvino, for an ONNX file")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds")
    parser.add_argument("--frames", type=int, default=25, help="frames in each round")
    parser.add_argument("--in-flight", type=int, default=1, help="1 or 2")
    parser.add_argument("--data", type=Path, help="folder of images (default: synthetic frames)")
    parser.add_argument("--soak", type=float, help="minutes; nothing else is measured then")
    parser.add_argument("--mjpeg", help="WIDTHxHEIGHT@FPS; nothing else is measured then")
    parser.add_argument("--seconds", type=float, default=30.0, help="of --mjpeg")
    options = parser.parse_args()
    if (options.model is None) == (options.fixed_ms is None):
        parser.error("expected a model or --fixed-ms")
    with open_backend(options) as backend:
        if options.mjpeg:
            figures, facts = measure(backend, options.mjpeg, options.seconds)
        else:
            bench = Bench(backend, options)
            figures, facts = bench.soak(options.soak) if options.soak else bench.measure()
        facts |= {"engine": backend.name, "frame": backend.card.frame_shape}
    for name, value in facts.items():
        print(f"{name:<34} {value}")
    for found in figures:
        spread = "" if found.p5 is None else f"  p5 {found.p5:.4g}, p95 {found.p95:.4g}"
        print(f"{found.name:<34} {found.p50:.4g} {found.unit}{spread}, n {found.n}")
    model = options.model.name if options.model else backend.name
    kind = "mjpeg" if options.mjpeg else "soak" if options.soak else "stream"
    emit(f"{kind} of {model}", figures, **facts)


def open_backend(options: argparse.Namespace) -> Backend:
    """Open the model or the simulated device."""
    if options.model is None:
        size = parse_size(options.mjpeg.partition("@")[0], "--mjpeg") if options.mjpeg else SIZE
        return Fixed(options.fixed_ms / 1e3, size)
    return open_model(options.model, runtime=options.runtime, threads=options.threads)


class Fixed(FakeBackend):
    """A simulated device that takes the same time for each frame, one after the other."""

    def __init__(self, seconds: float, size: tuple[int, int]) -> None:
        card = GraphCard(
            name="fixed",
            model="destseg",
            frame_format="bgr",
            frame_shape=(1, *size, 3),
            network_size=(64, 64),
            aspect="stretch",
            threshold=0.5,
            image_threshold=0.5,
            weights_sha256="0" * 64,
            training={"top": 100},
            versions={},
        )
        super().__init__(card)
        self.name = f"a simulated device, {seconds * 1e3:g} ms per frame"
        self._seconds, self._until = seconds, 0.0
        self._device = [0.0]  # when it is free, shared by all contexts

    def start(self) -> None:
        """Queue a frame."""
        self._until = max(time.perf_counter(), self._device[0]) + self._seconds
        self._device[0] = self._until

    def finish(self) -> None:
        """Sleep until it is done."""
        time.sleep(max(self._until - time.perf_counter(), 0.0))

    def run(self) -> None:
        self.start()
        self.finish()


class Memory(Source):
    """Copies prepared BGR frames into the given buffers; live ones at a fixed rate."""

    def __init__(self, pixels: Any, count: int | None, *, fps: float | None = None) -> None:
        super().__init__("memory", fps or 30.0)
        self.live = fps is not None
        self._pixels, self._count, self._given = pixels, count, 0
        self._start = 0.0

    def read_into(self, frame: Frame) -> bool:
        """Copy the next frame when it is due."""
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
    """One backend and its frames."""

    def __init__(self, backend: Backend, options: argparse.Namespace) -> None:
        self._backend, self._rounds, self._count = backend, options.rounds, options.frames
        self._in_flight = options.in_flight
        self._pixels = load_frames(backend.card, options.data).pixels
        self._contexts = [backend]
        if isinstance(backend, Pipelined):
            self._contexts += [backend.second() for _ in range(options.in_flight - 1)]

    def measure(self) -> tuple[list[Figure], dict[str, Any]]:
        """Return the figures and the settings that they hold for."""
        self._stream(Memory(self._pixels, 20))
        self._bare(20)
        shares, bare, looped = [], [], []
        for _ in range(self._rounds):
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
            "rounds": f"{self._rounds} of {self._count} frames",
            "live_fps": round(fps, 1),
            "live_drops": live.drops,
            "frame_bytes": int(self._pixels[0].nbytes),
        }

    def soak(self, minutes: float) -> tuple[list[Figure], dict[str, Any]]:
        """Stream for some minutes and sample the memory."""
        self._bare(20)
        _, seconds = self._bare(50)
        fps = min(800.0 / summarize(seconds).p50_ms, 200.0)
        with tempfile.TemporaryDirectory() as folder, ResidentMemory() as memory:
            path = Path(folder) / "soak.jsonl"
            with JsonlSink(path) as lines:
                config = self._config(seconds=minutes * 60)
                source = Memory(self._pixels, None, fps=fps)
                report = stream(self._backend, source, [lines], config)
            written = sum('"index"' in line for line in path.open())
        assert report.latency is not None
        found = report.latency
        figures = [
            Figure(name="arrival to mask, p50", unit="ms", p50=found.p50_ms),
            Figure(name="arrival to mask, p99", unit="ms", p50=found.p99_ms),
            Figure(name="arrival to mask, p99.9", unit="ms", p50=found.p999_ms),
            Figure(name="memory at the end", unit="MiB", p50=memory.settled()[-1]),
            Figure(name="memory gained", unit="MiB/h", p50=memory.hourly()),
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
        """Return runs per second, and the seconds of each from its start to its end."""
        contexts: list[Any] = self._contexts
        for context in contexts:
            slot = context.new_slot()
            np.copyto(slot.frame[0], self._pixels[0])
            context.bind(slot)
            context.run()
        flying: deque[tuple[Any, float]] = deque()
        seconds: list[float] = []

        def land() -> None:
            context, begin = flying.popleft()
            context.finish()
            seconds.append(time.perf_counter() - begin)

        began = time.perf_counter()
        for i in range(count):
            context = contexts[i % len(contexts)]
            begin = time.perf_counter()
            if len(contexts) == 1:
                context.run()
                seconds.append(time.perf_counter() - begin)
                continue
            context.start()
            flying.append((context, begin))
            if len(flying) == len(contexts):
                land()
        while flying:
            land()
        return count / (time.perf_counter() - began), seconds

    def _stream(self, source: Source, sinks: tuple[AnySink, ...] = ()) -> StreamReport:
        return stream(self._backend, source, sinks, self._config())

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


class ResidentMemory:
    """Samples this process's resident memory every second, in bytes."""

    def __enter__(self) -> "ResidentMemory":
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
        """Return the samples after a tenth of the time, in MiB."""
        return [sample / MIB for sample in self.samples[len(self.samples) // 10 :]]

    def hourly(self) -> float:
        """Return the slope of those, in MiB per hour."""
        settled = self.settled()
        return float(np.polyfit(np.arange(len(settled)), settled, 1)[0] * 3600)


if __name__ == "__main__":
    main()
