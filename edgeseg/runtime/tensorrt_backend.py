"""TensorRT and TensorRT-RTX on the GPU: the path of a frame to the engine and back.

    mapped   compute    engine                        on the slot's own memory
    copy     arriving   frame, threshold -> device
             compute             engine
             leaving                      mask, score, input check, anomaly map -> slot

Events between the streams order copies and computation. All backends on an engine share the
streams, so that copies of one frame overlap with the computation of another, and frames complete in
the order in which they started. `start` and `finish` allocate nothing.

Tested against a simulated driver, on an H100 and an H200, with stand-ins for TensorRT 8.6 to 11 and
TensorRT-RTX; no engine of either was run.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.cards import EngineCard
from edgeseg.closing import Closing
from edgeseg.config import ANY_GPU, GpuConfig
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.foreign import ordinal_of
from edgeseg.cuda.resources import DeviceBuffer, PinnedView, Resource, Stream
from edgeseg.runtime.base import Slot, output_names
from edgeseg.runtime.device_slot import DeviceSlot, check_frame
from edgeseg.runtime.layer_times import LayerTimes, Prepare, time_each
from edgeseg.runtime.tensorrt_engine import Execution, OpenEngine
from edgeseg.runtime.tensorrt_layers import layer_clock


class TrtBackend(Closing):
    """One request in flight on an engine; `second` returns another on the same engine.

    With mapped memory, each bound slot has an execution context; with copies, each backend has
    one. All contexts of an engine use the same activation memory, one frame after the other.
    """

    def __init__(self, engine: OpenEngine, *, owns_engine: bool = True) -> None:
        self.compute_seconds: float | None = None
        self.copies_map = True
        """Whether the anomaly map is copied to the slot; with mapped memory it always is there."""
        self.card = engine.card.graph
        self._engine, self._owns_engine = engine, owns_engine
        self._others: list[TrtBackend] = []
        self._executions: dict[int, Execution] = {}
        self._device: DeviceBuffer | None = None
        self._borrowed: DeviceArray | None = None
        self._closed = False
        opened, cuda = len(engine.cuda.opened), engine.cuda
        try:
            with cuda.current():
                self._began, self._done = cuda.event(timing=True), cuda.event(timing=True)
                self._arrived, self._finished = cuda.event(), cuda.event(spin=engine.spins)
                if engine.io == "copy":
                    self._device = cuda.buffer(engine.layout.total)
                self._spare: DeviceSlot | None = DeviceSlot.on(cuda, self.card)
                self._resources: list[Resource] = cuda.opened[opened:]
            self.bind(self._spare)
        except BaseException:
            self._resources = cuda.opened[opened:]
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, card: EngineCard, *, gpu: GpuConfig = ANY_GPU) -> "TrtBackend":
        """Open an engine whose card was checked.

        Errors: EngineMismatch and ModelError with TensorRT's messages, CudaError with the driver's,
        MissingExtra without TensorRT or a CUDA binding.
        """
        return cls(OpenEngine(path, card, gpu=gpu))

    @property
    def name(self) -> str:
        """As in `Backend`, with the path that a frame takes and whether a graph is launched."""
        return self._engine.name

    @property
    def shared_bytes(self) -> int:
        """The activation memory that all requests on the engine share."""
        return self._engine.activation_bytes

    def new_slot(self) -> DeviceSlot:
        """Allocate a slot in pinned memory, mapped or copied to the device."""
        with self._engine.cuda.current():
            slot = self._spare or DeviceSlot.on(self._engine.cuda, self.card)
        self._spare = None
        return slot

    def bind(self, slot: Slot) -> None:
        """Fix the addresses that `run` reads and writes; the first time, a slot costs one run."""
        if not isinstance(slot, DeviceSlot):
            raise TypeError("expected a slot of new_slot(): others are not in pinned memory")
        self._slot, device = slot, self._device
        base = slot.inputs.mapped if device is None else device.address
        if base not in self._executions:
            addresses = self._engine.layout.addresses(base)
            with self._engine.cuda.current():
                self._executions[base] = Execution(
                    self._engine, addresses, slot, copies=device is not None
                )
            if device is None:
                slot.clear()
        self._base, self._execution = base, self._executions[base]

    def run(self) -> None:
        """Read the slot's frame and threshold; write its mask, score and anomaly map."""
        self.start()
        self.finish()

    def start(self) -> None:
        """Enqueue the slot's frame: the copy to the device, the engine, and the copy back."""
        with self._engine.cuda.current():
            if self._device is not None:
                self._engine.arriving.copy_in(self._base, self._slot.inputs)
            self._compute()

    def start_on(self, frame: Any) -> None:
        """As `start`, with a frame in GPU memory, which is copied on the GPU."""
        engine = self._engine
        with engine.cuda.current():
            stream = engine.compute if self._device is None else engine.arriving
            self._borrowed = engine.foreign_frames.borrow(frame, stream)
            check_frame(self._borrowed, self.card, ordinal_of(self._base))
            engine.foreign_frames.copy(self._base, self._borrowed, stream)
            if self._device is not None:
                begin = engine.layout.tensors["threshold"].offset
                threshold = self._slot.inputs.part(begin, engine.layout.inputs)
                stream.copy_in(self._base + begin, threshold)
            self._compute()

    def _compute(self) -> None:
        """Enqueue the engine behind the inputs, and the copy of its outputs."""
        engine = self._engine
        if self._device is not None:
            self._arrived.record(engine.arriving)
            engine.compute.wait(self._arrived)
        self._began.record(engine.compute)
        self._execution.launch(engine.compute)
        self._done.record(engine.compute)
        leaving = engine.compute
        if self._device is not None:
            leaving = engine.leaving
            leaving.wait(self._done)
            outputs = self._slot.outputs if self.copies_map else self._slot.without_map
            leaving.copy_out(outputs, self._base + engine.layout.inputs)
        self._finished.record(leaving)

    def finish(self) -> None:
        """Wait until the slot holds the frame's mask, score and anomaly map."""
        with self._engine.cuda.current():
            self._finished.synchronize()
            self.compute_seconds = self._done.seconds_since(self._began)
        self._borrowed = None

    def fetch_frame(self) -> None:
        """Copy the frame on the device to the slot's, unless it is the slot's."""
        if self._device is not None:
            end = self._engine.layout.tensors["frame"].nbytes
            self._fetch(self._slot.inputs.part(0, end), self._base)

    def fetch_map(self) -> None:
        """Copy the anomaly map of the last finished frame to the slot's, if it was left out."""
        if self._device is not None and not self.copies_map:
            self._fetch(self._slot.map, self._base + self._engine.layout.map)

    def _fetch(self, to: PinnedView, address: int) -> None:
        # In a stream of its own: `leaving` waits for the frames that were started since.
        with self._engine.cuda.current():
            self._engine.fetching.copy_out(to, address)
            self._engine.fetching.synchronize()

    def device_outputs(self) -> dict[str, DeviceArray]:
        """Return the outputs of the last finished frame where the engine wrote them."""
        with self._engine.cuda.current():
            ordinal, found = ordinal_of(self._base), {}
        for name in output_names(self.card):
            place = self._engine.layout.tensors[name]
            address = self._base + place.offset
            found[name] = DeviceArray(address, place.shape, place.type, ordinal, owner=self)
        return found

    def layer_times(self, prepare: Prepare, *, warmup: int, iterations: int) -> LayerTimes:
        """Time each layer on the bound slot, in a separate context without a CUDA graph."""
        engine = self._engine
        addresses, stream = engine.layout.addresses(self._base), engine.compute
        with engine.cuda.current():
            clock = layer_clock(engine.api.trt)
            contexts = [engine.context(addresses, graph=False)]
            contexts[0].profiler = clock

            def run() -> None:
                if self._device is not None:
                    stream.copy_in(self._base, self._slot.inputs)
                if not contexts[0].execute_async_v3(stream.pointer):
                    raise engine.failed("failed to run", "engine/run-failed")
                stream.synchronize()
                clock.end_run()

            try:
                seconds = time_each(run, prepare, warmup + iterations)
            finally:
                contexts.clear()  # the traceback of an exception would keep it beyond its GPU
            return LayerTimes(clock.times(warmup, engine.layers()), seconds[warmup:])

    def second(self) -> "TrtBackend":
        """Open another backend on the engine, with execution contexts and events of its own."""
        other = TrtBackend(self._engine, owns_engine=False)
        self._others.append(other)
        return other

    def close(self) -> None:
        """Wait for work in progress, then free everything; the engine only where it is owned."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as stack:
            if self._owns_engine:
                stack.callback(self._engine.close)
            stack.callback(self._release)
            for other in self._others:
                stack.callback(other.close)

    def _release(self) -> None:
        cuda = self._engine.cuda
        with cuda.current(), ExitStack() as stack:
            for resource in self._resources:
                stack.callback(resource.close)
            for execution in self._executions.values():
                stack.callback(execution.close)
            for resource in cuda.opened:
                if isinstance(resource, Stream):
                    stack.callback(resource.synchronize)
        self._executions.clear()
