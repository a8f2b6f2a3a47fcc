"""Every fault that the driver reports, committed when `wrong`, and the correct twin beside it."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver

from tests.cudasim import simulator
from tests.cudasim.cuda import (
    DEVICEMAP,
    GLOBAL,
    NON_BLOCKING,
    PORTABLE,
    THREAD_LOCAL,
    Device,
    Pinned,
    code,
    context,
    do,
    stage,
)

N = 4096
FRAME = (1, 8, 8, 3)


def _infer(stream: Any, buffers: list[Any], frame: int | None = None) -> int:
    """Put one inference of an 8 x 8 frame into the stream; five buffers of N bytes."""
    addresses = [buffer.device for buffer in buffers]
    if frame is not None:
        addresses[0] = frame
    return simulator.infer(int(stream), tuple(addresses), FRAME, 4, 2)  # type: ignore[arg-type]


def _elsewhere(call: Callable[[Any], Any], primary: Any) -> Any:
    """Return what a call answers on another thread, with the context current there."""
    answers: list[Any] = []

    def work() -> None:
        do(driver.cuCtxPushCurrent(primary))
        answers.append(call(primary))
        do(driver.cuCtxPopCurrent())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return answers[0]


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
        return _infer(stream, buffers, hosts[0].address if wrong else None)


def unmapped_pointer(wrong: bool) -> int:
    with stage(*[N] * 5) as (stream, _, devices):
        frame = Pinned(N, PORTABLE if wrong else PORTABLE | DEVICEMAP)
        answer = _infer(stream, [frame, *devices[1:]], frame.address if wrong else None)
        do(driver.cuStreamSynchronize(stream))
        frame.free()
        return answer


def misaligned(wrong: bool) -> int:
    with stage(*[N] * 5) as (stream, _, devices):
        return _infer(stream, devices, devices[0].device + (64 if wrong else 256))


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
        if what == "device buffer":
            device = Device(N)
            if not wrong:
                device.free()
        elif what == "pinned buffer":
            pinned = Pinned(N)
            if not wrong:
                pinned.free()
        elif what == "stream":
            other = do(driver.cuStreamCreate(NON_BLOCKING))
            if not wrong:
                do(driver.cuStreamDestroy(other))
        elif what == "event":
            event = do(driver.cuEventCreate(0))
            if not wrong:
                do(driver.cuEventDestroy(event))
        else:
            do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
            do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
            graph = do(driver.cuStreamEndCapture(stream))
            launch = do(driver.cuGraphInstantiate(graph, 0))
            if not wrong or what != "graph":
                do(driver.cuGraphDestroy(graph))
            if not wrong or what != "graph exec":
                do(driver.cuGraphExecDestroy(launch))


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
    with stage(N) as (_, (a,), (d,)):
        other = do(driver.cuStreamCreate(NON_BLOCKING))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, other))
        event = do(driver.cuEventCreate(0))
        do(driver.cuEventRecord(event, other))
        if not wrong:
            do(driver.cuStreamSynchronize(other))
        do(driver.cuStreamDestroy(other))
        do(driver.cuEventSynchronize(event))
        do(driver.cuEventDestroy(event))


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


# ---- order


def source_reused_early(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        if not wrong:
            do(driver.cuStreamSynchronize(stream))
        a.array[17] = 1


def mapped_frame_reused_early(wrong: bool) -> None:
    with stage(*[N] * 5) as (stream, hosts, _):
        assert _infer(stream, hosts) == 0
        if not wrong:
            do(driver.cuStreamSynchronize(stream))
        hosts[0].array[:] = 1


def destination_written_early(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuMemsetD8Async(d.device, 1, N, stream))
        do(driver.cuMemcpyDtoHAsync(a.address, d.device, N, stream))
        if not wrong:
            do(driver.cuStreamSynchronize(stream))
        a.array[:] = 0


def output_read_early(wrong: bool) -> int:
    """Return the mask's first byte, which is right as 0."""
    with stage(*[N] * 5) as (stream, hosts, _):
        hosts[0].array[:] = hosts[1].array[:] = 0
        event = do(driver.cuEventCreate(0))
        assert _infer(stream, hosts) == 0
        do(driver.cuEventRecord(event, stream))
        if not wrong:
            do(driver.cuEventSynchronize(event))
        value = int(hosts[2].array[0])
        do(driver.cuEventDestroy(event))
        return value


def missing_wait(wrong: bool) -> None:
    """A copy on one stream, an inference of what it brings on another."""
    with stage(*[N] * 5) as (stream, hosts, devices):
        upload = do(driver.cuStreamCreate(NON_BLOCKING))
        event = do(driver.cuEventCreate(0))
        do(driver.cuMemcpyHtoDAsync(devices[0].device, hosts[0].address, N, upload))
        do(driver.cuEventRecord(event, upload))
        if not wrong:
            do(driver.cuStreamWaitEvent(stream, event, 0))
        assert _infer(stream, devices) == 0
        do(driver.cuStreamSynchronize(stream))
        do(driver.cuStreamSynchronize(upload))
        do(driver.cuEventDestroy(event))
        do(driver.cuStreamDestroy(upload))


def overwritten_early(wrong: bool) -> None:
    """The next frame goes up while an inference may still read the last one."""
    with stage(*[N] * 5) as (stream, hosts, devices):
        upload = do(driver.cuStreamCreate(NON_BLOCKING))
        event = do(driver.cuEventCreate(0))
        assert _infer(stream, devices) == 0
        do(driver.cuEventRecord(event, stream))
        if not wrong:
            do(driver.cuStreamWaitEvent(upload, event, 0))
        do(driver.cuMemcpyHtoDAsync(devices[0].device, hosts[0].address, N, upload))
        do(driver.cuStreamSynchronize(upload))
        do(driver.cuStreamSynchronize(stream))
        do(driver.cuEventDestroy(event))
        do(driver.cuStreamDestroy(upload))


def waits_for_nothing(wrong: bool) -> None:
    with stage(N) as (stream, _, _):
        event = do(driver.cuEventCreate(0))
        if not wrong:
            do(driver.cuEventRecord(event, stream))
        do(driver.cuStreamWaitEvent(stream, event, 0))
        do(driver.cuEventSynchronize(event))
        do(driver.cuEventDestroy(event))


def default_stream(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, 0 if wrong else stream))
        do(driver.cuCtxSynchronize())


def driver_in_host_function(wrong: bool) -> None:
    with stage(N) as (stream, _, _):

        def call(_: Any) -> None:
            if wrong:
                code(driver.cuStreamQuery(stream))

        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(call)
        pointer = driver.CUhostFn(_ptr=ctypes.addressof(function))
        do(driver.cuLaunchHostFunc(stream, pointer, 0))
        do(driver.cuStreamSynchronize(stream))


# ---- capture


def _capture(stream: Any, a: Pinned, d: Device, mode: Any, between: Callable[[], Any]) -> list[str]:
    do(driver.cuStreamBeginCapture(stream, mode))
    do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
    answer = between()
    ended = driver.cuStreamEndCapture(stream)
    if not ended[0]:
        do(driver.cuGraphDestroy(ended[1]))
    return [answer, code(ended)]


def unsafe_call_elsewhere(wrong: bool) -> list[str]:
    """A camera thread allocates while a graph is captured."""
    with stage(N) as (stream, (a,), (d,)):
        primary = do(driver.cuCtxGetCurrent())

        def allocate(_: Any) -> str:
            answer = driver.cuMemHostAlloc(N, 0)
            if not answer[0]:
                do(driver.cuMemFreeHost(answer[1]))
            return code(answer)

        mode = GLOBAL if wrong else THREAD_LOCAL
        return _capture(stream, a, d, mode, lambda: _elsewhere(allocate, primary))


def event_asked_elsewhere(wrong: bool) -> list[str]:
    with stage(N) as (stream, (a,), (d,)):
        primary, event = do(driver.cuCtxGetCurrent()), do(driver.cuEventCreate(0))
        mode = GLOBAL if wrong else THREAD_LOCAL
        answers = _capture(
            stream,
            a,
            d,
            mode,
            lambda: _elsewhere(lambda _: code(driver.cuEventQuery(event)), primary),
        )
        do(driver.cuEventDestroy(event))
        return answers


def unsafe_call_here(wrong: bool) -> list[str]:
    with stage(N) as (stream, (a,), (d,)):
        return _capture(
            stream, a, d, THREAD_LOCAL, lambda: code(driver.cuMemAlloc(N)) if wrong else "SUCCESS"
        )


def waited_for(wrong: bool) -> list[str]:
    with stage(N) as (stream, (a,), (d,)):
        return _capture(
            stream,
            a,
            d,
            THREAD_LOCAL,
            lambda: code(driver.cuStreamSynchronize(stream)) if wrong else "SUCCESS",
        )


def isolation(wrong: bool) -> list[str]:
    """The capture waits for an event from outside."""
    with stage(N) as (stream, (a,), (d,)):
        event = do(driver.cuEventCreate(0))
        other = do(driver.cuStreamCreate(NON_BLOCKING))
        do(driver.cuEventRecord(event, other))

        def wait() -> str:
            return code(driver.cuStreamWaitEvent(stream, event, 0)) if wrong else "SUCCESS"

        answers = _capture(stream, a, d, THREAD_LOCAL, wait)
        do(driver.cuEventDestroy(event))
        do(driver.cuStreamSynchronize(other))
        do(driver.cuStreamDestroy(other))
        return answers


def unjoined(wrong: bool) -> list[str]:
    """A second stream joins the capture, works, and does not come back."""
    with stage(N, N) as (stream, (a, b), (d, e)):
        other = do(driver.cuStreamCreate(NON_BLOCKING))
        fork, back = do(driver.cuEventCreate(0)), do(driver.cuEventCreate(0))

        def branch() -> str:
            do(driver.cuEventRecord(fork, stream))
            do(driver.cuStreamWaitEvent(other, fork, 0))
            answer = code(driver.cuMemcpyHtoDAsync(e.device, b.address, N, other))
            do(driver.cuEventRecord(back, other))
            if not wrong:
                do(driver.cuStreamWaitEvent(stream, back, 0))
            return answer

        answers = _capture(stream, a, d, THREAD_LOCAL, branch)
        do(driver.cuEventDestroy(fork))
        do(driver.cuEventDestroy(back))
        do(driver.cuStreamDestroy(other))
        return answers


def race_in_graph(wrong: bool) -> None:
    """Two branches of one graph write the same bytes."""
    with stage(N, N) as (stream, (a, b), (d, e)):
        other = do(driver.cuStreamCreate(NON_BLOCKING))
        fork, back = do(driver.cuEventCreate(0)), do(driver.cuEventCreate(0))
        do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
        do(driver.cuEventRecord(fork, stream))
        do(driver.cuStreamWaitEvent(other, fork, 0))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        do(driver.cuMemcpyHtoDAsync((d if wrong else e).device, b.address, N, other))
        do(driver.cuEventRecord(back, other))
        do(driver.cuStreamWaitEvent(stream, back, 0))
        graph = do(driver.cuStreamEndCapture(stream))
        launch = do(driver.cuGraphInstantiate(graph, 0))
        for _ in range(3):
            do(driver.cuGraphLaunch(launch, stream))
        do(driver.cuStreamSynchronize(stream))
        do(driver.cuGraphExecDestroy(launch))
        do(driver.cuGraphDestroy(graph))
        do(driver.cuEventDestroy(fork))
        do(driver.cuEventDestroy(back))
        do(driver.cuStreamDestroy(other))


def ended_elsewhere(wrong: bool) -> str:
    with stage(N) as (stream, (a,), (d,)):
        primary = do(driver.cuCtxGetCurrent())
        do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        answer = "SUCCESS"
        if wrong:
            answer = _elsewhere(lambda _: code(driver.cuStreamEndCapture(stream)), primary)
        ended = driver.cuStreamEndCapture(stream)
        if not ended[0]:
            do(driver.cuGraphDestroy(ended[1]))
        return str(answer)


def uncapturable_engine() -> list[Any]:
    """An engine that cannot be captured: the fallback runs it, and nothing is wrong."""
    with stage(*[N] * 5) as (stream, _, devices):
        simulator.forbid_capture()
        do(driver.cuStreamBeginCapture(stream, THREAD_LOCAL))
        refused = _infer(stream, devices)
        ended = code(driver.cuStreamEndCapture(stream))
        return [refused, ended, _infer(stream, devices)]
