"""A run to a TensorRT plan by Torch-TensorRT: a cross-check of the conversion by ONNX.

    onnx             run -> graph -> TensorRT's parser -> plan
    torch-tensorrt   run -> fused module -> torch.export -> Torch-TensorRT's converters -> plan

The plan has the same tensors, and the same convolutions compute in FP16; everything between them is
FP32, unlike in the ONNX graph. Written after the source of torch-tensorrt 2.14.0, whose networks
are strongly typed and which is the first to name the tensors of an engine. Tested against a
recorder in its place; not run on a GPU.
"""

import inspect
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgeseg.cards import CARD, GraphCard, ModelCard, read_card
from edgeseg.config import BuildConfig
from edgeseg.engine.tensorrt import Plan
from edgeseg.errors import BuildError, ConfigError, EdgesegError, MissingExtra, ModelError
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.machine import support as matrix
from edgeseg.machine.facts import Machine
from edgeseg.model.export_head import export_form
from edgeseg.packages.extras import install_command, require
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import INPUTS, output_names
from edgeseg.runtime.tensorrt import Api

EXTRA = "torch-tensorrt"
PREFIX = "detector."  # of a convolution's path; export.py removes it from the node's name
BY_ONNX = "--via onnx"


@dataclass(frozen=True)
class Builder:
    """Torch-TensorRT on this machine's GPU, and the run that it builds from."""

    package: Any
    api: Api
    """The TensorRT that it builds with."""
    capability: str
    run: Path
    card: GraphCard

    def build(self, model: ModelProto, keep: frozenset[str], config: BuildConfig) -> Plan:
        """Build a plan; the ONNX graph determines which convolutions compute in FP16.

        keep: the nodes of the graph that stay in FP32. BuildError with Torch-TensorRT's message.
        """
        target = trt.target_of(self.capability)
        name = f"torch-tensorrt {self.package.__version__}"
        log.info(f"building for {target} with {name} and {self.api.release}: not tested on a GPU")
        program, inputs = self._program(model, keep, config)
        try:
            _add_uint8_converter(self.package.dynamo.conversion, self.api.trt.uint8)
            plan = self.package.dynamo.convert_exported_program_to_serialized_trt_engine(
                program,
                arg_inputs=inputs,
                device=torch.device(_device(config)),
                disable_tf32=config.precision == "fp32",
                workspace_size=config.workspace_mib << 20,
                arg_input_binding_names=INPUTS,
                output_binding_names=output_names(self.card),
            )
        except Exception as error:  # converters, PyTorch and TensorRT raise their own classes
            raise BuildError(
                f"{name} cannot build the run {self.run}: {error}.",
                remedy=BY_ONNX,
                code="build/torch-tensorrt",
            ) from error
        log.info(f"{name} lists no layers: their types in the engine are not checked")
        return Plan(data=bytes(plan), version=self.api.version, target=target)

    def _program(
        self, model: ModelProto, keep: frozenset[str], config: BuildConfig
    ) -> tuple[ExportedProgram, tuple[Tensor, ...]]:
        """Export the fused module with its types; also return its inputs."""
        n, (height, width) = self.card.frame_shape[0], self.card.frame_size
        with (
            open_run(
                self.run,
                frame_size=(height, width),
                frame_format=self.card.frame_format,
                batch=n,
                context=self.card.context,
            ) as backend,
            torch.no_grad(),
        ):
            if backend.card.tiles != self.card.tiles:
                raise BuildError(
                    f"the graph {self.card.name} has other tiles than the run {self.run}.",
                    remedy=BY_ONNX,
                    code="build/other-tiles",
                )
            module = export_form(backend.module)
            if config.precision == "fp16":
                _lower(module, fp16_convolutions(model, keep))
            slot = backend.new_slot()
            slot.frame[:] = 127  # of a black frame every norm is zero
            device = _device(config)
            inputs = tuple(torch.from_numpy(a).to(device) for a in (slot.frame, slot.threshold))
            return torch.export.export(module.to(device), inputs), inputs


def fp16_convolutions(model: ModelProto, keep: frozenset[str]) -> frozenset[str]:
    """Return the convolutions of the module that compute in FP16, according to the graph."""
    half = half_nodes(model, keep)
    return half & {node.name for node in model.graph.node if node.op_type == "Conv"}


def _lower(module: nn.Module, half: frozenset[str]) -> None:
    """Let the convolutions named in `half` compute in FP16, with FP32 inputs and outputs."""
    layers = {
        name.removeprefix(PREFIX): layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d)
    }
    if missing := sorted(half - layers.keys()):
        raise BuildError(
            f"{len(missing)} convolutions of the graph are not in the module, for example "
            f"{missing[0]}.",
            remedy=f"{BY_ONNX}, or --precision fp32",
            code="build/module-mismatch",
        )
    for name in half:
        layers[name].half()
        layers[name].register_forward_pre_hook(lambda _, inputs: (inputs[0].half(),))
        layers[name].register_forward_hook(lambda _, inputs, output: output.float())
    log.info(f"{len(half)} convolutions of the module compute in FP16")


def _device(config: BuildConfig) -> str:
    return f"cuda:{config.device}"


def open_builder(graph: Path, card: GraphCard, config: BuildConfig, here: Machine) -> Builder:
    """Find the GPU, the package and the run of a graph.

    Errors: ConfigError without a GPU or for settings that the package does not support,
    MissingExtra where it is missing or too old, ModelError where the graph is not in its run
    directory.
    """
    _check_settings(config)
    if here.compute_capability is None or not torch.cuda.is_available():
        note = here.gpu_note if here.compute_capability is None else "PyTorch finds none"
        raise ConfigError(
            f"Torch-TensorRT builds on the GPU that runs the engine; none was found ({note}).",
            remedy=BY_ONNX,
            code="build/no-gpu",
        )
    run = _run_of(graph, card)
    package = _package()
    rtx = package.tensorrt_package_name == "tensorrt_rtx"
    runtime = "tensorrt-rtx" if rtx else "tensorrt"
    if config.runtime not in (None, runtime):
        raise ConfigError(
            f"invalid runtime: {config.runtime} (this torch-tensorrt builds for {runtime})",
            remedy=f"--runtime {runtime}, or {BY_ONNX}",
            code="config/torch-tensorrt",
        )
    api = trt.load(runtime)
    major, minor = torch.cuda.get_device_capability(_device(config))
    matrix.check(api.release, f"{major}.{minor}", config.precision)
    return Builder(package, api, f"{major}.{minor}", run, card)


def _check_settings(config: BuildConfig) -> None:
    """ConfigError for settings that Torch-TensorRT does not support on any machine."""
    problem = None
    if config.precision not in ("fp32", "fp16"):
        problem = f"precision: {config.precision} (expected fp32 or fp16)"
    elif config.runtime not in (None, *trt.FLAVORS):
        problem = f"runtime: {config.runtime} (expected {' or '.join(trt.FLAVORS)})"
    elif config.compute_capability is not None:
        problem = f"compute_capability: {config.compute_capability} (the target is this GPU)"
    elif config.optimization_level is not None:
        problem = f"optimization_level: {config.optimization_level} (expected none)"
    if problem:
        raise ConfigError(
            f"invalid for --via torch-tensorrt: {problem}",
            remedy=BY_ONNX,
            code="config/torch-tensorrt",
        )


def _run_of(graph: Path, card: GraphCard) -> Path:
    """Return the run directory that a graph was exported from."""
    run = graph.resolve().parent
    with suppress(ModelError):
        if read_card(run / CARD, ModelCard).weights_sha256 == card.weights_sha256:
            return run
    raise ModelError(
        f"weights of {graph} not found in its folder (Torch-TensorRT builds from the run)",
        remedy=f"name the run directory as MODEL, or {BY_ONNX}",
        code="model/no-run",
    )


def _package() -> Any:
    """Import Torch-TensorRT; MissingExtra where it is missing, broken or too old."""
    remedy = f"{install_command(EXTRA)}, or {BY_ONNX}"
    try:
        package: Any = require("torch_tensorrt", extra=EXTRA)
    except EdgesegError:
        raise
    except Exception as error:  # where TensorRT's libraries do not load
        raise MissingExtra(
            f"The package 'torch_tensorrt' fails to import: {error}.",
            remedy=remedy,
            code="extra/broken",
        ) from error
    convert = package.dynamo.convert_exported_program_to_serialized_trt_engine
    if "output_binding_names" not in inspect.signature(convert).parameters:
        raise MissingExtra(
            f"torch-tensorrt {package.__version__} is too old (expected 2.14 or newer)",
            remedy=remedy,
            code="extra/too-old",
        )
    return package


def _add_uint8_converter(conversion: Any, byte: Any) -> None:
    """Register a converter for the cast to uint8, which Torch-TensorRT 2.14 lacks."""

    def to_bytes(ctx: Any, target: Any, args: Any, kwargs: Any, name: str) -> Any:
        layer = ctx.net.add_cast(args[0], byte)
        layer.name = f"{name} to bytes"
        return layer.get_output(0)

    conversion.dynamo_tensorrt_converter(
        torch.ops.aten._to_copy.default,
        capability_validator=lambda node, settings=None: node.kwargs.get("dtype") is torch.uint8,
        priority=conversion.ConverterPriority.HIGH,
    )(to_bytes)
