"""TensorRT and TensorRT-RTX on the GPU: a frame's way there, through the engine, and back.

    mapped   compute    engine                        on the slot's own memory
    copy     arriving   frame, threshold -> device
             compute             engine
             leaving                      mask, score, map -> slot

An event between two streams is what keeps the engine from a frame that is still being copied. A
backend and its twins share the streams, so that one's copies run beside the other's computing and
the frame that began first ends first. Nothing is allocated, and nothing waited for, between `start`
and the end of `finish`.

Tried against a simulated driver, with stand-ins for TensorRT 8.6 to 11 and TensorRT-RTX; not run on
a GPU.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.cards import EngineCard
from edgeseg.config import ANY_GPU, GpuConfig
from edgeseg.cuda.driver import open_cuda
from edgeseg.cuda.resources import Cuda, Graph, Memory, Owned, Stream
from edgeseg.errors import CudaError, EngineMismatch, ModelError
from edgeseg.log import log
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import INPUTS, Closing, Slot
from edgeseg.runtime.device_slot import DeviceSlot, Layout, choose_io
from edgeseg.runtime.engine_files import rebuild
from edgeseg.runtime.layer_times import LayerTimes, Prepare, time_each
from edgeseg.runtime.tensorrt_layers import inspected_nodes, layer_clock

_IO = {"mapped": "mapped memory (zero-copy)", "copy": "pinned memory, copied"}


class OpenEngine(Closing):
    """An engine on the GPU, with what a backend and its twins share: streams, slots, the log."""

    def __init__(self, path: Path, card: EngineCard, *, gpu: GpuConfig) -> None:
        self.card = card
        self.api = trt.load(card.runtime)
        self.layout = Layout.of(card.graph)
        self.cuda: Cuda = open_cuda(gpu.cuda)
        self._runtime = self._engine = None
        self.errors: list[str] = []
        """TensorRT's words, since they were last reported."""
        self._own = gpu.cuda_graph and not trt.captures_itself(self.api.trt)
        try:
            self.io = choose_io(gpu.io, self.cuda.device)
            with self.cuda.current():
                self._read(path)
                self.compute = self.cuda.stream()
                if self.io == "copy":
                    self.arriving, self.leaving = self.cuda.stream(), self.cuda.stream()
        except BaseException:
            self.close()
            raise
        self.wants_graph = gpu.cuda_graph
        self.graph = "CUDA graph" if self._own else f"CUDA graph by {card.runtime}"
        if not gpu.cuda_graph:
            self.graph = "no CUDA graph (switched off)"

    @property
    def name(self) -> str:
        """The runtime, its version, the GPU, and the way that a frame takes."""
        device, runtime = self.cuda.device, self.card.runtime
        gpu = f"{device.name} (compute capability {device.compute_capability})"
        path = f"{_IO[self.io]}, {self.graph}, {self.cuda.name}"
        return f"{runtime} {self.api.version}, {gpu}, {path}"

    def context(self, addresses: Mapping[str, int], *, graph: bool = True) -> Any:
        """Make an execution context whose tensors lie at fixed addresses."""
        own = graph and self.wants_graph and not self._own
        context = trt.new_context(self.api.trt, self._engine, addresses, capture=own)
        if context is None:
            raise self.failed("gives no execution context")
        return context

    def capture(self, stream: Stream, enqueue: Callable[[Stream], None]) -> Graph | None:
        """Return what `enqueue` does as a graph; None, once said why, where none is to be had."""
        if not (self._own and self.wants_graph):
            return None
        try:
            return stream.capture(lambda: enqueue(stream))
        except (CudaError, ModelError) as error:
            self.wants_graph = False
            self.graph = f"no CUDA graph ({error.problem.rstrip('.')})"
            log.info(f"{self.graph}: each frame is enqueued instead")
            return None

    def layers(self) -> dict[str, tuple[str, ...]]:
        """Return layer -> the graph's nodes in it, as far as the engine tells."""
        return inspected_nodes(trt.inspect(self.api.trt, self._engine))

    def failed(self, what: str) -> ModelError:
        """Return the error for what TensorRT did, with its words since the last one."""
        words, self.errors[:] = "; ".join(self.errors[-3:]), []
        return ModelError(
            f"{self.card.runtime} {self.api.version} {what}: {self.card.file}: "
            f"{words or 'it gives no reason'}.",
            remedy=rebuild(self.card),
        )

    def close(self) -> None:
        """Let go of the engine, then of all that the GPU lent; twice is harmless."""
        with ExitStack() as stack:
            stack.callback(self.cuda.close)
            if self._runtime is not None:
                with self.cuda.current():
                    self._engine = None
                    self._runtime = None

    def _read(self, path: Path) -> None:
        """Open the engine and hold it against its card."""
        library = self.api.trt
        self._runtime = trt.new_runtime(library, trt.logger(library, self._keep))
        self._engine = trt.read_engine(self._runtime, path.read_bytes())
        if self._engine is None:
            failed = self.failed("cannot read the engine")
            raise EngineMismatch(failed.problem, remedy=failed.remedy)
        found = trt.io_tensors(library, self._engine)
        expected = {
            name: trt.IoTensor(tensor.type.name, tensor.shape, name in INPUTS)
            for name, tensor in self.layout.tensors.items()
        }
        if found != expected:
            raise ModelError(
                f"{path} has {_listed(found)}; its card says {_listed(expected)}.",
                remedy=rebuild(self.card),
            )

    def _keep(self, severity: str, text: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            self.errors.append(text)


class _Execution:
    """The engine on fixed addresses, by a graph where there is one.

    Tried once before anything is captured: TensorRT settles what it has to in its first run. A
    context keeps the addresses that its graph was captured with; another slot has another context.
    """

    def __init__(
        self, engine: OpenEngine, addresses: Mapping[str, int], slot: DeviceSlot, *, copies: bool
    ) -> None:
        self._engine = engine
        self._graph: Graph | None = None
        # Never in a variable: an exception's trace would keep it beyond its GPU.
        self._context = engine.context(addresses)
        try:
            # Of its own, so that a capture holds nothing of what a twin does meanwhile.
            with engine.cuda.stream() as stream:
                if copies:
                    stream.copy_in(addresses["frame"], slot.inputs)
                self._enqueue(stream)
                stream.synchronize()
                self._graph = engine.capture(stream, self._enqueue)
        except BaseException:
            self.close()
            raise

    def launch(self, stream: Stream) -> None:
        """Put the engine's work into a stream."""
        if self._graph is None:
            self._enqueue(stream)
        else:
            self._graph.launch(stream)

    def _enqueue(self, stream: Stream) -> None:
        """Put it there without a graph; ModelError with TensorRT's words."""
        if not trt.enqueue(self._context, stream.handle) or self._engine.errors:
            raise self._engine.failed("refuses to run")

    def close(self) -> None:
        """Let go of the graph, then of the context."""
        if self._graph is not None:
            self._graph.close()
        self._context = None


class TrtBackend(Closing):
    """One frame in flight on an engine; a twin has another.

    In mapped memory each slot that is bound costs an execution context, with the engine's memory
    for activations; where frames are copied each backend has one.
    """

    def __init__(self, engine: OpenEngine, *, twin: bool = False) -> None:
        self.compute_seconds: float | None = None
        self.card = engine.card.graph
        self._engine, self._is_twin = engine, twin
        self._twins: list[TrtBackend] = []
        self._executions: dict[int, _Execution] = {}
        self._device: Memory | None = None
        self._closed = False
        owned, cuda = len(engine.cuda.opened), engine.cuda
        try:
            with cuda.current():
                self._began, self._done = cuda.event(timing=True), cuda.event(timing=True)
                self._arrived, self._finished = cuda.event(), cuda.event()
                if engine.io == "copy":
                    self._device = cuda.memory(engine.layout.total)
                self._spare: DeviceSlot | None = DeviceSlot.on(cuda, self.card)
                self._owned: list[Owned] = cuda.opened[owned:]
            self.bind(self._spare)
        except BaseException:
            self._owned = cuda.opened[owned:]
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, card: EngineCard, *, gpu: GpuConfig = ANY_GPU) -> "TrtBackend":
        """Open an engine whose card was checked.

        Errors: EngineMismatch and ModelError with TensorRT's words, CudaError with the driver's,
        MissingExtra without TensorRT or a CUDA binding.
        """
        return cls(OpenEngine(path, card, gpu=gpu))

    @property
    def name(self) -> str:
        """As in `Backend`, with the way that a frame takes and whether a graph is launched."""
        return self._engine.name

    def new_slot(self) -> DeviceSlot:
        """Allocate page-locked memory; what a frame is filled into is what the device gets."""
        with self._engine.cuda.current():
            slot = self._spare or DeviceSlot.on(self._engine.cuda, self.card)
        self._spare = None
        return slot

    def bind(self, slot: Slot) -> None:
        """Fix the addresses that `run` reads and writes; a slot's first time costs a run."""
        if not isinstance(slot, DeviceSlot):
            raise TypeError("a slot of new_slot() was expected: others are not page-locked")
        self._slot, device = slot, self._device
        base = slot.inputs.mapped if device is None else device.address
        if base not in self._executions:
            with self._engine.cuda.current():
                self._executions[base] = _Execution(
                    self._engine,
                    self._engine.layout.addresses(base),
                    slot,
                    copies=device is not None,
                )
            if device is None:
                slot.clear()
        self._base, self._execution = base, self._executions[base]

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        self.start()
        self.finish()

    def start(self) -> None:
        """Enqueue the slot's frame: its copy, its computing, and the copy back."""
        engine = self._engine
        with engine.cuda.current():
            if self._device is not None:
                engine.arriving.copy_in(self._base, self._slot.inputs)
                self._arrived.record(engine.arriving)
                engine.compute.wait(self._arrived)
            self._began.record(engine.compute)
            self._execution.launch(engine.compute)
            self._done.record(engine.compute)
            leaving = engine.compute
            if self._device is not None:
                leaving = engine.leaving
                leaving.wait(self._done)
                leaving.copy_out(self._slot.outputs, self._base + engine.layout.inputs)
            self._finished.record(leaving)

    def finish(self) -> None:
        """Sleep until the slot holds the frame's mask, score and map."""
        with self._engine.cuda.current():
            self._finished.synchronize()
            self.compute_seconds = self._done.seconds_since(self._began)

    def layer_times(self, prepare: Prepare, *, warmup: int, runs: int) -> LayerTimes:
        """Time each layer of the bound slot's frames, in a context of its own, without a graph."""
        engine = self._engine
        addresses = engine.layout.addresses(self._base)
        with engine.cuda.current(), engine.cuda.stream() as stream:
            clock = layer_clock(engine.api.trt)
            contexts = [engine.context(addresses, graph=False)]
            trt.report_layers(contexts[0], clock)

            def run() -> None:
                if self._device is not None:
                    stream.copy_in(self._base, self._slot.inputs)
                if not trt.enqueue(contexts[0], stream.handle):
                    raise engine.failed("refuses to run")
                stream.synchronize()
                clock.end_run()

            try:
                seconds = time_each(run, prepare, warmup + runs)
            finally:
                contexts.clear()  # an exception's trace would keep it beyond its GPU
            return LayerTimes(clock.times(warmup, engine.layers()), seconds[warmup:])

    def twin(self) -> "TrtBackend":
        """Open a second context on the engine, with memory and events of its own."""
        other = TrtBackend(self._engine, twin=True)
        self._twins.append(other)
        return other

    def close(self) -> None:
        """Wait for what is under way, then release everything; of a twin, what is its own."""
        if self._closed:
            return
        self._closed = True
        engine = self._engine
        with ExitStack() as stack:
            if not self._is_twin:
                stack.callback(engine.close)
            stack.callback(self._release)
            for twin in self._twins:
                stack.callback(twin.close)

    def _release(self) -> None:
        cuda = self._engine.cuda
        with cuda.current(), ExitStack() as stack:
            for owned in self._owned:
                stack.callback(owned.close)
            for execution in self._executions.values():
                stack.callback(execution.close)
            for owned in [*cuda.opened]:
                if isinstance(owned, Stream):
                    stack.callback(owned.synchronize)
        self._executions.clear()


def _listed(tensors: Mapping[str, trt.IoTensor]) -> str:
    return ", ".join(f"{name}: {tensors[name]}" for name in sorted(tensors)) or "no tensors"
