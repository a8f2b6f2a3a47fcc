"""Faults of addresses and lifetimes: each committed if `wrong`; its correct variant otherwise."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver

from tools.cudasim import simulator
from tools.cudasim.cuda import (
    DEVICEMAP,
    NON_BLOCKING,
    PORTABLE,
    THREAD_LOCAL,
    Device,
    Pinned,
    code,
    context,
    do,
    new_event,
    new_stream,
    stage,
)

N = 4096
FRAME = (1, 8, 8, 3)


def infer_small(stream: Any, buffers: list[Any], frame: int | None = None) -> int:
    """Put one inference of an 8 x 8 frame into the stream; five buffers of N bytes."""
    addresses = [buffer.device for buffer in buffers]
    if frame is not None:
        addresses[0] = frame
    return simulator.infer(int(stream), tuple(addresses), FRAME, 4, 2)


# ---- addresses


def freed_memory(wrong: bool) -> None:
    with stage(N, N) as (stream, (a, _), (_, d)):
        extra = Device(N)
        if wrong:
            extra.free()
        code(driver.cuMemcpyHtoDAsync(extra.device, a.address, N, stream))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        do(driver.cuStreamSynchronize(stream))
        if not wrong:
            extra.free()


def freed_in_graph(wrong: bool) -> None:
    with stage(N) as (stream, (a,), _):
        extra = Device(N)
        do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
        do(driver.cuMemcpyHtoDAsync(extra.device, a.address, N, stream))
        graph = do(driver.cuStreamEndCapture(stream))
        launch = do(driver.cuGraphInstantiate(graph, 0))
        if wrong:
            extra.free()
        code(driver.cuGraphLaunch(launch, stream))
        do(driver.cuStreamSynchronize(stream))
        if not wrong:
            extra.free()
        do(driver.cuGraphExecDestroy(launch))
        do(driver.cuGraphDestroy(graph))


def foreign_memory(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        target = 0x123456789000 if wrong else d.device
        code(driver.cuMemcpyHtoDAsync(target, a.address, N, stream))


def double_free(wrong: bool, pinned: bool) -> None:
    with context():
        buffer = Pinned(N) if pinned else Device(N)
        buffer.free()
        if wrong and pinned:
            code(driver.cuMemFreeHost(buffer.address))  # type: ignore[union-attr]
        elif wrong:
            code(driver.cuMemFree(buffer.device))


def beyond_the_end(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        code(driver.cuMemcpyHtoDAsync(d.device + 96 + wrong, a.address, N - 96, stream))


def host_beyond_the_end(wrong: bool) -> None:
    with context():
        buffer = Pinned(1000)
        (ctypes.c_uint8 * 1).from_address(buffer.address + 999 + wrong)[0] = 7
        buffer.free()


def wrong_direction(wrong: bool) -> None:
    with stage(N, N) as (stream, (a, _), (d, e)):
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        if wrong:
            code(driver.cuMemcpyHtoDAsync(e.device, d.device, N, stream))
        else:
            do(driver.cuMemcpyDtoDAsync(e.device, d.device, N, stream))


def host_pointer(wrong: bool) -> int:
    with stage(*[N] * 5) as (stream, hosts, devices):
        buffers = [hosts[0], *devices[1:]]
        return infer_small(stream, buffers, hosts[0].address if wrong else None)


def unmapped_pointer(wrong: bool) -> int:
    with stage(*[N] * 5) as (stream, _, devices):
        frame = Pinned(N, PORTABLE if wrong else PORTABLE | DEVICEMAP)
        answer = infer_small(stream, [frame, *devices[1:]], frame.address if wrong else None)
        do(driver.cuStreamSynchronize(stream))
        frame.free()
        return answer


def misaligned(wrong: bool) -> int:
    with stage(*[N] * 5) as (stream, _, devices):
        return infer_small(stream, devices, devices[0].device + (64 if wrong else 256))


def pageable_copy(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        ordinary = np.zeros(N, np.uint8)
        source = ordinary.ctypes.data if wrong else a.address
        do(driver.cuMemcpyHtoDAsync(d.device, source, N, stream))


def host_touches_device(wrong: bool) -> int:
    with stage(N) as (_, (a,), (d,)):
        return ctypes.c_uint8.from_address(d.device if wrong else a.address).value


def host_touches_freed(wrong: bool) -> int:
    with context():
        buffer = Pinned(N)
        if wrong:
            buffer.free()
        value = int(buffer.array[0])
        if not wrong:
            buffer.free()
        return value


# ---- lifetimes


def leak(wrong: bool, what: str) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        graph = do(driver.cuStreamEndCapture(stream))
        launch = do(driver.cuGraphInstantiate(graph, 0))
        device, pinned = Device(N), Pinned(N)
        other, event = do(driver.cuStreamCreate(NON_BLOCKING)), do(driver.cuEventCreate(0))
        frees: dict[str, Callable[[], Any]] = {
            "device buffer": device.free,
            "pinned buffer": pinned.free,
            "stream": lambda: do(driver.cuStreamDestroy(other)),
            "event": lambda: do(driver.cuEventDestroy(event)),
            "graph": lambda: do(driver.cuGraphDestroy(graph)),
            "graph exec": lambda: do(driver.cuGraphExecDestroy(launch)),
        }
        for kind, free in frees.items():
            if not wrong or kind != what:
                free()


def context_kept(wrong: bool) -> None:
    do(driver.cuInit(0))
    do(driver.cuDevicePrimaryCtxRetain(0))
    if not wrong:
        do(driver.cuDevicePrimaryCtxRelease(0))


def context_released_twice(wrong: bool) -> None:
    with context():
        pass
    if wrong:
        code(driver.cuDevicePrimaryCtxRelease(0))


def freed_while_used(wrong: bool) -> None:
    with stage(N) as (stream, (a,), _):
        extra = Device(N)
        do(driver.cuMemcpyHtoDAsync(extra.device, a.address, N, stream))
        if not wrong:
            do(driver.cuStreamSynchronize(stream))
        extra.free()


def stream_destroyed_while_used(wrong: bool) -> None:
    with stage(N) as (_, (a,), (d,)), new_event() as event:
        with new_stream() as other:
            do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, other))
            do(driver.cuEventRecord(event, other))
            if not wrong:
                do(driver.cuStreamSynchronize(other))
        do(driver.cuEventSynchronize(event))


def destroyed_stream(wrong: bool) -> None:
    with stage(N) as (_, (a,), (d,)):
        other = do(driver.cuStreamCreate(NON_BLOCKING))
        if wrong:
            do(driver.cuStreamDestroy(other))
        code(driver.cuMemcpyHtoDAsync(d.device, a.address, N, other))
        code(driver.cuStreamSynchronize(other))
        if not wrong:
            do(driver.cuStreamDestroy(other))


def steady(wrong: bool, what: str) -> None:
    make: dict[str, Callable[[], Any]] = {
        "device buffer": lambda: Device(N).free(),
        "pinned buffer": lambda: Pinned(N).free(),
        "event": lambda: do(driver.cuEventDestroy(do(driver.cuEventCreate(0)))),
    }
    with stage(N) as (stream, (a,), (d,)):
        for frame in range(4):
            if frame == 1:
                simulator.steady()
            if wrong or frame == 0:
                make[what]()
            do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
            do(driver.cuStreamSynchronize(stream))
        simulator.steady(False)
