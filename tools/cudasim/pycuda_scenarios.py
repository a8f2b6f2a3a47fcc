"""PyCUDA, built by build_pycuda.py, on the simulated driver."""

import ctypes
from typing import Any

import numpy as np

from tools.cudasim import simulator


def primitives() -> dict[str, Any]:
    """The primary context, mapped memory, streams, events and copies of a slot."""
    import pycuda.autoprimaryctx
    import pycuda.driver as cuda

    stream = cuda.Stream(1)
    n, side = 16, 8
    pinned = cuda.host_alloc_flags.DEVICEMAP | cuda.host_alloc_flags.PORTABLE
    frame = cuda.pagelocked_empty((n, n, 3), np.uint8, mem_flags=pinned)
    threshold = cuda.pagelocked_empty(1, np.float32, mem_flags=pinned)
    mask = cuda.pagelocked_empty((n, n), np.uint8, mem_flags=pinned)
    score = cuda.pagelocked_empty(1, np.float32, mem_flags=pinned)
    areas = cuda.pagelocked_empty((side, side), np.float32, mem_flags=pinned)
    device = cuda.mem_alloc(frame.nbytes)
    start, end = cuda.Event(), cuda.Event()
    frame[...] = 0
    frame[4, 5] = 255
    threshold[0] = 0.5
    start.record(stream)
    cuda.memcpy_htod_async(device, frame, stream)
    addresses = [int(array.base.get_device_pointer()) for array in (threshold, mask, score, areas)]
    refused = simulator.infer(
        stream.handle,
        (int(device), *addresses),
        (1, n, n, 3),
        side,
        2,  # type: ignore[arg-type]
    )
    end.record(stream)
    early = int(mask[0, 0])
    end.synchronize()
    answers = {
        "refused": refused,
        "early": early,
        "mask": [int(mask.sum()), int(mask[4, 5])],
        "score": float(score[0]),
        "milliseconds": end.time_since(start),
        "current": pycuda.autoprimaryctx.context.get_device().name(),
        "apart": addresses[1] != mask.ctypes.data,
    }
    device.free()
    for array in (frame, threshold, mask, score, areas):
        array.base.free()
    del start, end, stream
    return answers


def graph() -> list[int]:
    """A graph through the driver, on PyCUDA's own stream handle."""
    import pycuda.autoprimaryctx  # noqa: F401
    import pycuda.driver as cuda

    libcuda = ctypes.CDLL("libcuda.so.1")
    stream = cuda.Stream(1)
    source = cuda.pagelocked_empty(64, np.uint8)
    target = cuda.pagelocked_empty(64, np.uint8)
    device = cuda.mem_alloc(64)
    handle = ctypes.c_void_p(stream.handle)
    graph, launch = ctypes.c_void_p(), ctypes.c_void_p()
    codes = [libcuda.cuStreamBeginCapture_v2(handle, 1)]
    cuda.memcpy_htod_async(device, source, stream)
    cuda.memcpy_dtoh_async(target, device, stream)
    codes.append(libcuda.cuStreamEndCapture(handle, ctypes.byref(graph)))
    codes.append(
        libcuda.cuGraphInstantiateWithFlags(ctypes.byref(launch), graph, ctypes.c_ulonglong(0))
    )
    codes.append(libcuda.cuGraphDestroy(graph))
    source[:] = 9
    codes.append(libcuda.cuGraphLaunch(launch, handle))
    stream.synchronize()
    codes.append(libcuda.cuGraphExecDestroy(launch))
    seen = int(target[63])
    device.free()
    source.base.free()
    target.base.free()
    del stream
    return [*codes, seen]


def missing_wait(wrong: bool) -> None:
    """A copy up on one stream, a copy down of the same memory on another; an own context."""
    import pycuda.driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    up, down = cuda.Stream(1), cuda.Stream(1)
    source, target = cuda.pagelocked_empty(64, np.uint8), cuda.pagelocked_empty(64, np.uint8)
    device, event = cuda.mem_alloc(64), cuda.Event()
    cuda.memcpy_htod_async(device, source, up)
    event.record(up)
    if not wrong:
        down.wait_for_event(event)
    cuda.memcpy_dtoh_async(target, device, down)
    up.synchronize()
    down.synchronize()
    device.free()
    source.base.free()
    target.base.free()
    del up, down, event
    context.pop()
    context.detach()
