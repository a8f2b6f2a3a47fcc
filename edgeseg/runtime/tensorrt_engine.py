"""An engine opened on the GPU, and its execution contexts on fixed addresses.

The contexts share one activation memory, so they all run in one stream. Each runs once before its
work is captured as a CUDA graph, because TensorRT may allocate in the first run. TensorRT-RTX
captures by itself.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeseg.cards import EngineCard
from edgeseg.closing import Closing
from edgeseg.config import GpuConfig
from edgeseg.cuda.driver import open_cuda
from edgeseg.cuda.foreign import ForeignFrames
from edgeseg.cuda.kernel_cache import KernelCache
from edgeseg.cuda.resources import CudaContext, CudaGraph, DeviceBuffer, Stream
from edgeseg.errors import CudaError, EngineMismatch, ModelError
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.machine.threads import cpu_threads
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import INPUTS
from edgeseg.runtime.choice import get_lean
from edgeseg.runtime.device_slot import DeviceSlot, Layout, choose_io, spins
from edgeseg.runtime.engine_files import rebuild
from edgeseg.runtime.tensorrt_layers import inspected_nodes

CAPTURES_ITSELF = "CudaGraphStrategy"  # the attribute of a library whose contexts capture graphs
_NUMPY = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT32": "int32"}
_IO = {"mapped": "mapped memory (zero-copy)", "copy": "pinned memory, copied"}


class OpenEngine(Closing):
    """An engine on the GPU with what its backends share: CUDA context, streams, TensorRT's log."""

    def __init__(self, path: Path, card: EngineCard, *, gpu: GpuConfig) -> None:
        self.card, self._number = card, gpu.device
        self.api = trt.load(card.runtime, lean=card.lean)
        self.layout = Layout.of(card.graph)
        self.cuda: CudaContext = open_cuda(gpu.cuda, gpu.device)
        self._runtime: Any = None
        self._engine: Any = None
        self._activations: DeviceBuffer | None = None
        named = path.with_name(card.file)
        self.kernels = KernelCache(named) if self.api.compiles_kernels else None
        self.errors: list[str] = []
        """TensorRT's error messages that were not reported yet."""
        self._captures = gpu.cuda_graph and not hasattr(self.api.trt, CAPTURES_ITSELF)
        try:
            self._check_target()
            self.io = choose_io(gpu.io, self.cuda.device)
            self.spins = spins(gpu.wait, self.cuda.device, cpu_threads(None))
            with self.cuda.current():
                self._read(path)
                self.activation_bytes = self.api.activation_bytes(self._engine)
                if self.activation_bytes:
                    self._activations = self.cuda.buffer(self.activation_bytes)
                self.compute = self.cuda.stream()
                if self.io == "copy":
                    self.arriving, self.leaving = self.cuda.stream(), self.cuda.stream()
                    self.fetching = self.cuda.stream()
        except BaseException:
            self.close()
            raise
        self.wants_graph = gpu.cuda_graph
        self.graph = "CUDA graph" if self._captures else f"CUDA graph by {card.runtime}"
        if not gpu.cuda_graph:
            self.graph = "no CUDA graph (disabled)"

    @cached_property
    def foreign_frames(self) -> ForeignFrames:
        """What brings frames of other libraries to an engine; the context is current."""
        return ForeignFrames(self.cuda)

    @property
    def name(self) -> str:
        """The runtime, its version, the GPU, and the path that a frame takes."""
        device, runtime = self.cuda.device, self.card.runtime
        gpu = f"{device.name} (compute capability {device.compute_capability})"
        wait = "spinning wait" if self.spins else "blocking wait"
        path = f"{_IO[self.io]}, {self.graph}, {self.cuda.driver.name}, {wait}"
        return f"{runtime} {self.api.version}, {gpu}, {path}"

    def context(self, addresses: Mapping[str, int], *, graph: bool = True) -> Any:
        """Create an execution context whose tensors lie at fixed addresses."""
        captures_itself = graph and self.wants_graph and not self._captures
        context = self._new_context(addresses, captures_itself)
        if context is None:
            raise self.failed("created no execution context", "engine/no-context")
        self._survived()
        return context

    def _new_context(self, addresses: Mapping[str, int], captures_itself: bool) -> Any:
        # Not in `context`: the traceback of its exception would keep a refused context.
        context = self.api.new_context(
            self._engine, captures_graph=captures_itself, kernels=self.kernels
        )
        if context is None:
            return None
        if self._activations is not None:
            self.api.lend_memory(context, self._activations.address, self._activations.nbytes)
        accepted = [context.set_tensor_address(name, place) for name, place in addresses.items()]
        return context if all(accepted) else None

    def capture(self, stream: Stream, enqueue: Callable[[Stream], None]) -> CudaGraph | None:
        """Return the work of `enqueue` as a graph; None, logged once, where capture fails."""
        if not (self._captures and self.wants_graph):
            return None
        try:
            return stream.capture(lambda: enqueue(stream))
        except (CudaError, ModelError) as error:
            self.wants_graph = False
            self.graph = f"no CUDA graph ({error.problem.rstrip('.')})"
            log.warning(f"{self.graph}: each frame is enqueued instead")
            return None

    def layers(self) -> dict[str, tuple[str, ...]]:
        """Return layer -> its nodes of the graph, as far as the engine tells."""
        if not hasattr(self.api.trt, "EngineInspector"):  # the lean runtime
            return {}
        inspector = self._engine.create_engine_inspector()
        form = self.api.trt.LayerInformationFormat.JSON
        return inspected_nodes(str(inspector.get_engine_information(form)))

    def failed(self, what: str, code: str) -> ModelError:
        """Return an error with TensorRT's messages since the last one."""
        said, self.errors[:] = self.errors[-3:], []
        return ModelError(
            f"{self.card.runtime} {self.api.version} {what}: {self.card.file}: "
            f"{'; '.join(said) or 'no reason given'}.",
            remedy=trt.remedy_of(said) or rebuild(self.card, this_machine(self._number)),
            code=code,
        )

    def close(self) -> None:
        """Free the engine, then all CUDA resources; idempotent."""
        with ExitStack() as stack:
            stack.callback(self.cuda.close)
            if self._runtime is not None:
                with self.cuda.current():
                    if self.kernels is not None:
                        self.kernels.close()
                    self._engine = None
                    self._runtime = None

    def _check_target(self) -> None:
        """Compare the card's target with the device that will run the engine."""
        device = self.cuda.device
        found = trt.target_of(device.compute_capability)
        if not trt.runs_on(self.card.target, device.compute_capability):
            raise EngineMismatch(
                f"{self.card.file} was built for {self.card.target}; the GPU that would run it is "
                f"{device.name}, {found}.",
                remedy=rebuild(self.card, this_machine(self._number)),
                code="engine/other-gpu",
            )

    def _read(self, path: Path) -> None:
        """Deserialize the engine and compare its tensors with the card's."""
        library = self.api.trt
        self._runtime, _ = trt.start(self.api, "Runtime", self._keep_error)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            if any(map(trt.OLD_DRIVER.search, self.errors)):  # TensorRT-RTX starts without a driver
                raise trt.not_started(self.api, self.errors)
            failed = self.failed("cannot read the engine", "engine/unreadable")
            remedy = failed.remedy
            if self.card.lean and not self.api.lean:  # trtexec demands the lean runtime as well
                remedy = get_lean(self.card.runtime_version, this_machine(self._number))
            raise EngineMismatch(failed.problem, remedy=remedy, code=failed.code)
        self._survived()
        found = _tensors(library, self._engine)
        expected = {
            name: IoTensor(tensor.type.name, tensor.shape, name in INPUTS)
            for name, tensor in self.layout.tensors.items()
        }
        if found != expected:
            raise ModelError(
                f"{path} has {_listed(found)} (expected by its card: {_listed(expected)}).",
                remedy=rebuild(self.card, this_machine(self._number)),
                code="engine/other-tensors",
            )

    def _survived(self) -> None:
        """Log errors that TensorRT survived, so that they are not taken for those of a frame."""
        for text in self.errors:
            log.warning(f"{self.card.runtime} went on after an error: {text}")
        self.errors.clear()

    def _keep_error(self, severity: str, text: str) -> None:
        if severity in trt.SEVERE:
            self.errors.append(text)


class Execution:
    """An execution context on fixed addresses, launched as a CUDA graph where there is one.

    A context keeps the addresses of its captured graph; another slot has another context.
    """

    def __init__(
        self, engine: OpenEngine, addresses: Mapping[str, int], slot: DeviceSlot, *, copies: bool
    ) -> None:
        self._engine = engine
        self._graph: CudaGraph | None = None
        # No local variable: the traceback of an exception would keep it beyond its GPU.
        self._context = engine.context(addresses)
        try:
            # In the stream of all contexts: they share their activation memory.
            if copies:
                engine.compute.copy_in(addresses["frame"], slot.inputs)
            self._enqueue(engine.compute)
            engine.compute.synchronize()
            if engine.kernels is not None:
                engine.kernels.keep()
            # A stream of its own, so that the capture contains no other context's work.
            with engine.cuda.stream() as stream:
                self._graph = engine.capture(stream, self._enqueue)
        except BaseException:
            self.close()
            raise

    def launch(self, stream: Stream) -> None:
        """Enqueue the engine's work in a stream."""
        if self._graph is None:
            self._enqueue(stream)
        else:
            self._graph.launch(stream)

    def _enqueue(self, stream: Stream) -> None:
        if not self._context.execute_async_v3(stream.pointer) or self._engine.errors:
            raise self._engine.failed("failed to run", "engine/run-failed")

    def close(self) -> None:
        """Free the graph, then the context."""
        if self._graph is not None:
            self._graph.close()
        self._context = None


@dataclass(frozen=True)
class IoTensor:
    """An input or output of an engine."""

    type: str
    """NumPy's name, `uint8`; TensorRT's where NumPy has none."""
    shape: tuple[int, ...]
    input: bool

    def __str__(self) -> str:
        return f"{'input' if self.input else 'output'} {self.type} {list(self.shape)}"


def _tensors(library: Any, engine: Any) -> dict[str, IoTensor]:
    """Return an engine's inputs and outputs by name."""
    found = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name).name
        is_input = engine.get_tensor_mode(name) == library.TensorIOMode.INPUT
        shape = tuple(int(size) for size in engine.get_tensor_shape(name))
        found[name] = IoTensor(_NUMPY.get(kind, kind), shape, is_input)
    return found


def _listed(tensors: Mapping[str, IoTensor]) -> str:
    return ", ".join(f"{name}: {tensors[name]}" for name in sorted(tensors)) or "no tensors"
