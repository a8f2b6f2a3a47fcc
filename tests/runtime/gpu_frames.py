"""Frames in the memory of the simulated GPU; each scenario runs in a process of its own."""

import ctypes
import gc

import numpy as np

from edgeseg.cuda import dlpack
from edgeseg.cuda.driver import open_cuda, raw_call
from edgeseg.errors import EdgesegError
from edgeseg.prediction import Model
from tests.runtime.tensorrt_scenarios import Judge, opened
from tools.cudasim import simulator

PAD = 12  # bytes after each row of a pitched frame


class Lender:
    """Fills frames in its own stream, and lends them while that is pending.

    how: dlpack, interface (names its stream), complete (has synchronized), default (its stream
    waits for the default one and is not named), pending (does not tell that it is pending).
    """

    def __init__(self, cuda, card, how="dlpack", *, pitched=False):
        self.how, self.shape = how, card.frame_shape[1:]
        self.cuda, self.row = cuda, self.shape[1] * self.shape[2]
        self.pitch = self.row + (PAD if pitched else 0)
        with cuda.current():
            self.host = cuda.pinned(self.shape[0] * self.pitch)
            self.memory = cuda.buffer(self.shape[0] * self.pitch)
            self.stream, self.filled = cuda.stream(), cuda.event()
        self.blocking = ctypes.c_void_p()
        if how == "default":
            with cuda.current():
                raw_call("cuStreamCreate", ctypes.byref(self.blocking), 0)

    def lend(self, frame):
        with self.cuda.current():
            rows = self.host.view.array.reshape(self.shape[0], self.pitch)
            rows[:, : self.row] = frame.reshape(self.shape[0], self.row)
            if self.how == "default":
                size = ctypes.c_size_t(rows.nbytes)
                to, origin = (
                    ctypes.c_uint64(a) for a in (self.memory.address, self.host.view.address)
                )
                raw_call("cuMemcpyHtoDAsync_v2", to, origin, size, self.blocking)
            else:
                self.stream.copy_in(self.memory.address, self.host.view)
            if self.how == "complete":
                self.stream.synchronize()
        return Lent(self) if self.how == "dlpack" else Described(self)

    def close(self):
        if self.blocking:
            with self.cuda.current():
                raw_call("cuStreamDestroy_v2", self.blocking)


class Lent:
    def __init__(self, lender):
        self.lender = lender

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream):
        lender = self.lender
        assert stream > 2
        with lender.cuda.current():
            lender.filled.record(lender.stream)
            event = ctypes.c_void_p(int(lender.filled.handle))
            raw_call("cuStreamWaitEvent", ctypes.c_void_p(stream), event, 0)
        kind = np.dtype(np.uint8)
        return dlpack.new_capsule(lender.memory.address, lender.shape, kind, 0, self)


class Described:
    def __init__(self, lender):
        streams = {"complete": None, "pending": None, "interface": lender.stream.pointer}
        self.__cuda_array_interface__ = {
            "shape": lender.shape,
            "typestr": "<u1",  # as jetson-utils has it
            "data": (lender.memory.address, True),
            "version": 3,
            "strides": None if lender.pitch == lender.row else (lender.pitch, lender.shape[2], 1),
        }
        if lender.how != "default":
            self.__cuda_array_interface__["stream"] = streams[lender.how]


def backend(frames=30, how="dlpack", pitched=False, **options):
    """Run frames of a lender through a backend; compare all outputs, and what lies on the GPU."""
    with opened(**options) as engine, open_cuda("cuda-python") as cuda:
        judge, slot = Judge(engine), engine.new_slot()
        engine.bind(slot)
        lender = Lender(cuda, engine.card, how, pitched=pitched)
        host = np.empty(engine.card.frame_shape, np.uint8)
        for index in range(frames):
            if index == 1:  # the first frame creates an event
                simulator.steady()
            judge.fill(slot)
            np.copyto(host, slot.frame)
            slot.frame[...] = 0
            engine.start_on(lender.lend(host[0]))
            engine.finish()
            judge.check(slot)
        simulator.steady(False)
        engine.fetch_frame()
        assert (slot.frame == host).all()
        engine.run()  # the slot's own frame again
        judge.check(slot)
        for name, array in engine.device_outputs().items():
            assert (on_host(cuda, array) == getattr(slot, name)).all(), name
        lender.close()
        gc.collect()
        return {"checked": judge.checked, "lent": len(dlpack._lent), "name": engine.name}


def on_host(cuda, array):
    """Read an output through its interface, as another library would."""
    interface = array.__cuda_array_interface__
    assert interface["stream"] is None and interface["version"] == 3
    tensor = dlpack.read_capsule(array.__dlpack__(stream=1, max_version=(1, 0)))
    assert (tensor.address, tensor.shape) == (interface["data"][0], interface["shape"])
    assert tensor.device == array.__dlpack_device__() == (2, 0)
    with cuda.current(), cuda.stream() as stream, cuda.pinned(array.nbytes) as copy:
        stream.copy_out(copy.view, tensor.address)
        stream.synchronize()
        found = copy.view.array.copy()
    return found.view(interface["typestr"]).reshape(tensor.shape)


def model(**options):
    """Call a model with the same frame on the host and on the GPU."""
    codes = []
    with opened(**options) as engine, open_cuda("cuda-python") as cuda:
        found = Model(engine)
        lender = Lender(cuda, engine.card)
        frame = np.random.default_rng(1).integers(0, 256, lender.shape, np.uint8)
        here, there = found(frame), found(lender.lend(frame))
        assert (there.mask == here.mask).all() and there.score == here.score
        assert (there.anomaly_map == here.anomaly_map).all() and there.verdict == here.verdict
        assert (there.draw() == here.draw()).all()
        assert set(there.on_device) == {"mask", "score", "anomaly_map", "input_check"}
        assert (on_host(cuda, there.on_device["mask"])[0] == there.mask).all()
        for call in (
            lambda: here.on_device,
            lambda: found(lender.lend(frame), channels="rgb"),
            lambda: (kept := there.on_device["mask"], found(frame), kept.__dlpack__()),
            there.draw,
        ):
            codes.append(code_of(call))
        found._closed = True
    return codes


def code_of(call):
    try:
        call()
    except EdgesegError as error:
        return [error.code, error.problem, error.remedy]
    return None


def refused(**options):
    """Return the errors of objects that are no frames of this graph."""
    with opened(**options) as engine, open_cuda("cuda-python") as cuda:
        engine.bind(engine.new_slot())
        lender = Lender(cuda, engine.card, "complete")
        height, width, _ = lender.shape

        def other(**changes):
            described = lender.lend(np.zeros(lender.shape, np.uint8))
            described.__cuda_array_interface__.update(changes)
            return code_of(lambda: engine.start_on(described))

        class Refusing(Lent):
            def __dlpack__(self, *, stream):
                raise BufferError("it requires grad")

        return [
            other(typestr="<f4"),
            other(shape=(height // 2, width, 3)),
            other(shape=(3, height, width)),
            other(strides=(width, 1, height * width)),
            other(mask=object()),
            other(data=(1 << 40, False)),
            code_of(lambda: engine.start_on(Refusing(lender))),
            code_of(lambda: engine.run()),
        ]
