"""ONNX to a TensorRT plan: one path for TensorRT and TensorRT-RTX.

Precision is in the graph: to_fp16 and quantize type it and the network is created strongly typed.
TensorRT 8.6 knows no strong typing, and 9 to 10.11 may fail at it: there the FP32 graph is built
with the flags FP16 and INT8, every layer outside of `half_nodes` held in FP32, which is the same
division in weaker words.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import ModelProto

from edgeseg.config import BuildConfig, RuntimeName
from edgeseg.engine.checks import check as lint
from edgeseg.engine.layers import check_tensors, read_layers, read_types
from edgeseg.engine.products import as_convolutions
from edgeseg.errors import BuildError, ConfigError
from edgeseg.log import log
from edgeseg.machine import support as matrix
from edgeseg.machine.facts import Machine
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from edgeseg.quantize.int8 import Int8
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.tensorrt import Api, capability_of, target_of

# A parser's warning with one of these words says that the engine will not compute the graph.
MEANING = re.compile(
    r"overflow|underflow|subnormal|clamp|truncat|ignor|unsupported|not supported|fall.?back|"
    r"out of range|outside the range|lossy",
    re.IGNORECASE,
)
TURING = "sm75"
AHEAD = "8.6"  # the compute capability to build for where there is no GPU: GeForce 30, RTX A
Log = list[tuple[str, str]]  # (severity, text)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A serialized engine and what is known of it."""

    data: bytes
    version: str
    """Of the runtime that built it."""
    target: str
    """`sm86`, or `cpu`."""
    layers: dict[str, int] = field(default_factory=dict)
    """Counts of convolutions and norms by type; empty where the build log lists no layers."""
    typing: str = "strong"
    """`strong`: the graph's types; `weak`: the builder's flags."""


def build_plan(
    runtime: RuntimeName,
    model: ModelProto,
    config: BuildConfig,
    here: Machine,
    *,
    keep: frozenset[str] = frozenset(),
    int8: Int8 | None = None,
) -> Plan:
    """Build a plan from an FP32 graph: for this machine's GPU, or ahead of time for another.

    keep: the nodes that stay in FP32 when the precision is FP16; int8: how the graph is quantized,
    where the precision is INT8. Errors: BuildError with TensorRT's own words; ConfigError for a GPU
    that it does not build for.
    """
    assert (int8 is not None) == (config.precision == "int8")
    if runtime == "tensorrt" and here.compute_capability is None:
        raise BuildError(
            f"TensorRT builds an engine on the GPU that runs it, and there is none here "
            f"({here.gpu_note}).",
            remedy="--runtime tensorrt-rtx --compute-capability 8.6 (ahead of time, for an RTX "
            "GPU), or --runtime openvino",
        )
    api = trt.load(runtime)
    target = _target(api, config, here)
    log.info(f"building for {target} with {api.release}")
    if api.release.note:
        log.info(api.release.note)
    products = not api.release.lacks_fp32_products(capability_of(target))
    graphs = _Graphs(model, config, keep, int8, float_products=products)
    try:
        data, typing, build_log = _serialize(api, graphs, config, target)
    except AttributeError as error:
        if not api.release.newer:
            raise
        raise BuildError(
            f"{api.release} is newer than edgeseg, and lacks what the build asks for ({error}).",
            remedy=f'pip install "{runtime}=={matrix.RTX if api.release.rtx else matrix.NEWEST}.*"',
        ) from error
    for warning in dict.fromkeys(text for severity, text in build_log if severity == "WARNING"):
        log.warning(f"{runtime}: {warning}")
    lines = [line for _, text in build_log for line in text.splitlines()]
    layers = read_layers(lines)
    if not layers:
        log.info(f"the log of {runtime} {api.version} lists no layers: their types were not read")
        return Plan(data=data, version=api.version, target=target, typing=typing)
    types = read_types(model, layers)
    if typing == "strong":  # flags permit types, they do not fix them
        halves = half_nodes(model, keep) if config.precision != "fp32" else frozenset()
        types.check(halves, _reading_int8(api, int8, model, target))
    check_tensors(lines, model)
    return Plan(data=data, version=api.version, target=target, layers=types.counts(), typing=typing)


def _target(api: Api, config: BuildConfig, here: Machine) -> str:
    """Return the compute capability to build for: `sm86`."""
    capability = config.compute_capability or here.compute_capability or AHEAD
    if api.release.ahead_of_time and capability not in api.targets:
        raise ConfigError(
            f"{api.flavor.runtime} {api.version} builds for the compute capabilities "
            f"{', '.join(api.targets)}; {capability} was asked for.",
            remedy=f"--compute-capability {AHEAD}, or --runtime tensorrt beside that GPU",
        )
    if not api.release.ahead_of_time and capability != here.compute_capability:
        raise ConfigError(
            f"TensorRT builds for the GPU that is there ({here.compute_capability}); "
            f"{capability} was asked for.",
            remedy=f"--runtime tensorrt-rtx --compute-capability {capability}",
        )
    matrix.check(api.release, capability, config.precision)
    return target_of(capability)


def _reading_int8(api: Api, int8: Int8 | None, model: ModelProto, target: str) -> frozenset[str]:
    """Return the names of the convolutions that the engine has to read INT8 in."""
    if int8 is None:
        return frozenset()
    if api.release.ahead_of_time and target == TURING:
        log.info(
            f"{api.flavor.runtime} {api.version} has no INT8 convolution for {target}: it rounds "
            "to INT8 and then computes in Half; --precision fp16 has less to do"
        )
        return frozenset()
    return frozenset(int8.placement(model, "fp16").convolutions)


@dataclass(frozen=True)
class _Graphs:
    """One model in the two ways of typing it."""

    model: ModelProto
    config: BuildConfig
    keep: frozenset[str]
    int8: Int8 | None
    float_products: bool
    """Whether the builder has matrix products in Float: TensorRT-RTX has none for Turing."""

    def strong(self) -> ModelProto:
        """Return the graph with its types in it."""
        typed = self.model
        if self.config.precision != "fp32":
            int8 = self.int8
            typed = int8.apply(typed, "fp16") if int8 else to_fp16(typed, keep=self.keep)
        return typed if self.float_products else as_convolutions(typed)

    def weak(self) -> ModelProto:
        """Return the graph in Float, whose types the builder's flags choose."""
        return self.int8.apply(self.model, "fp32") if self.int8 else self.model


def _serialize(
    api: Api, graphs: _Graphs, config: BuildConfig, target: str
) -> tuple[bytes, str, Log]:
    """Return the plan, `strong` or `weak`, and the build log."""
    build_log: Log = []
    if api.release.strong:
        strong = _to_opset(graphs.strong(), api.release.opsets[1])
        data = _build(api, strong, config, target, build_log)
        if data is not None:
            return data, "strong", build_log
        if not api.release.weak:
            raise _failed(api, build_log)
        log.info(
            f"{api.flavor.runtime} {api.version} fails at the strongly typed graph; by flags now"
        )
        build_log.clear()
    old = _to_opset(graphs.weak(), api.release.opsets[1])
    half = half_nodes(old, graphs.keep)
    data = _build(api, old, config, target, build_log, weak=True, half=half)
    if data is None:
        raise _failed(api, build_log)
    return data, "weak", build_log


def _build(
    api: Api,
    model: ModelProto,
    config: BuildConfig,
    target: str,
    build_log: Log,
    *,
    weak: bool = False,
    half: frozenset[str] = frozenset(),
) -> bytes | None:
    """Parse and build once; None when TensorRT fails. BuildError for what the lint finds.

    weak: flags choose the types, and not the graph; half: the nodes that may then take Half.
    """
    lint.check(model, api.release, capability_of(target))
    library = api.trt
    logger = trt.logger(library, lambda severity, text: build_log.append((severity, text)))
    builder = library.Builder(logger)
    network = builder.create_network(api.network_flags(weak=weak))
    # The parser does not keep its network alive: a temporary here is a crash.
    parser = library.OnnxParser(network, logger)
    parsed = parser.parse(model.SerializeToString())
    _check_parse(api, parsed, parser, build_log)
    options = builder.create_builder_config()
    # The log then ends with the layers.
    options.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    options.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
    if config.precision == "fp32":
        options.clear_flag(library.BuilderFlag.TF32)  # on by default: ten bits of a float's 23
    if weak and config.precision != "fp32":
        _allow_half(library, network, options, half)
    if weak and config.precision == "int8":
        options.set_flag(library.BuilderFlag.INT8)  # for the pairs in the graph: no calibrator
    if api.release.ahead_of_time:
        options.num_compute_capabilities = 1
        options.set_compute_capability(getattr(library.ComputeCapability, target.upper()), 0)
    plan = builder.build_serialized_network(network, options)
    return None if plan is None else bytes(plan)


def _allow_half(library: Any, network: Any, options: Any, half: frozenset[str]) -> None:
    """Let the builder take Half, and hold every float layer outside of `half` in FP32."""
    options.set_flag(library.BuilderFlag.FP16)
    options.set_flag(library.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        outputs = [layer.get_output(k).dtype for k in range(layer.num_outputs)]
        if layer.name in half or any(kind != library.float32 for kind in outputs):
            continue
        layer.precision = library.float32
        for k in range(layer.num_outputs):
            layer.set_output_type(k, library.float32)


def _check_parse(api: Api, parsed: bool, parser: Any, build_log: Log) -> None:
    problems = [parser.get_error(i).desc() for i in range(parser.num_errors)]
    changes = [
        text for severity, text in build_log if severity == "WARNING" and MEANING.search(text)
    ]
    if parsed and not problems and not changes:
        return
    said = "; ".join(problems or changes) or "it gives no reason"
    raise BuildError(
        f"{api.flavor.runtime} {api.version} cannot take the graph as it is: {said}.",
        remedy="--runtime openvino or onnxruntime, and report this with the graph's model",
    )


def _failed(api: Api, build_log: Log) -> BuildError:
    errors = [text for severity, text in build_log if severity in ("ERROR", "INTERNAL_ERROR")]
    return BuildError(
        f"{api.flavor.runtime} {api.version} cannot build the graph: "
        f"{'; '.join(errors[-3:]) or 'it gives no reason'}.",
        remedy="--precision fp32, more --workspace-mib, or --runtime openvino",
    )


def _to_opset(model: ModelProto, opset: int) -> ModelProto:
    """Convert a graph down to an opset that a parser knows; the outputs stay the same."""
    if next(o.version for o in model.opset_import if not o.domain) <= opset:
        return model
    old = onnx.version_converter.convert_version(model, opset)
    for node in old.graph.node:
        kept = [a for a in node.attribute if a.name != "noop_with_empty_axes"]  # left by onnx 1.23
        if node.op_type.startswith("Reduce"):
            del node.attribute[:]
            node.attribute.extend(kept)
    return old
