"""One GPU: its memory, streams, events and graphs, each given back once.

    with open_cuda() as cuda, cuda.current():       cuda/driver.py
        frame = cuda.host(1 << 20)                  page-locked, with an address on the device
        stream, done = cuda.stream(), cuda.event()
        stream.copy_in(memory.address, frame)
        done.record(stream)
        done.synchronize()

What is still open when the GPU closes is closed by it, the newest first: an exception on the way
leaves nothing behind. Streams are never the default one, on which TensorRT waits for the device.
"""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import CudaError

T = TypeVar("T")
Bytes = NDArray[np.uint8]
Raw = Any
"""What a binding calls a block of memory, a stream, an event or a graph."""

_BLOCKING_SYNC, _NO_TIMING = 1, 2  # CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING


class Calls(Protocol):
    """The driver's calls that edgeseg makes. `with calls:` makes the context current."""

    name: str
    """`cuda-python 13.5.0`."""

    def __enter__(self) -> "Calls": ...
    def __exit__(self, *raised: object) -> None: ...
    def attribute(self, name: str) -> int:
        """Return a device attribute by its name without `CU_DEVICE_ATTRIBUTE_`."""
        ...

    def device_name(self) -> str: ...
    def close(self) -> None:
        """Give the context back."""
        ...

    def host_new(self, nbytes: int) -> tuple[Raw, Bytes]:
        """Allocate page-locked memory, mapped into the device's addresses."""
        ...

    def host_mapped(self, host: Raw) -> int: ...
    def host_free(self, host: Raw) -> None: ...
    def device_new(self, nbytes: int) -> Raw: ...
    def device_free(self, memory: Raw) -> None: ...
    def stream_new(self) -> Raw: ...
    def stream_handle(self, stream: Raw) -> int: ...
    def stream_wait(self, stream: Raw, event: Raw) -> None: ...
    def stream_synchronize(self, stream: Raw) -> None: ...
    def stream_free(self, stream: Raw) -> None: ...
    def event_new(self, flags: int) -> Raw: ...
    def event_record(self, event: Raw, stream: Raw) -> None: ...
    def event_synchronize(self, event: Raw) -> None: ...
    def event_milliseconds(self, start: Raw, end: Raw) -> float: ...
    def event_free(self, event: Raw) -> None: ...
    def copy_in(self, target: int, source: Bytes, address: int, stream: Raw) -> None:
        """Begin to copy host memory, which lies at `address`, to the device."""
        ...

    def copy_out(self, target: Bytes, address: int, source: int, stream: Raw) -> None: ...
    def capture_begin(self, stream: Raw) -> None: ...
    def capture_end(self, stream: Raw) -> Raw:
        """Return the graph, ready to launch."""
        ...

    def graph_launch(self, graph: Raw, stream: Raw) -> None: ...
    def graph_free(self, graph: Raw) -> None: ...


@dataclass(frozen=True)
class Device:
    """What CUDA says of a GPU."""

    name: str
    compute_capability: str
    """`8.7`."""
    integrated: bool
    """Whether it shares the processor's memory, as a Jetson's does."""


class _Closing:
    """A context manager that closes at its end."""

    def close(self) -> None: ...

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Owned(_Closing):
    """Something that the driver lent; closing it twice is harmless."""

    def __init__(self, cuda: "Cuda", raw: Raw, free: Callable[[Raw], None]) -> None:
        self._cuda, self.raw, self._free = cuda, raw, free
        cuda.opened.append(self)

    def close(self) -> None:
        """Give it back."""
        if self.raw is None:
            return
        with self._cuda.current():
            raw, self.raw = self.raw, None
            self._cuda.opened.remove(self)
            self._free(raw)
            del raw  # PyCUDA's streams and events end with their last reference


@dataclass(frozen=True)
class Piece:
    """A part of page-locked memory, ready to be copied without a thought for each frame."""

    array: Bytes
    address: int
    mapped: int
    """Its address on the device."""

    def part(self, start: int, end: int) -> "Piece":
        """Return the bytes from `start` to `end`."""
        return Piece(self.array[start:end], self.address + start, self.mapped + start)


class Host(Owned):
    """Page-locked memory, zeroed, that the device can also read and write where it lies."""

    def __init__(self, cuda: "Cuda", nbytes: int) -> None:
        raw, array = cuda.calls.host_new(nbytes)
        super().__init__(cuda, raw, cuda.calls.host_free)
        array[...] = 0
        self.piece = Piece(array, array.ctypes.data, cuda.calls.host_mapped(raw))

    def leave(self) -> None:
        """Never give it back, nor the context that it lies in: somebody may still write there."""
        if self.raw is None:
            return
        self._cuda.opened.remove(self)
        self._cuda.leaves = True
        # Without end: PyCUDA would free both with their last reference, before the process ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((self.raw, self._cuda.calls)))
        self.raw = None


class Memory(Owned):
    """Memory of the device."""

    def __init__(self, cuda: "Cuda", nbytes: int) -> None:
        super().__init__(cuda, cuda.calls.device_new(nbytes), cuda.calls.device_free)
        self.address = int(self.raw)


class Event(Owned):
    """A mark in a stream, for other streams and the program to wait for."""

    def __init__(self, cuda: "Cuda", *, timing: bool) -> None:
        # Who waits sleeps: spinning takes the core that the camera's thread needs.
        flags = _BLOCKING_SYNC | (0 if timing else _NO_TIMING)
        super().__init__(cuda, cuda.calls.event_new(flags), cuda.calls.event_free)

    def record(self, stream: "Stream") -> None:
        """Mark what was enqueued in the stream so far."""
        self._cuda.calls.event_record(self.raw, stream.raw)

    def synchronize(self) -> None:
        """Wait until the stream has come to the mark."""
        self._cuda.calls.event_synchronize(self.raw)

    def seconds_since(self, start: "Event") -> float:
        """Return the device's time between two marks that it has passed."""
        return self._cuda.calls.event_milliseconds(start.raw, self.raw) / 1e3


class Graph(Owned):
    """What a stream was told to do, to be told again by one call."""

    def launch(self, stream: "Stream") -> None:
        """Enqueue all of it."""
        self._cuda.calls.graph_launch(self.raw, stream.raw)


class Stream(Owned):
    """Work that the device does in order."""

    def __init__(self, cuda: "Cuda") -> None:
        super().__init__(cuda, cuda.calls.stream_new(), cuda.calls.stream_free)
        self.handle = cuda.calls.stream_handle(self.raw)
        """What TensorRT takes."""

    def copy_in(self, target: int, source: Piece) -> None:
        """Begin to copy to the device's address `target`."""
        self._cuda.calls.copy_in(target, source.array, source.address, self.raw)

    def copy_out(self, target: Piece, source: int) -> None:
        """Begin to copy from the device's address `source`."""
        self._cuda.calls.copy_out(target.array, target.address, source, self.raw)

    def wait(self, event: Event) -> None:
        """Let what is enqueued from now on wait for a mark in another stream."""
        self._cuda.calls.stream_wait(self.raw, event.raw)

    def synchronize(self) -> None:
        """Wait until all is done."""
        self._cuda.calls.stream_synchronize(self.raw)

    def drain(self) -> None:
        """Wait, in whichever thread, until nothing more reads or writes memory."""
        if self.raw is not None:
            with self._cuda.current():
                self.synchronize()

    def close(self) -> None:
        """Wait for what is under way, and give the stream back."""
        try:
            self.drain()
        finally:
            super().close()

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Return as a graph what `enqueue` puts into the stream; nothing of it is done.

        The capture is this thread's alone. CudaError for what no graph can hold; the stream is
        usable again after it.
        """
        calls = self._cuda.calls
        calls.capture_begin(self.raw)
        try:
            enqueue()
        except BaseException:
            with suppress(CudaError):  # a broken capture has to be ended too
                calls.graph_free(calls.capture_end(self.raw))
            raise
        return Graph(self._cuda, calls.capture_end(self.raw), calls.graph_free)


class Cuda(_Closing):
    """The first GPU, by one of the bindings."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.name = calls.name
        self.opened: list[Owned] = []
        """What was not given back yet."""
        self.leaves = False
        """Whether something stays until the end of the process, and with it the context."""
        self._closed = False
        try:
            with calls:
                major = calls.attribute("COMPUTE_CAPABILITY_MAJOR")
                minor = calls.attribute("COMPUTE_CAPABILITY_MINOR")
                integrated = bool(calls.attribute("INTEGRATED"))
                self.device = Device(calls.device_name(), f"{major}.{minor}", integrated)
        except BaseException:
            self.close()
            raise

    def current(self) -> Calls:
        """Return the context, to be made current in this thread by `with`."""
        return self.calls

    def host(self, nbytes: int) -> Host:
        """Allocate page-locked memory, on a page's boundary."""
        return Host(self, nbytes)

    def memory(self, nbytes: int) -> Memory:
        """Allocate memory of the device, on a boundary of 256 bytes."""
        return Memory(self, nbytes)

    def stream(self) -> Stream:
        """Open a stream that does not wait for the default one."""
        return Stream(self)

    def event(self, *, timing: bool = False) -> Event:
        """Make an event; timing: `seconds_since` can be asked of it."""
        return Event(self, timing=timing)

    def close(self) -> None:
        """Let the streams end, close what is open, the newest first, and give the context back."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as stack:  # what fails does not keep the rest open
            if not self.leaves:
                stack.callback(self.calls.close)
            for owned in self.opened:
                stack.callback(owned.close)
            for owned in self.opened:
                if isinstance(owned, Stream):
                    stack.callback(owned.drain)
