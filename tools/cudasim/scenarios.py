"""Scenarios for the driver's functions; each runs in a process of its own (run.py)."""

import ctypes
import threading
import time
from typing import Any

import numpy as np
from cuda.bindings import driver

from edgeseg.cards import GraphCard, InputLimit
from edgeseg.runtime.base import Slot
from edgeseg.runtime.fake import FakeBackend
from tests.kit.cards import make_card
from tools.cudasim import simulator
from tools.cudasim.cuda import NON_BLOCKING, Pinned, code, context, do, new_event, new_stream, stage


def round_trip() -> dict[str, Any]:
    with stage(1000, 1000) as (stream, (up, down), (buffer, _)):
        up.array[:] = np.arange(1000) % 251
        do(driver.cuMemcpyHtoDAsync(buffer.device, up.address, 1000, stream))
        do(driver.cuMemcpyDtoHAsync(down.address, buffer.device, 1000, stream))
        early = int(down.array[0])
        do(driver.cuStreamSynchronize(stream))
        return {"early": early, "same": bool((up.array == down.array).all())}


def infer_in(stream: Any, card: GraphCard, buffers: list[int]) -> int:
    n, h, w, c = card.frame_shape
    return simulator.infer(
        int(stream), tuple(buffers), (n, h, w, c), card.network_size[0], 2, len(card.input_check)
    )


def recorder(height: int, width: int, side: int, batch: int, graph: bool) -> float:
    """Return the largest difference from FakeBackend over ten frames; masks must be the same."""
    check = (InputLimit(name="brightness"), InputLimit(name="contrast"))
    card = make_card(height, width, batch=batch, side=side, threshold=0.25, input_check=check)
    slot = Slot.on_host(card)
    backend = FakeBackend(card)
    backend.bind(slot)
    worst, random = 0.0, np.random.default_rng(0)
    with context():
        stream = do(driver.cuStreamCreate(NON_BLOCKING))
        pinned = {key: Pinned(array.nbytes) for key, array in slot.tensors().items()}
        addresses = [buffer.device for buffer in pinned.values()]
        ours = {
            key: pinned[key].array.view(array.dtype).reshape(array.shape)
            for key, array in slot.tensors().items()
        }
        launch = None
        if graph:
            do(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode(1)))
            assert infer_in(stream, card, addresses) == 0
            captured = do(driver.cuStreamEndCapture(stream))
            launch = do(driver.cuGraphInstantiate(captured, 0))
            do(driver.cuGraphDestroy(captured))
        simulator.steady()
        for _ in range(10):
            slot.frame[...] = random.integers(0, 256, card.frame_shape)
            ours["frame"][...] = slot.frame
            ours["threshold"][...] = slot.threshold
            if launch:
                do(driver.cuGraphLaunch(launch, stream))
            else:
                assert infer_in(stream, card, addresses) == 0
            backend.run()
            do(driver.cuStreamSynchronize(stream))
            assert (ours["mask"] == slot.mask).all()
            for key in ("score", "anomaly_map", "input_check"):
                worst = max(worst, float(abs(ours[key] - slot.tensors()[key]).max()))
        if launch:
            do(driver.cuGraphExecDestroy(launch))
        do(driver.cuStreamDestroy(stream))
        for buffer in pinned.values():
            buffer.free()
    return worst


def answers_before_initialization() -> list[str]:
    return [code(driver.cuDeviceGetCount()), code(driver.cuDevicePrimaryCtxRetain(0))]


def device(numbers: list[int]) -> dict[str, Any]:
    do(driver.cuInit(0))
    return {
        "count": do(driver.cuDeviceGetCount()),
        "name": do(driver.cuDeviceGetName(64, 0)).split(b"\0")[0].decode(),
        "version": do(driver.cuDriverGetVersion()),
        "attributes": [
            do(driver.cuDeviceGetAttribute(driver.CUdevice_attribute(attribute), 0))
            for attribute in numbers
        ],
        "second": code(driver.cuDeviceGet(1)),
    }


def contexts() -> dict[str, Any]:
    """A context is current on a thread that made it so, and dead after its last release."""
    answers: dict[str, Any] = {}
    do(driver.cuInit(0))
    answers["none"] = code(driver.cuMemAlloc(16))
    with context() as primary:
        again = do(driver.cuDevicePrimaryCtxRetain(0))
        answers["same"] = int(again) == int(primary)
        do(driver.cuDevicePrimaryCtxRelease(0))
        answers["state"] = do(driver.cuDevicePrimaryCtxGetState(0))[1]

        def elsewhere() -> None:
            answers["other thread"] = code(driver.cuStreamCreate(NON_BLOCKING))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        do(driver.cuCtxPushCurrent(primary))
    answers["dead"] = code(driver.cuMemAlloc(16))
    answers["popped"] = code(driver.cuCtxPopCurrent())
    answers["empty"] = code(driver.cuCtxPopCurrent())
    answers["current"] = int(do(driver.cuCtxGetCurrent()))
    return answers


def memory() -> dict[str, Any]:
    with stage(1000) as (_, (pinned,), (buffer,)):
        attribute = driver.CUpointer_attribute
        kinds = [attribute.CU_POINTER_ATTRIBUTE_MEMORY_TYPE, attribute.CU_POINTER_ATTRIBUTE_MAPPED]
        return {
            "aligned": [
                address % 256 for address in (pinned.address, pinned.device, buffer.device)
            ],
            "apart": pinned.address != pinned.device,
            "poison": sorted(set(pinned.array.tolist())),
            "kind of device memory": int(do(driver.cuPointerGetAttribute(kinds[0], buffer.device))),
            "kind of pinned memory": int(do(driver.cuPointerGetAttribute(kinds[0], pinned.device))),
            "flags": do(driver.cuMemHostGetFlags(pinned.address)),
            "nothing": [code(driver.cuMemAlloc(0)), code(driver.cuMemHostAlloc(0, 0))],
            "too much": code(driver.cuMemAlloc(1 << 40)),
        }


def copies() -> list[list[int]]:
    """Fill, copy within the device, copy either way by the general call; and all that at once."""
    with stage(64, 64, 64) as (stream, (a, b, c), (d, e, _)):
        a.array[:] = 5
        do(driver.cuMemsetD8Async(d.device, 7, 32, stream))
        do(driver.cuMemsetD32Async(d.device + 32, 0x01020304, 8, stream))
        do(driver.cuMemcpyDtoDAsync(e.device, d.device, 64, stream))
        do(driver.cuMemcpyAsync(b.address, e.device, 64, stream))
        do(driver.cuMemcpyAsync(d.device, a.address, 64, stream))
        do(driver.cuMemcpyAsync(c.device, d.device, 64, stream))
        do(driver.cuStreamSynchronize(stream))
        seen = [[int(b.array[0]), int(b.array[32]), int(b.array[63]), int(c.array[9])]]
        do(driver.cuMemcpyHtoD(d.device, np.full(64, 9, np.uint8).ctypes.data, 64))
        do(driver.cuMemsetD8(d.device, 8, 8))
        do(driver.cuMemcpyDtoD(e.device, d.device, 64))
        ordinary = np.zeros(64, np.uint8)
        do(driver.cuMemcpyDtoH(ordinary.ctypes.data, e.device, 64))
        return [*seen, [int(ordinary[0]), int(ordinary[8])]]


def events() -> dict[str, Any]:
    answers: dict[str, Any] = {}
    with stage(64) as (stream, (a,), (d,)):
        start, end, plain = (do(driver.cuEventCreate(flags)) for flags in (0, 1, 2))
        do(driver.cuEventRecord(start, stream))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, 64, stream))
        do(driver.cuEventRecord(end, stream))
        do(driver.cuEventRecord(plain, stream))
        answers["pending"] = code(driver.cuEventElapsedTime(start, end))
        asked = 0
        while code(driver.cuEventQuery(end)) == "NOT_READY":
            asked += 1
        answers["asked"] = asked < 1000
        do(driver.cuEventSynchronize(end))
        answers["milliseconds"] = do(driver.cuEventElapsedTime(start, end))
        answers["no timing"] = code(driver.cuEventElapsedTime(start, plain))
        for event in (start, end, plain):
            do(driver.cuEventDestroy(event))
        answers["destroyed"] = code(driver.cuEventQuery(end))
    return answers


def streams() -> dict[str, Any]:
    with context():
        stream = do(driver.cuStreamCreateWithPriority(NON_BLOCKING, -9))
        answers = {
            "range": do(driver.cuCtxGetStreamPriorityRange()),
            "priority": do(driver.cuStreamGetPriority(stream)),
            "flags": do(driver.cuStreamGetFlags(stream)),
            "idle": code(driver.cuStreamQuery(stream)),
        }
        do(driver.cuStreamDestroy(stream))
        return answers


def order(streams: int) -> list[int]:
    """Return the order in which host functions of several streams were called, four on each."""
    called: list[int] = []
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda argument: called.append(argument))
    pointer = driver.CUhostFn(_ptr=ctypes.addressof(function))
    with context():
        handles = [do(driver.cuStreamCreate(NON_BLOCKING)) for _ in range(streams)]
        for turn in range(4):
            for i, stream in enumerate(handles):
                do(driver.cuLaunchHostFunc(stream, pointer, 10 * (i + 1) + turn))
        # Bindings of CUDA 12 keep the GIL in every call, which these functions of Python need.
        while len(called) < 4 * streams:
            time.sleep(0.01)
        for stream in handles:
            do(driver.cuStreamDestroy(stream))
    return called


def alone() -> bool:
    """Work goes on though nobody waits for it."""
    done = threading.Event()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: done.set())
    with stage(64) as (stream, _, _):
        pointer = driver.CUhostFn(_ptr=ctypes.addressof(function))
        do(driver.cuLaunchHostFunc(stream, pointer, 0))
        return done.wait(10)


def synchronous_copy_waits() -> int:
    """A copy without a stream comes after the work of blocking streams."""
    with stage(64) as (_, _, (d,)), new_stream(0) as blocking:
        ordinary = np.zeros(64, np.uint8)
        do(driver.cuMemsetD8Async(d.device, 3, 64, blocking))
        do(driver.cuMemcpyDtoH(ordinary.ctypes.data, d.device, 64))
        return int(ordinary[5])


def captured() -> dict[str, Any]:
    """What is captured does not run until launched, and then each time, in every branch."""
    answers: dict[str, Any] = {}
    with (
        stage(64, 64) as (stream, (a, b), (d, e)),
        new_stream() as other,
        new_event(2) as fork,
        new_event(2) as back,
    ):
        a.array[:] = b.array[:] = 1
        answers["before"] = int(do(driver.cuStreamIsCapturing(stream)))
        do(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode(1)))
        answers["twice"] = code(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode(1)))
        do(driver.cuMemcpyHtoDAsync(d.device, a.address, 64, stream))
        do(driver.cuEventRecord(fork, stream))
        do(driver.cuStreamWaitEvent(other, fork, 0))
        do(driver.cuMemcpyDtoDAsync(e.device, d.device, 64, other))
        do(driver.cuEventRecord(back, other))
        answers["during"] = [int(do(driver.cuStreamIsCapturing(s))) for s in (stream, other)]
        answers["info"] = int(do(driver.cuStreamGetCaptureInfo(stream))[0])
        do(driver.cuStreamWaitEvent(stream, back, 0))
        do(driver.cuMemcpyDtoHAsync(b.address, e.device, 64, stream))
        graph = do(driver.cuStreamEndCapture(stream))
        answers["after"] = int(do(driver.cuStreamIsCapturing(other)))
        answers["nodes"] = do(driver.cuGraphGetNodes(graph, 0))[1]
        answers["untouched"] = int(b.array[0])
        params = driver.CUDA_GRAPH_INSTANTIATE_PARAMS()
        launch = do(driver.cuGraphInstantiateWithParams(graph, params))
        do(driver.cuGraphDestroy(graph))
        answers["results"] = []
        for value in (4, 5):
            a.array[:] = value
            do(driver.cuGraphLaunch(launch, other))
            answers["results"].append(int(b.array[0]))
            do(driver.cuStreamSynchronize(other))
            answers["results"].append(int(b.array[0]))
        do(driver.cuGraphExecDestroy(launch))
    return answers


def capture_mode_of_a_thread() -> list[str]:
    """A thread that calls itself RELAXED may allocate while it captures."""
    relaxed, strict = driver.CUstreamCaptureMode(2), driver.CUstreamCaptureMode(0)
    with stage(64) as (stream, _, _):
        before = do(driver.cuThreadExchangeStreamCaptureMode(relaxed))
        do(driver.cuStreamBeginCapture(stream, strict))
        answer = driver.cuMemAlloc(64)
        do(driver.cuGraphDestroy(do(driver.cuStreamEndCapture(stream))))
        do(driver.cuMemFree(answer[1]))
        now = do(driver.cuThreadExchangeStreamCaptureMode(strict))
        return [str(int(before)), code(answer), str(int(now))]


def words() -> list[Any]:
    do(driver.cuInit(0))
    result = driver.CUresult
    try:
        driver.cuDevicePrimaryCtxReset(0)
        missing = "found"
    except RuntimeError as error:
        missing = str(error)
    return [
        do(driver.cuGetErrorName(result.CUDA_ERROR_NOT_READY)).decode(),
        do(driver.cuGetErrorString(result.CUDA_ERROR_NOT_READY)).decode(),
        missing,
        code(driver.cuModuleLoadData(b"")),
    ]
