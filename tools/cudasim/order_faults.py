"""Faults of order and of capture: each committed if `wrong`; its correct variant otherwise."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from cuda.bindings import driver

from tools.cudasim import simulator
from tools.cudasim.cuda import (
    GLOBAL,
    THREAD_LOCAL,
    Device,
    Pinned,
    code,
    do,
    new_event,
    new_stream,
    stage,
)
from tools.cudasim.memory_faults import N, infer_small


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


# ---- order


def source_reused_early(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, stream))
        if not wrong:
            do(driver.cuStreamSynchronize(stream))
        a.array[17] = 1


def mapped_frame_reused_early(wrong: bool) -> None:
    with stage(*[N] * 5) as (stream, hosts, _):
        assert infer_small(stream, hosts) == 0
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
    with stage(*[N] * 5) as (stream, hosts, _), new_event() as event:
        hosts[0].array[:] = hosts[1].array[:] = 0
        assert infer_small(stream, hosts) == 0
        do(driver.cuEventRecord(event, stream))
        if not wrong:
            do(driver.cuEventSynchronize(event))
        return int(hosts[2].array[0])


def missing_wait(wrong: bool) -> None:
    """A copy on one stream, an inference of what it brings on another."""
    with (
        stage(*[N] * 5) as (stream, hosts, devices),
        new_stream() as upload,
        new_event() as event,
    ):
        do(driver.cuMemcpyHtoDAsync(devices[0].device, hosts[0].address, N, upload))
        do(driver.cuEventRecord(event, upload))
        if not wrong:
            do(driver.cuStreamWaitEvent(stream, event, 0))
        assert infer_small(stream, devices) == 0
        do(driver.cuCtxSynchronize())


def overwritten_early(wrong: bool) -> None:
    """The next frame goes up while an inference may still read the last one."""
    with (
        stage(*[N] * 5) as (stream, hosts, devices),
        new_stream() as upload,
        new_event() as event,
    ):
        assert infer_small(stream, devices) == 0
        do(driver.cuEventRecord(event, stream))
        if not wrong:
            do(driver.cuStreamWaitEvent(upload, event, 0))
        do(driver.cuMemcpyHtoDAsync(devices[0].device, hosts[0].address, N, upload))
        do(driver.cuCtxSynchronize())


def waits_for_nothing(wrong: bool) -> None:
    with stage(N) as (stream, _, _), new_event() as event:
        if not wrong:
            do(driver.cuEventRecord(event, stream))
        do(driver.cuStreamWaitEvent(stream, event, 0))
        do(driver.cuEventSynchronize(event))


def default_stream(wrong: bool) -> None:
    with stage(N) as (stream, (a,), (d,)):
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, N, 0 if wrong else stream))
        do(driver.cuCtxSynchronize())


def driver_in_host_function(wrong: bool) -> None:
    called = threading.Event()
    with stage(N) as (stream, _, _):

        def call(_: Any) -> None:
            if wrong:
                code(driver.cuStreamQuery(stream))
            called.set()

        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(call)
        pointer = driver.CUhostFn(_ptr=ctypes.addressof(function))
        do(driver.cuLaunchHostFunc(stream, pointer, 0))
        assert called.wait(10)


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
    with stage(N) as (stream, (a,), (d,)), new_event() as event:
        primary = do(driver.cuCtxGetCurrent())

        def ask() -> Any:
            return _elsewhere(lambda _: code(driver.cuEventQuery(event)), primary)

        return _capture(stream, a, d, GLOBAL if wrong else THREAD_LOCAL, ask)


def unsafe_call_here(wrong: bool, wait: bool) -> list[str]:
    with stage(N) as (stream, (a,), (d,)):

        def call() -> str:
            return code(driver.cuStreamSynchronize(stream) if wait else driver.cuMemAlloc(N))

        return _capture(stream, a, d, THREAD_LOCAL, call if wrong else lambda: "SUCCESS")


def isolation(wrong: bool) -> list[str]:
    """The capture waits for an event from outside."""
    with stage(N) as (stream, (a,), (d,)), new_stream() as other, new_event() as event:
        do(driver.cuEventRecord(event, other))

        def wait() -> str:
            return code(driver.cuStreamWaitEvent(stream, event, 0)) if wrong else "SUCCESS"

        answers = _capture(stream, a, d, THREAD_LOCAL, wait)
        do(driver.cuStreamSynchronize(other))
        return answers


def unjoined(wrong: bool) -> list[str]:
    """A second stream joins the capture, works, and does not come back."""
    with (
        stage(N, N) as (stream, (a, b), (d, e)),
        new_stream() as other,
        new_event() as fork,
        new_event() as back,
    ):

        def branch() -> str:
            do(driver.cuEventRecord(fork, stream))
            do(driver.cuStreamWaitEvent(other, fork, 0))
            answer = code(driver.cuMemcpyHtoDAsync(e.device, b.address, N, other))
            do(driver.cuEventRecord(back, other))
            if not wrong:
                do(driver.cuStreamWaitEvent(stream, back, 0))
            return answer

        return _capture(stream, a, d, THREAD_LOCAL, branch)


def race_in_graph(wrong: bool) -> None:
    """Two branches of one graph write the same bytes."""
    with (
        stage(N, N) as (stream, (a, b), (d, e)),
        new_stream() as other,
        new_event() as fork,
        new_event() as back,
    ):
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
        refused = infer_small(stream, devices)
        ended = code(driver.cuStreamEndCapture(stream))
        return [refused, ended, infer_small(stream, devices)]
