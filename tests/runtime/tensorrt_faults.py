"""Planted faults: each is one line of the backend gone wrong, for the driver to report."""

import threading
from contextlib import suppress

from edgeseg.cuda.driver import CudaPython
from edgeseg.cuda.resources import CudaContext, Resource, Stream
from edgeseg.errors import CudaError
from edgeseg.runtime import tensorrt_engine
from edgeseg.runtime.device_slot import DeviceSlot
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tests.kit import fake_trt
from tests.runtime.tensorrt_scenarios import stream

PLANTED = {}
"""By name: a function that breaks the backend."""


def fault(function):
    PLANTED[function.__name__] = function
    return function


def planted(name, frames=60, **options):
    """Stream with a fault in the backend; what the driver says is in the report."""
    PLANTED[name]()
    try:
        return stream(frames, **options)
    except AssertionError as error:
        return {"checked": 0, "wrong": str(error)[:200]}


@fault
def no_wait_for_the_frame():
    _skip_waits_of("compute")


@fault
def no_wait_for_the_mask():
    _skip_waits_of("leaving")


def _skip_waits_of(stream):
    engines = []
    begin, sound = tensorrt_engine.OpenEngine.__init__, Stream.wait

    def remember(self, *arguments, **options):
        engines.append(self)
        begin(self, *arguments, **options)

    def wait(self, event):
        if self is not getattr(engines[-1], stream, None):
            sound(self, event)

    tensorrt_engine.OpenEngine.__init__, Stream.wait = remember, wait


@fault
def read_before_its_event():
    def finish(self):
        self.compute_seconds = 0.0

    TrtBackend.finish = finish


@fault
def leaked_graph():
    tensorrt_engine.Execution.close = lambda self: setattr(self, "_context", None)
    sound = CudaContext.close

    def close(self):
        self.opened[:] = [owned for owned in self.opened if type(owned).__name__ != "CudaGraph"]
        sound(self)

    CudaContext.close = close


@fault
def leaked_context():
    kept = []
    sound = tensorrt_engine.Execution.close

    def close(self):
        kept.append(self._context)
        sound(self)

    tensorrt_engine.Execution.close = close
    fake_trt.IExecutionContext.__del__ = lambda self: None


@fault
def leaked_memory():
    Resource.close = lambda self: None


@fault
def an_allocation_for_each_frame():
    sound = TrtBackend.start

    def start(self):
        DeviceSlot.on(self._engine.cuda, self.card)
        sound(self)

    TrtBackend.start = start


@fault
def freed_while_in_use():
    sound = TrtBackend.start

    def start(self):
        sound(self)
        for owned in [o for o in self._engine.cuda.opened if type(o).__name__ == "PinnedBuffer"]:
            owned.close()
        raise CudaError("enough was seen", remedy="")  # the slot's arrays are no more

    TrtBackend.start = start


@fault
def global_capture():
    """The camera's thread allocates while this one captures."""

    def begin(self, stream):
        mode = self._cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL
        self._call("cuStreamBeginCapture", stream, mode)
        other = threading.Thread(target=allocate, args=(self,))
        other.start()
        other.join()

    def allocate(calls):
        with calls, suppress(CudaError):
            calls.pinned_free(calls.pinned_new(4096)[0])

    CudaPython.capture_begin = begin


@fault
def reused_too_early():
    """The next frame is written into the slot before the last one was fetched."""
    sound = TrtBackend.start

    def start(self):
        sound(self)
        self._slot.frame[...] = 0

    TrtBackend.start = start
