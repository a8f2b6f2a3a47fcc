"""Checks of frames on their way to a stand-in engine and back; every right mask is known."""

import time
from statistics import median

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.config import Binding, GpuConfig, Io, StreamConfig
from edgeseg.cuda.driver import found_bindings
from edgeseg.frame.geometry import Size
from edgeseg.gpu_check import kernels as gpu
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.gpu_check.stand_in import open_stand_in
from edgeseg.runtime.base import Slot
from edgeseg.runtime.fake import FakeBackend
from edgeseg.runtime.tensorrt_backend import TrtBackend
from edgeseg.stream.sink.base import FrameSink, Result
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.stream import stream

SMALL, LARGE = (96, 128), (1080, 1920)  # height, width
DIFFERENT = 61  # frames; a prime, so that each slot gets all of them
SLOTS = 3
TOLERANCE = 1e-4  # of score and map: sums in another order
SLOWER = 1.1  # a path that takes less than this times the other is not slower


class Answers:
    """Random frames, each with its threshold and the right mask, score and map."""

    def __init__(self, card: GraphCard, count: int = DIFFERENT) -> None:
        random = np.random.default_rng(0)
        fake, self.slots = FakeBackend(card), [Slot.on_host(card) for _ in range(count)]
        for slot in self.slots:
            slot.frame[...] = random.integers(0, 256, slot.frame.shape, np.uint8)
            slot.threshold[...] = random.uniform(0.2, 0.8)
            fake.bind(slot)
            fake.run()

    def of(self, index: int) -> Slot:
        """Return the frame of an index with its answer."""
        return self.slots[index % len(self.slots)]

    def fill(self, slot: Slot, index: int) -> None:
        """Put a frame and its threshold into a slot."""
        np.copyto(slot.frame, self.of(index).frame)
        np.copyto(slot.threshold, self.of(index).threshold)

    def right(self, slot: Slot, index: int) -> bool:
        """Whether a slot holds the answer of a frame."""
        expected = self.of(index)
        return (
            np.array_equal(slot.mask, expected.mask)
            and np.allclose(slot.score, expected.score, atol=TOLERANCE)
            and np.allclose(slot.anomaly_map, expected.anomaly_map, atol=TOLERANCE)
        )


def masks(
    *, io: Io, graph: bool, in_flight: int, binding: Binding, frames: int = 1000
) -> GpuFinding:
    """Run frames through slots in turn; each request starts its next frame after its last."""
    if binding not in found_bindings():
        raise Skipped(f"{binding} is not installed")
    config = GpuConfig(io=io, cuda_graph=graph, cuda=binding)
    with open_stand_in(gpu.Kernels(), size=SMALL, gpu=config) as backend:
        answers, began = Answers(backend.card), time.perf_counter()
        requests = [backend, *(backend.second() for _ in range(in_flight - 1))]
        rings = [[request.new_slot() for _ in range(SLOTS)] for request in requests]
        flying: dict[int, tuple[Slot, int]] = {}
        right = 0
        for index in range(frames + in_flight):
            number = index % in_flight
            request = requests[number]
            if number in flying:
                request.finish()
                right += answers.right(*flying.pop(number))
            if index < frames:
                slot = rings[number][index // in_flight % SLOTS]
                request.bind(slot)
                answers.fill(slot, index)
                request.start()
                flying[number] = slot, index
        seconds = time.perf_counter() - began
        captured = "no CUDA graph" not in backend.name
        found = f"{right} of {frames} right, {'graph' if captured else 'enqueued'}"
        figures = {"right": right, "frames": frames, "seconds": seconds, "engine": backend.name}
        return GpuFinding(right == frames and captured is graph, found, figures)


class _Numbered(Source):
    """A source of the frames of `answers`, written into the buffers that it is offered."""

    def __init__(self, answers: Answers, frames: int) -> None:
        super().__init__("numbered", 30.0)
        self._answers, self._left = answers, frames
        self._next = 0

    def read_into(self, frame: Frame) -> bool:
        if self._next == self._left or self.stopping.is_set():
            return False
        image = self._answers.of(self._next).frame[0]
        if frame.image.shape != image.shape:
            frame.image = np.empty_like(image)
        np.copyto(frame.image, image)
        frame.stamp()
        self._next += 1
        return True


class _Examiner(FrameSink):
    """Compares frame, mask and map with the answers for the slots' threshold."""

    def __init__(self, answers: Answers, card: GraphCard) -> None:
        self._answers, self._threshold = answers, card.threshold
        self.right = self.judged = 0

    def write(self, result: Result) -> bool:
        expected, found = self._answers.of(result.record.index), result.buffers
        red = expected.frame[0, ..., 2] / np.float32(255)
        mask = np.where(red > np.float32(self._threshold), 255, 0)
        self.judged += 1
        self.right += bool(
            np.array_equal(found.frame, expected.frame[0])
            and np.array_equal(found.mask, mask)
            and np.allclose(found.anomaly_map, expected.anomaly_map[0], atol=TOLERANCE)
        )
        return True


def stream_loop(*, io: Io, frames: int = 1000) -> GpuFinding:
    """Stream frames through `edgeseg stream`'s loop, two in flight."""
    with open_stand_in(gpu.Kernels(), size=SMALL, gpu=GpuConfig(io=io)) as backend:
        answers = Answers(backend.card)
        source, judge = _Numbered(answers, frames), _Examiner(answers, backend.card)
        config = StreamConfig(window=False, in_flight=2)
        report = stream(backend, source, [judge], config)
        latency = report.latency
        figures = {"right": judge.right, "frames": report.frames, "fps": report.fps}
        found = f"{judge.right} of {judge.judged} right, {report.fps:.0f} frames per second"
        if latency is not None:
            figures["p50_ms"] = latency.p50_ms
        return GpuFinding(judge.right == judge.judged == report.frames == frames, found, figures)


def large_frames(*, size: Size = LARGE, frames: int = 100) -> GpuFinding:
    """Compare mapped with copied memory on large frames, in turn; `auto` takes the faster one."""
    seconds: dict[str, list[float]] = {"mapped": [], "copy": []}
    right, kernels, ios = 0, gpu.Kernels(), ("mapped", "copy")
    with (
        open_stand_in(kernels, size=size, gpu=GpuConfig(io="mapped")) as mapped,
        open_stand_in(kernels, size=size, gpu=GpuConfig(io="copy")) as copied,
        open_stand_in(kernels, size=SMALL, gpu=GpuConfig()) as automatic,
    ):
        answers = Answers(mapped.card, 3)
        slots: list[tuple[TrtBackend, Slot]] = []
        for backend in (mapped, copied):
            slots.append((backend, backend.new_slot()))
            backend.bind(slots[-1][1])
        for index in range(frames + 5):
            for io, (backend, slot) in zip(ios, slots, strict=True):
                answers.fill(slot, index)
                began = time.perf_counter()
                backend.run()
                seconds[io].append(time.perf_counter() - began)
                right += answers.right(slot, index)
        chosen = "mapped" if "mapped memory" in automatic.name else "copy"
    times = {io: median(each[5:]) * 1e3 for io, each in seconds.items()}
    other = times["copy" if chosen == "mapped" else "mapped"]
    found = f"mapped {times['mapped']:.2f} ms, copied {times['copy']:.2f} ms, auto: {chosen}"
    total = 2 * (frames + 5)
    found += f"; {right} of {total} right"
    figures = {"p50_ms": times, "auto": chosen, "right": right, "n": frames, "size": list(size)}
    return GpuFinding(right == total and times[chosen] <= other * SLOWER, found, figures)
