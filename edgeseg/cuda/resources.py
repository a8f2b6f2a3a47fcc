"""CUDA resources: pinned memory, device buffers, streams, events and graphs, each freed once.

    with open_cuda() as cuda, cuda.current():       cuda/driver.py
        frame = cuda.pinned(1 << 20)                page-locked, mapped into the device's addresses
        buffer, stream, done = cuda.buffer(1 << 20), cuda.stream(), cuda.event()
        stream.copy_in(buffer.address, frame.view)
        done.record(stream)
        done.synchronize()

A context closes the resources that are still open, newest first, so an exception leaks nothing.
Streams are non-blocking: TensorRT synchronizes the device on the default stream.
"""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.closing import Closing
from edgeseg.errors import CudaError

if TYPE_CHECKING:
    from edgeseg.cuda.driver import Driver

Bytes = NDArray[np.uint8]
Handle = Any
"""A binding's object for a block of memory, a stream, an event or a graph."""

_BLOCKING_SYNC, _NO_TIMING = 1, 2  # CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING


@dataclass(frozen=True)
class Device:
    """A GPU as CUDA reports it."""

    name: str
    compute_capability: str
    """`8.7`."""
    integrated: bool
    """Whether it shares the CPU's memory, as on a Jetson."""


class Resource(Closing):
    """Anything allocated through the driver; closing it twice is harmless."""

    def __init__(self, cuda: "CudaContext", handle: Handle, free: Callable[[Handle], None]) -> None:
        self._cuda, self.handle, self._free = cuda, handle, free
        cuda.opened.append(self)

    def close(self) -> None:
        """Free it."""
        if self.handle is None:
            return
        with self._cuda.current():
            handle, self.handle = self.handle, None
            self._cuda.opened.remove(self)
            self._free(handle)
            del handle  # PyCUDA frees streams and events with their last reference


@dataclass(frozen=True)
class PinnedView:
    """A range of pinned memory, prepared for copies that allocate nothing."""

    array: Bytes
    address: int
    mapped: int
    """Its address on the device."""

    def part(self, start: int, end: int) -> "PinnedView":
        """Return the bytes from `start` to `end`."""
        return PinnedView(self.array[start:end], self.address + start, self.mapped + start)


class PinnedBuffer(Resource):
    """Page-locked memory, zeroed, which the device can also access in place."""

    def __init__(self, cuda: "CudaContext", nbytes: int) -> None:
        handle, array = cuda.driver.pinned_new(nbytes)
        super().__init__(cuda, handle, cuda.driver.pinned_free)
        array[...] = 0
        self.view = PinnedView(array, array.ctypes.data, cuda.driver.pinned_mapped(handle))

    def keep_until_exit(self) -> None:
        """Never free it, nor its context: another thread may still write there."""
        if self.handle is None:
            return
        self._cuda.opened.remove(self)
        self._cuda.kept_until_exit = True
        # A reference that is never dropped: PyCUDA frees both with their last reference.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((self.handle, self._cuda.driver)))
        self.handle = None


class DeviceBuffer(Resource):
    """Memory of the device."""

    def __init__(self, cuda: "CudaContext", nbytes: int) -> None:
        super().__init__(cuda, cuda.driver.device_new(nbytes), cuda.driver.device_free)
        self.nbytes = nbytes
        self.address = int(self.handle)


class Event(Resource):
    """A point in a stream that other streams and the host can wait for."""

    def __init__(self, cuda: "CudaContext", *, timing: bool, spin: bool) -> None:
        flags = (0 if spin else _BLOCKING_SYNC) | (0 if timing else _NO_TIMING)
        super().__init__(cuda, cuda.driver.event_new(flags), cuda.driver.event_free)

    def record(self, stream: "Stream") -> None:
        """Record the event after the work enqueued in the stream so far."""
        self._cuda.driver.event_record(self.handle, stream.handle)

    def synchronize(self) -> None:
        """Wait until the stream has reached the event."""
        self._cuda.driver.event_synchronize(self.handle)

    def seconds_since(self, start: "Event") -> float:
        """Return the device's time between two completed events."""
        return self._cuda.driver.event_milliseconds(start.handle, self.handle) / 1e3


class CudaGraph(Resource):
    """Captured work of a stream, launched by one call."""

    def launch(self, stream: "Stream") -> None:
        """Enqueue the captured work."""
        self._cuda.driver.graph_launch(self.handle, stream.handle)


class Stream(Resource):
    """A queue of work that the device executes in order."""

    def __init__(self, cuda: "CudaContext") -> None:
        super().__init__(cuda, cuda.driver.stream_new(), cuda.driver.stream_free)
        self.pointer = cuda.driver.stream_pointer(self.handle)
        """The stream as an integer, for TensorRT."""

    def copy_in(self, target: int, source: PinnedView) -> None:
        """Enqueue a copy to the device's address `target`."""
        self._cuda.driver.copy_in(target, source.array, source.address, self.handle)

    def copy_out(self, target: PinnedView, source: int) -> None:
        """Enqueue a copy from the device's address `source`."""
        self._cuda.driver.copy_out(target.array, target.address, source, self.handle)

    def wait(self, event: Event) -> None:
        """Make later work in this stream wait for an event of another."""
        self._cuda.driver.stream_wait(self.handle, event.handle)

    def synchronize(self) -> None:
        """Wait until all work is done."""
        self._cuda.driver.stream_synchronize(self.handle)

    def drain(self) -> None:
        """Synchronize, from any thread; nothing accesses memory through the stream afterwards."""
        if self.handle is not None:
            with self._cuda.current():
                self.synchronize()

    def close(self) -> None:
        """Synchronize and destroy the stream."""
        try:
            self.drain()
        finally:
            super().close()

    def capture(self, enqueue: Callable[[], None]) -> CudaGraph:
        """Capture the work that `enqueue` puts into the stream, without executing it.

        The capture is local to this thread. CudaError for work that cannot be captured; the stream
        remains usable.
        """
        driver = self._cuda.driver
        driver.capture_begin(self.handle)
        try:
            enqueue()
        except BaseException:
            with suppress(CudaError):  # an invalid capture has to be ended too
                driver.graph_free(driver.capture_end(self.handle))
            raise
        return CudaGraph(self._cuda, driver.capture_end(self.handle), driver.graph_free)


class CudaContext(Closing):
    """The primary context of a GPU, through one of the bindings."""

    def __init__(self, driver: "Driver") -> None:
        self.driver = driver
        self.opened: list[Resource] = []
        """Resources that are still open."""
        self.kept_until_exit = False
        """Whether a resource stays until the process ends, and with it the context."""
        self._closed = False
        try:
            with driver:
                major = driver.attribute("COMPUTE_CAPABILITY_MAJOR")
                minor = driver.attribute("COMPUTE_CAPABILITY_MINOR")
                integrated = bool(driver.attribute("INTEGRATED"))
                self.device = Device(driver.device_name(), f"{major}.{minor}", integrated)
        except BaseException:
            self.close()
            raise

    def current(self) -> "Driver":
        """Return a context manager that makes the context current in this thread."""
        return self.driver

    def pinned(self, nbytes: int) -> PinnedBuffer:
        """Allocate pinned memory, aligned to a page."""
        return PinnedBuffer(self, nbytes)

    def buffer(self, nbytes: int) -> DeviceBuffer:
        """Allocate device memory, aligned to 256 bytes."""
        return DeviceBuffer(self, nbytes)

    def stream(self) -> Stream:
        """Create a stream that does not synchronize with the default stream."""
        return Stream(self)

    def event(self, *, timing: bool = False, spin: bool = False) -> Event:
        """Create an event; `seconds_since` needs timing.

        spin: `synchronize` occupies a core instead of sleeping, and returns sooner. On a Jetson the
        driver may let it sleep all the same.
        """
        return Event(self, timing=timing, spin=spin)

    def close(self) -> None:
        """Synchronize the streams, close what is open, newest first, and release the context."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as stack:  # an error does not keep the rest open
            if not self.kept_until_exit:
                stack.callback(self.driver.close)
            for resource in self.opened:
                stack.callback(resource.close)
            for resource in self.opened:
                if isinstance(resource, Stream):
                    stack.callback(resource.drain)
