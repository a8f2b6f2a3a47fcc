"""What TrtBackend does over the simulated driver; each runs in a process of its own (cudasim)."""

import dataclasses
import threading
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from edgeseg.cards import InputLimit, write_card
from edgeseg.config import GpuConfig
from edgeseg.cuda.driver import CudaPython, open_cuda
from edgeseg.errors import CudaError, EdgesegError
from edgeseg.files import sha256
from edgeseg.machine.cuda_library import read_gpus
from edgeseg.runtime.base import Slot
from edgeseg.runtime.device_slot import ALIGNMENT
from edgeseg.runtime.fake import FakeBackend
from edgeseg.runtime.tensorrt import target_of
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tests.kit import fake_trt
from tests.kit.cards import make_card, make_engine_card
from tests.kit.logs import logged
from tests.runtime import test_backends
from tools.cudasim import simulator


def card_of(
    runtime="tensorrt", version="10.3.0", *, shape=(1, 24, 20, 3), side=8, frame_format="bgr"
):
    n, height, width, _ = shape
    graph = make_card(
        height,
        width,
        batch=n,
        side=side,
        frame_format=frame_format,
        name="bottle",
        input_check=(InputLimit(name="brightness"), InputLimit(name="contrast")),
    )
    return make_engine_card(
        graph,
        file="bottle.engine",
        runtime=runtime,
        runtime_version=version,
        target=target_of(read_gpus()[0].compute_capability),
        inputs={"frame": ["uint8", list(shape)], "threshold": ["float32", [1]]},
        outputs={
            "mask": ["uint8", [n, height, width]],
            "score": ["float32", [n]],
            "anomaly_map": ["float32", [n, side, side]],
            "input_check": ["float32", [n, 2]],
        },
    )


@contextmanager
def opened(
    *, version="10.3.0", rtx=False, plan=None, kind=TrtBackend, shape=(1, 24, 20, 3),
    frame_format="bgr", target=None, **options,
):  # fmt: skip
    fake_trt.install(version, rtx=rtx)
    card = card_of(
        "tensorrt-rtx" if rtx else "tensorrt", version, shape=shape, frame_format=frame_format
    )
    card = dataclasses.replace(card, target=target or card.target)
    with TemporaryDirectory() as folder:
        path = Path(folder) / card.file
        path.write_bytes(fake_trt.plan(card) if plan is None else plan(card))
        with kind.open(path, card, gpu=GpuConfig(**options)) as backend:
            yield backend


class Judge:
    """Fills frames, and compares what came back with FakeBackend."""

    def __init__(self, backend):
        self.fake = FakeBackend(backend.card)
        self.expected = Slot.on_host(backend.card)
        self.fake.bind(self.expected)
        self.random = np.random.default_rng(0)
        self.frames = {}
        self.checked = 0

    def fill(self, slot):
        slot.frame[...] = self.random.integers(0, 256, slot.frame.shape, np.uint8)
        slot.threshold[...] = self.random.random()
        self.frames[id(slot)] = (slot.frame.copy(), slot.threshold.copy())

    def check(self, slot):
        self.expected.frame[...], self.expected.threshold[...] = self.frames[id(slot)]
        self.fake.run()
        np.testing.assert_array_equal(slot.mask, self.expected.mask)
        np.testing.assert_allclose(slot.score, self.expected.score, atol=1e-6)
        np.testing.assert_allclose(slot.anomaly_map, self.expected.anomaly_map, atol=1e-6)
        np.testing.assert_allclose(slot.input_check, self.expected.input_check, atol=1e-6)
        self.checked += 1


def stream(frames, in_flight=1, slots=1, **options):
    """Run frames through a ring of slots with `in_flight` requests."""
    with logged() as said, opened(**options) as backend:
        judge = Judge(backend)
        requests = [backend, *(backend.second() for _ in range(in_flight - 1))]
        rings = [[request.new_slot() for _ in range(slots)] for request in requests]
        for request, ring in zip(requests, rings, strict=True):
            for slot in ring:
                request.bind(slot)
        simulator.steady()
        seconds = run_requests(judge, requests, rings, frames)
        simulator.steady(False)
        return {
            "checked": judge.checked,
            "name": backend.name,
            "said": said,
            "seconds": seconds,
            "asked": [str(strategy) for strategy in fake_trt.asked],
            "activation_memories": len(set(fake_trt.lent)),
        }


def run_requests(judge, requests, rings, frames):
    """Each request starts its next frame as soon as its last one was checked."""
    flying, seconds = {}, []
    for index in range(frames + len(requests)):
        number = index % len(requests)
        request = requests[number]
        if number in flying:
            request.finish()
            seconds.append(request.compute_seconds)
            judge.check(flying.pop(number))
        if index < frames:
            slot = rings[number][index // len(requests) % len(rings[number])]
            request.bind(slot)
            judge.fill(slot)
            request.start()
            flying[number] = slot
    return [min(seconds), max(seconds)]


def contract(**options):
    """Run the tests of every backend, on the same frames; then what only this one promises."""
    with opened(shape=(2, 8, 8, 3), frame_format="rgb", **options) as backend:
        test_backends.test_new_slot_is_zeroed_and_has_the_card_s_threshold(backend)
        test_backends.test_new_slot_is_zeroed_and_has_the_card_s_threshold(backend)
        test_backends.test_run_rewrites_the_bound_arrays_in_place(backend)
        test_backends.test_each_pixel_and_each_frame_has_its_own_answer(backend)
        test_backends.test_the_threshold_is_read_in_every_run(backend)
        test_backends.test_bind_turns_to_another_slot(backend)
        test_backends.test_second_has_a_request_of_its_own_in_flight(backend)
        tensors = backend.new_slot().tensors().values()
        assert all(array.ctypes.data % ALIGNMENT == 0 for array in tensors)
        with pytest.raises(TypeError):  # not page-locked
            backend.bind(Slot.on_host(backend.card))
        alone = backend.second()
        alone.close()
        alone.close()
        backend.run()
    backend.close()
    return backend.name


def layers(**options):
    """Time the layers between two runs; return them, and whether the masks stayed right."""
    with opened(**options) as backend:
        judge, slot = Judge(backend), backend.new_slot()
        backend.bind(slot)
        prepared = []
        timed = backend.layer_times(prepared.append, warmup=2, iterations=3)
        judge.fill(slot)
        backend.run()
        judge.check(slot)
        found = [[layer.name, list(layer.nodes), layer.seconds] for layer in timed.layers]
        return {"layers": found, "runs": len(timed.seconds), "prepared": prepared}


def threads(frames, **options):
    """Start in one thread, finish in another, allocate in a third, capturing meanwhile."""
    with opened(**options) as backend:
        judge, problems = Judge(backend), []
        slot = backend.new_slot()
        backend.bind(slot)

        def allocate():
            with open_cuda(options.get("cuda", "auto")) as cuda:
                for _ in range(20):
                    with cuda.current():
                        cuda.pinned(4096).close()
                        cuda.buffer(4096).close()

        def finish():
            try:
                backend.finish()
                judge.check(slot)
            except BaseException as error:
                problems.append(error)

        busy = threading.Thread(target=allocate)
        busy.start()
        for _ in range(3):
            backend.second()  # captures
        busy.join()
        for _ in range(frames):
            judge.fill(slot)
            backend.start()
            other = threading.Thread(target=finish)
            other.start()
            other.join()
        if problems:
            raise problems[0]
        return judge.checked


def growth(frames, **options):
    """Return how many bytes Python holds more after some frames than after a few."""
    with opened(**options) as backend:
        backend.bind(backend.new_slot())
        tracemalloc.start()
        held = []
        for count in (50, frames):
            for _ in range(count):
                backend.run()
            held.append(tracemalloc.get_traced_memory()[0])
        return held[1] - held[0]


def refused_capture(**options):
    simulator.forbid_capture()
    return stream(50, in_flight=2, **options)


def refused_plan(what, **options):
    """Open an engine that is not what its card says; return the error's words."""

    def other(card):
        if what == "shape":
            card.inputs["frame"][1][1] += 1
        elif what == "type":
            card.outputs["score"][0] = "float16"
        elif what == "name":
            card.outputs["map"] = card.outputs.pop("anomaly_map")
        elif what == "mode":
            card.inputs["mask"] = card.outputs.pop("mask")
        elif what == "file":
            return b"nothing"
        return fake_trt.plan(card)

    return failure(plan=other, **options)


def failure(refusals=(), **options):
    """Return what opening and running an engine raises."""
    fake_trt.refusals.update(refusals)
    try:
        with opened(**options) as backend:
            backend.bind(backend.new_slot())
            backend.run()
    except EdgesegError as error:
        return [type(error).__name__, error.code, error.problem, error.remedy]
    return None


GIVING_BACK = ("Destroy", "Free", "FreeHost", "Release", "EndCapture", "Synchronize", "SetCurrent")


def exceptions(**options):
    """Let the first call of the driver fail, then the second...: nothing may stay behind."""
    failed = []
    while True:
        with failing(len(failed)) as hit:
            try:
                run_twice(**options)
            except CudaError as error:
                assert "INJECTED" in error.problem
        if not hit:
            return failed
        failed += hit


def run_twice(**options):
    with opened(**options) as backend:
        second = backend.second()
        for request in (backend, second):
            request.bind(request.new_slot())
            request.run()


@contextmanager
def failing(skipped):
    """Let one call fail, of those that give nothing back; yields a list that then names it."""
    sound, hit, left = CudaPython._call, [], [skipped]

    def call(self, function, *arguments):
        if function.endswith(GIVING_BACK) or hit:
            return sound(self, function, *arguments)
        left[0] -= 1
        if left[0] >= 0:
            return sound(self, function, *arguments)
        hit.append(function)
        raise CudaError(f"{function} failed with INJECTED.", remedy="none")

    CudaPython._call = call
    try:
        yield hit
    finally:
        CudaPython._call = sound


def driver_failure(limit):
    """Ask for more memory than there is."""
    try:
        with open_cuda("cuda-python") as cuda, cuda.current():
            cuda.buffer(limit)
    except EdgesegError as error:
        return [type(error).__name__, error.code, error.problem, error.remedy]
    return None


def through_the_opener(**options):
    """Open an engine by its path, as every command does; return the name and what was said."""
    from edgeseg import loading as opener

    fake_trt.install("10.3.0")
    with logged() as said, TemporaryDirectory() as folder:
        path, card = Path(folder) / "bottle.engine", card_of()
        path.write_bytes(fake_trt.plan(card))
        digest, size = sha256(path), path.stat().st_size
        write_card(
            path.with_suffix(".json"),
            dataclasses.replace(card, sha256=digest, bytes=size),
        )
        with opener.open_model(path, gpu=GpuConfig(**options)) as backend:
            slot = backend.new_slot()
            backend.bind(slot)
            slot.frame[...] = 255
            backend.run()
            assert (slot.mask == 255).all()
            name = backend.name
        path.write_bytes(path.read_bytes() + b" ")
        try:
            opener.open_model(path)
        except EdgesegError as error:
            return name, said, type(error).__name__
    return None


def freed_resources():
    """A resource is freed once; the context frees what is still open."""
    cuda = open_cuda("cuda-python")
    with cuda.current():
        pinned, stream, event = cuda.pinned(1000), cuda.stream(), cuda.event(timing=True)
        assert not pinned.view.array.any() and pinned.view.array.nbytes == 1000
        assert pinned.view.part(256, 512).address == pinned.view.address + 256
        memory = cuda.buffer(1000)
        pinned.view.array[:] = 7
        stream.copy_in(memory.address, pinned.view)
        stream.copy_out(pinned.view, memory.address)
        event.record(stream)
        event.synchronize()
        assert (pinned.view.array == 7).all()
    open_before = len(cuda.opened)
    for owned in (event, event, memory):
        owned.close()
    assert open_before - len(cuda.opened) == 2
    cuda.close()
    cuda.close()
    assert cuda.opened == []
    return [cuda.device.name, cuda.device.compute_capability, cuda.device.integrated]
