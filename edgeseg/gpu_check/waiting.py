"""Checks of what waiting costs: other threads, processor time, launches, and captures meanwhile."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import numpy as np

from edgeseg.cuda.driver import open_cuda
from edgeseg.errors import CudaError
from edgeseg.gpu_check import kernels as gpu
from edgeseg.gpu_check.finding import GpuFinding

MOST_PAUSE = 0.25  # of a wait, in which another thread of Python does not run
LEAST_WAIT = 0.8  # of a kernel's time; a shorter wait shows nothing
PAUSE = 0.001  # seconds between two readings of the clock
MOST_CPU = 0.3  # of a core, while a thread waits for a blocking event
LEAST_GAIN = 4.0  # of a graph's launch over its kernels enqueued one by one


def other_threads(*, rounds: int = 5, seconds: float = 0.2) -> GpuFinding:
    """Watch another thread while this one sleeps, and while it waits for a long kernel, in turn.

    One long wait a round: each call around a wait gives up the GIL, too, whatever the wait does.
    """
    kernels = gpu.Kernels()
    watches: dict[str, list[_OtherThread]] = {"sleep": [], "wait": []}
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream, cuda.event() as done:
        for _ in range(rounds):
            watches["sleep"].append(_watched(lambda: time.sleep(seconds)))
            kernels.wait_for(stream.pointer, seconds)
            done.record(stream)
            watches["wait"].append(_watched(done.synchronize))
    longest = max(watch.seconds for watch in watches["wait"])
    waits = [w for w in watches["wait"] if w.seconds >= LEAST_WAIT * seconds]
    if not waits:
        return GpuFinding(False, f"waited for {longest * 1e3:.0f} ms, not {seconds * 1e3:.0f} ms")
    # The least of the rounds: other load adds pauses, a wait that keeps the GIL has one each time.
    both = waits, watches["sleep"]
    pause, asleep = (min(w.longest_pause for w in each) for each in both)
    rate, resting = (max(w.readings / w.seconds for w in each) for each in both)
    found = f"another thread pauses for {pause * 1e3:.0f} ms in a wait of {seconds * 1e3:.0f} ms, "
    found += f"for {asleep * 1e3:.0f} ms in a sleep"
    figures = {
        "pause_s_min": {"wait": pause, "sleep": asleep},
        "readings_per_s_max": {"wait": rate, "sleep": resting},
        "n": len(waits),
        "seconds": seconds,
    }
    return GpuFinding(pause <= MOST_PAUSE * seconds, found, figures)


@dataclass(frozen=True)
class _OtherThread:
    """What another thread did during a call."""

    seconds: float
    """Of the call."""
    longest_pause: float
    """In seconds."""
    readings: int
    """Of the clock."""


def _watched(meanwhile: Callable[[], None]) -> _OtherThread:
    """Watch another thread during a call.

    It reads the clock in a loop: between two readings far apart it did not run.
    """
    going, readings = [True], [0]
    pauses: list[tuple[float, float]] = []

    def read() -> None:
        last, more = time.perf_counter(), True
        while more:
            more = going[0]  # before the reading: the last one is after the end
            now = time.perf_counter()
            if now - last > PAUSE:
                pauses.append((last, now))
            last = now
            readings[0] += 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        began, first = time.perf_counter(), readings[0]
        meanwhile()
        end, count = time.perf_counter(), readings[0] - first
    finally:
        going[0] = False
        thread.join()
    longest = max((min(after, end) - max(before, began) for before, after in pauses), default=0.0)
    return _OtherThread(end - began, max(longest, 0.0), count)


def blocking(*, waits: int = 200, seconds: float = 0.001) -> GpuFinding:
    """Compare a blocking event with one that spins, in turn, on kernels of a known time."""
    kernels = gpu.Kernels()
    late: dict[str, list[float]] = {"block": [], "spin": []}
    cpu = {"block": 0.0, "spin": 0.0}
    wall = {"block": 0.0, "spin": 0.0}
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream:
        events = {"block": cuda.event(), "spin": cuda.event(spin=True)}
        for _ in range(waits):
            for kind, event in events.items():
                began = time.perf_counter()
                kernels.wait_for(stream.pointer, seconds)
                event.record(stream)
                before, cpu_before = time.perf_counter(), time.thread_time()
                event.synchronize()
                end = time.perf_counter()
                cpu[kind] += time.thread_time() - cpu_before
                wall[kind] += end - before
                late[kind].append(end - began - seconds)
    share = {kind: cpu[kind] / wall[kind] for kind in cpu}
    us = {kind: median(each) * 1e6 for kind, each in late.items()}
    found = f"{share['block']:.0%} of a core (spinning: {share['spin']:.0%}), "
    found += f"{us['block'] - us['spin']:+.0f} us"
    figures = {"cpu_share": share, "late_us_p50": us, "n": waits}
    return GpuFinding(share["block"] <= MOST_CPU, found, figures)


def launches(*, kernel_count: int = 100, rounds: int = 200) -> GpuFinding:
    """Enqueue many small kernels one by one, and as one CUDA graph."""
    kernels = gpu.Kernels()
    host: dict[str, list[float]] = {"graph": [], "enqueue": []}
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream:
        memory, seen = cuda.buffer(256), cuda.pinned(256)
        stream.copy_in(memory.address, seen.view)

        def enqueue() -> None:
            for _ in range(kernel_count):
                kernels.count(stream.pointer, memory.address)

        enqueue()
        stream.synchronize()
        with stream.capture(enqueue) as graph:
            for _ in range(rounds):
                for kind, start in (
                    ("enqueue", enqueue),
                    ("graph", lambda: graph.launch(stream)),
                ):
                    began = time.perf_counter()
                    start()
                    host[kind].append(time.perf_counter() - began)
                    stream.synchronize()
        stream.copy_out(seen.view, memory.address)
        stream.synchronize()
        counted = int(seen.view.array[:4].view(np.int32)[0])
    us = {kind: median(each) * 1e6 for kind, each in host.items()}
    expected = kernel_count * (1 + 2 * rounds)
    found = f"{us['graph']:.0f} us on the host, enqueued {us['enqueue']:.0f} us"
    if counted != expected:
        found += f"; {counted} kernels ran, not {expected}"
    gained = us["enqueue"] >= LEAST_GAIN * us["graph"]
    figures = {"host_us_p50": us, "kernels": kernel_count, "n": rounds, "ran": counted}
    return GpuFinding(gained and counted == expected, found, figures)


def capture(*, captures: int = 50, seconds: float = 0.002) -> GpuFinding:
    """Capture graphs while another thread allocates, as a camera's driver does."""
    kernels, capturing, ending = gpu.Kernels(), threading.Event(), threading.Event()
    allocated = [0]
    problems: list[str] = []

    def allocate() -> None:
        with open_cuda() as camera, camera.current():
            while not ending.is_set():
                try:
                    camera.pinned(4096).close()
                    camera.buffer(4096).close()
                except CudaError as error:
                    problems.append(error.problem)
                    return
                allocated[0] += capturing.is_set()

    thread = threading.Thread(target=allocate)
    captured = 0
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream, cuda.buffer(256) as memory:

        def enqueue() -> None:
            capturing.set()
            kernels.count(stream.pointer, memory.address)
            time.sleep(seconds)
            capturing.clear()

        kernels.count(stream.pointer, memory.address)
        thread.start()
        try:
            for _ in range(captures):
                with suppress(CudaError), stream.capture(enqueue) as graph:
                    graph.launch(stream)
                    stream.synchronize()
                    captured += 1
        finally:
            ending.set()
            thread.join()
    found = f"{captured} of {captures} captured beside {allocated[0]} allocations"
    found += f"; {problems[0]}" if problems else ""
    figures = {"captured": captured, "of": captures, "allocations": allocated[0]}
    return GpuFinding(captured == captures and allocated[0] > 0 and not problems, found, figures)
