"""Checks of memory that comes back, and of errors that end as errors."""

import os
import time
from pathlib import Path

from edgeseg.config import GpuConfig
from edgeseg.cuda.driver import open_cuda
from edgeseg.errors import CudaError
from edgeseg.gpu_check import kernels as gpu
from edgeseg.gpu_check.finding import GpuFinding
from edgeseg.gpu_check.frames import SMALL, Answers
from edgeseg.gpu_check.stand_in import open_stand_in
from edgeseg.log import log

WARM = 5  # times, after which the driver's and Python's own memory should not grow
FLAT_MIB = 8.0
TOO_MUCH = 1 << 50  # bytes
QUICK = 10.0  # seconds


def open_close(*, times: int = 30) -> GpuFinding:
    """Open a backend, run a frame and close it, many times."""
    kernels = gpu.Kernels()
    right, free, resident = 0, [], []
    for index in range(times):
        gpu_config = GpuConfig(io="mapped" if index % 2 else "copy")
        with open_stand_in(kernels, size=SMALL, gpu=gpu_config) as backend:
            answers, slot = Answers(backend.card, 1), backend.new_slot()
            backend.bind(slot)
            answers.fill(slot, 0)
            backend.run()
            right += answers.right(slot, 0)
        free.append(kernels.free_bytes())
        resident.append(_resident_bytes())
    lost = (free[WARM] - free[-1]) / 2**20
    grown = (resident[-1] - resident[WARM]) / 2**20
    found = f"device {lost:+.1f} MiB, process {grown:+.1f} MiB, {right} of {times} right"
    figures = {"device_mib": lost, "process_mib": grown, "times": times}
    return GpuFinding(max(lost, grown) < FLAT_MIB and right == times, found, figures)


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where /proc is missing."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def out_of_memory(*, nbytes: int = TOO_MUCH) -> GpuFinding:
    """Ask for more memory than there is; the context has to remain usable."""
    with open_cuda() as cuda, cuda.current():
        try:
            cuda.buffer(nbytes)
        except CudaError as error:
            found = error.code
        else:
            found = "no error"
        with cuda.stream() as stream, cuda.pinned(256) as host, cuda.buffer(256) as memory:
            host.view.array[...] = 7
            stream.copy_in(memory.address, host.view)
            stream.synchronize()
    return GpuFinding(found == "cuda/out-of-memory", found)


def refused_capture() -> GpuFinding:
    """Run an engine whose capture fails: it is enqueued instead, with the same masks."""
    kernels = gpu.Kernels()
    kernels.forbidden = True
    quiet, log.disabled = log.disabled, True
    try:
        with open_stand_in(kernels, size=SMALL, gpu=GpuConfig()) as backend:
            answers, slot = Answers(backend.card), backend.new_slot()
            backend.bind(slot)
            right = 0
            for index in range(50):
                answers.fill(slot, index)
                backend.run()
                right += answers.right(slot, index)
            enqueued = "no CUDA graph (" in backend.name
    finally:
        log.disabled = quiet
    found = f"{right} of 50 right, {'enqueued' if enqueued else 'captured all the same'}"
    return GpuFinding(right == 50 and enqueued, found)


def trap() -> GpuFinding:
    """Lose the context in a frame; in a process of its own, which cannot use the GPU afterwards."""
    kernels = _Armed()
    error: CudaError | None = None
    began = 0.0
    try:
        with open_stand_in(kernels, size=SMALL, gpu=GpuConfig(cuda_graph=False)) as backend:
            backend.bind(backend.new_slot())
            backend.run()
            kernels.armed, began = True, time.perf_counter()
            backend.run()
    except CudaError as raised:
        error = raised
    seconds = time.perf_counter() - began
    if error is None:
        return GpuFinding(False, "no error")
    first = _first(error)
    told = "CUDA_ERROR_LAUNCH_FAILED" in first.problem and first.remedy.startswith("restart")
    found = f"CudaError after {seconds:.1f} s: {first.problem}"
    return GpuFinding(kernels.armed and told and seconds < QUICK, found, {"seconds": seconds})


class _Armed:
    """Kernels whose next inference traps, once `armed`."""

    def __init__(self) -> None:
        self._kernels = gpu.Kernels()
        self.armed = False

    def infer(
        self,
        stream: int,
        addresses: tuple[int, ...],
        frame_shape: tuple[int, int, int, int],
        side: int,
        red: int,
        columns: int = 0,
    ) -> int:
        if self.armed:
            return self._kernels.trap(stream)
        return self._kernels.infer(stream, addresses, frame_shape, side, red, columns)


def _first(error: CudaError) -> CudaError:
    """Return the error that began it: those of closing follow from it."""
    context = error.__context__
    while context is not None:
        if isinstance(context, CudaError):
            error = context
        context = context.__context__
    return error
