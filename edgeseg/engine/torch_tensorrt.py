"""A run to a TensorRT plan by Torch-TensorRT: a cross-check of the way over ONNX, for a GPU host.

    ONNX             run -> graph -> TensorRT's parser -> plan
    torch-tensorrt   run -> fused module -> torch.export -> Torch-TensorRT's converters -> plan

The plan has the same tensors and the same types; only the road differs. Written after the source of
torch-tensorrt 2.14.0, whose networks are strongly typed, so that the module's types are the
engine's, and which is the first to name an engine's tensors. Tried with a recorder in its place:
not run on a GPU.
"""

import inspect
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor
from torch.export import ExportedProgram

from edgeseg.cards import CARD, GraphCard, ModelCard, read_card
from edgeseg.config import BuildConfig
from edgeseg.engine.half_module import check_types, to_half
from edgeseg.engine.tensorrt import Plan
from edgeseg.errors import BuildError, ConfigError, EdgesegError, MissingExtra, ModelError
from edgeseg.extras import install_command, require
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.machine import support as matrix
from edgeseg.machine.facts import Machine
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import INPUTS, OUTPUTS
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.runtime.tensorrt import Api

EXTRA = "torch-tensorrt"
DEVICE = "cuda:0"
PREFIX = "detector."  # of a convolution's path, where export.py leaves it out of a node's name
OTHER_WAY = "--via onnx"


@dataclass(frozen=True)
class Builder:
    """Torch-TensorRT on this machine's GPU, and the run that it is given."""

    package: Any
    api: Api
    """The TensorRT that it builds with."""
    capability: str
    run: Path
    card: GraphCard

    def build(self, model: ModelProto, keep: frozenset[str], config: BuildConfig) -> Plan:
        """Build a plan; the ONNX graph says which convolutions compute in Half.

        keep: the graph's nodes that stay in FP32. Errors: BuildError with Torch-TensorRT's words.
        """
        target = trt.target_of(self.capability)
        name = f"torch-tensorrt {self.package.__version__}"
        log.info(
            f"building for {target} with {name} and {self.api.release}: a way not run on a GPU yet"
        )
        program, inputs = self._program(model, keep, config)
        try:
            _teach_bytes(self.package.dynamo.conversion, self.api.trt.uint8)
            plan = self.package.dynamo.convert_exported_program_to_serialized_trt_engine(
                program,
                arg_inputs=inputs,
                device=torch.device(DEVICE),
                disable_tf32=config.precision == "fp32",
                workspace_size=config.workspace_mib << 20,
                arg_input_binding_names=INPUTS,
                output_binding_names=OUTPUTS,
            )
        except Exception as error:  # converters, PyTorch and TensorRT raise their own kinds
            raise BuildError(
                f"{name} cannot build the run {self.run}: {error}.", remedy=OTHER_WAY
            ) from error
        log.info(f"{name} lists no layers: their types in the engine were not read")
        return Plan(data=bytes(plan), version=self.api.version, target=target)

    def _program(
        self, model: ModelProto, keep: frozenset[str], config: BuildConfig
    ) -> tuple[ExportedProgram, tuple[Tensor, ...]]:
        """Export the fused module, its types in it; also what it takes."""
        _, height, width, _ = self.card.frame_shape
        with (
            open_run(
                self.run,
                frame_size=(height, width),
                frame_format=self.card.frame_format,
                batch=self.card.frame_shape[0],
                context=self.card.context,
            ) as backend,
            torch.no_grad(),
        ):
            module, inputs = backend.module, _inputs(backend)
            half = halved(model, keep) if config.precision == "fp16" else frozenset()
            if half:
                module = to_half(module, half, inputs, prefix=PREFIX)
            inputs = tuple(tensor.to(DEVICE) for tensor in inputs)
            program = torch.export.export(module.to(DEVICE), inputs)
        count = check_types(program, half, prefix=PREFIX)
        log.info(f"{count} convolutions of the module compute in Half")
        return program, inputs


def halved(model: ModelProto, keep: frozenset[str]) -> frozenset[str]:
    """Return the module's convolutions that compute in Half, by the graph's.

    What a rewrite made of one (`conv1`, `conv1/taps/0`) is of one type.
    """
    half = half_nodes(model, keep)
    names = {node.name for node in model.graph.node if node.op_type == "Conv"}
    floats = {name.partition("/")[0] for name in names - half}
    return frozenset(name.partition("/")[0] for name in names & half) - floats


def open_builder(graph: Path, card: GraphCard, config: BuildConfig, here: Machine) -> Builder:
    """Find the GPU, the package and the run of a graph.

    Errors: ConfigError without a GPU or for what the package does not build, MissingExtra without
    the package or with one too old, ModelError where the graph's run is not around it.
    """
    _refuse(config)
    if here.compute_capability is None or not torch.cuda.is_available():
        note = here.gpu_note if here.compute_capability is None else "PyTorch finds none"
        raise ConfigError(
            f"Torch-TensorRT builds on the GPU that runs the engine, and there is none here "
            f"({note}).",
            remedy=OTHER_WAY,
        )
    run = _run_of(graph, card)
    package = _package()
    rtx = package.tensorrt_package_name == "tensorrt_rtx"
    runtime = "tensorrt-rtx" if rtx else "tensorrt"
    if config.runtime not in (None, runtime):
        raise ConfigError(
            f"--runtime is {config.runtime}, but the torch-tensorrt that is installed builds for "
            f"{runtime}.",
            remedy=f"--runtime {runtime}, or {OTHER_WAY}",
        )
    api = trt.load(runtime)
    major, minor = torch.cuda.get_device_capability(DEVICE)
    matrix.check(api.release, f"{major}.{minor}", config.precision)
    return Builder(package, api, f"{major}.{minor}", run, card)


def _refuse(config: BuildConfig) -> None:
    """ConfigError for what Torch-TensorRT does not build, whichever machine this is."""
    problem = None
    if config.precision == "int8":
        problem = "--precision is int8, whose ranges are those of the ONNX graph"
    elif config.runtime not in (None, *trt.FLAVORS):
        problem = f"--runtime is {config.runtime}, which reads no plan of TensorRT"
    elif config.compute_capability is not None:
        problem = (
            f"--compute-capability is {config.compute_capability}, but Torch-TensorRT builds for "
            "the GPU that is there"
        )
    if problem:
        raise ConfigError(
            f"{problem}; fp32 or fp16 for TensorRT was expected with --via torch-tensorrt.",
            remedy=OTHER_WAY,
        )


def _run_of(graph: Path, card: GraphCard) -> Path:
    """Return the folder of the run that a graph was exported from."""
    run = graph.resolve().parent
    with suppress(ModelError):  # that it is no run is said below, with the way out of it
        if read_card(run / CARD, ModelCard).weights_sha256 == card.weights_sha256:
            return run
    raise ModelError(
        f"Torch-TensorRT builds from a run's weights, and those of {graph} are not beside it.",
        remedy=f"name the run directory that holds them, or {OTHER_WAY}",
    )


def _package() -> Any:
    """Import Torch-TensorRT; MissingExtra where it is absent, broken or too old."""
    remedy = f"{install_command(EXTRA)}, or {OTHER_WAY}"
    try:
        package: Any = require("torch_tensorrt", extra=EXTRA)
    except EdgesegError:
        raise
    except Exception as error:  # a plain one, where TensorRT's libraries do not load
        raise MissingExtra(
            f"The package 'torch_tensorrt' is installed and fails to import ({error}).",
            remedy=remedy,
        ) from error
    convert = package.dynamo.convert_exported_program_to_serialized_trt_engine
    if "output_binding_names" not in inspect.signature(convert).parameters:
        raise MissingExtra(
            f"torch-tensorrt {package.__version__} cannot name an engine's tensors; 2.14 or newer "
            "was expected.",
            remedy=remedy,
        )
    return package


def _teach_bytes(conversion: Any, byte: Any) -> None:
    """Register a converter for the cast to bytes, which Torch-TensorRT 2.14 has none for."""

    def to_bytes(ctx: Any, target: Any, args: Any, kwargs: Any, name: str) -> Any:
        layer = ctx.net.add_cast(args[0], byte)
        layer.name = f"{name} to bytes"
        return layer.get_output(0)

    conversion.dynamo_tensorrt_converter(
        torch.ops.aten._to_copy.default,
        capability_validator=lambda node, settings=None: node.kwargs.get("dtype") is torch.uint8,
        priority=conversion.ConverterPriority.HIGH,
    )(to_bytes)


def _inputs(backend: PyTorchBackend) -> tuple[Tensor, ...]:
    """Return a grey frame and the threshold: of a black one, every norm is zero."""
    slot = backend.new_slot()
    slot.frame[:] = 127
    return torch.from_numpy(slot.frame), torch.from_numpy(slot.threshold)
