"""ONNX to a TensorRT plan: one path for TensorRT and TensorRT-RTX.

The graph carries the types (`typed.py`) and the network is created strongly typed. TensorRT 8.6 has
no strong typing, and 9 to 10.11 may fail at it: there the FP32 graph is built with the flags FP16
and INT8, and every layer outside of `half_nodes` is held in FP32. That is the same assignment, but
the builder may choose a higher precision.
"""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import ModelProto

from edgeseg.config import BuildConfig, RuntimeName, Typing
from edgeseg.cuda.driver import open_cuda
from edgeseg.engine.builder_options import TimingCache, show_progress
from edgeseg.engine.checks.check import check
from edgeseg.engine.layer_list import Layer, inspected_layers, read_layers, unread_lines
from edgeseg.engine.layers import Types, check_tensors, read_types
from edgeseg.engine.products import without_products
from edgeseg.engine.typed import Typed
from edgeseg.errors import BuildError, ConfigError, CudaError
from edgeseg.log import log
from edgeseg.machine import support
from edgeseg.machine.facts import Machine
from edgeseg.packages.extras import install_command
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.tensorrt import Api, capability_of, runs_on, target_of
from edgeseg.text import counted

# A warning of the parser with one of these words: the engine will not compute the graph as it is.
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
    """Counts of convolutions and norms by type; empty where neither log nor engine lists layers."""
    typing: Typing = "strong"
    """`strong`: the types of the graph; `weak`: the flags of the builder."""


def build_plan(
    runtime: RuntimeName, source: ModelProto, typed: Typed, config: BuildConfig, here: Machine
) -> Plan:
    """Build a plan for the GPU of this machine, or ahead of time for another.

    source: the FP32 graph; typed: the same in the precision of the configuration. Errors:
    BuildError with the message of TensorRT; ConfigError for a GPU that it does not build for.
    """
    if runtime == "tensorrt" and here.compute_capability is None:
        raise BuildError(
            f"TensorRT builds on the GPU that runs the engine; none was found ({here.gpu_note}).",
            remedy="--runtime tensorrt-rtx --compute-capability 8.6 (ahead of time, for an RTX "
            "GPU), or --runtime openvino",
            code="build/no-gpu",
        )
    api = trt.load(runtime)
    if api.lean:
        raise BuildError(
            f"{api.release} is installed as the lean runtime, which cannot build.",
            remedy=install_command(api.flavor.extra),
            code="build/lean-runtime",
        )
    target = _target(api, config, here)
    log.info(f"building for {target} with {api.release}")
    if api.release.note:
        log.info(api.release.note)
    try:
        cache = TimingCache(api, target, here)
        with _current(config, here):
            data, typing, build_log = _serialize(api, source, typed, config, target, cache)
    except AttributeError as error:
        if not api.release.newer:
            raise
        newest = support.RTX if api.release.rtx else support.NEWEST
        raise BuildError(
            f"{api.release} is newer than edgeseg supports ({error}).",
            remedy=f'pip install "{runtime}=={newest}.*"',
            code="build/newer-tensorrt",
        ) from error
    for warning in dict.fromkeys(text for severity, text in build_log if severity == "WARNING"):
        log.warning(f"{runtime}: {warning}")
    # Not splitlines: the metadata of TensorRT 8.6 to 10 contains record separators.
    lines = [line for _, text in build_log for line in text.split("\n")]
    plan = Plan(data=data, version=api.version, target=target, typing=typing)
    check_tensors(lines, source)
    types = read_types(source, read_layers(lines))
    if types.unknown and here.compute_capability and runs_on(target, here.compute_capability):
        with _current(config, here):
            inspected = read_types(source, _inspect(api, data))
        types = min(types, inspected, key=lambda found: len(found.unknown))
    unread = unread_lines(lines)
    _report_unknown(api, types, unread)
    if len(types.unknown) == types.count:
        return plan
    if typing == "strong":  # flags allow types, they do not fix them
        half = half_nodes(source, typed.keep) if config.precision != "fp32" else frozenset()
        types.check(half, _reading_int8(api, typed, source, target))
    counts = types.counts() | ({"unread_lines": len(unread)} if unread else {})
    return dataclasses.replace(plan, layers=counts)


def _inspect(api: Api, data: bytes) -> list[Layer]:
    """Return the layers that the engine itself lists, on the GPU that it was built for."""
    try:
        runtime, _ = trt.start(api, "Runtime", lambda severity, text: None)
    except CudaError as error:
        log.warning(f"the engine was not inspected: {error.problem}")
        return []
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:  # opening it reports why
        return []
    form = api.trt.LayerInformationFormat.JSON
    information = str(engine.create_engine_inspector().get_engine_information(form))
    try:
        return inspected_layers(information)
    except (ValueError, TypeError, AttributeError) as error:  # another form of another release
        log.warning(f"the engine inspector of {api.release} cannot be read: {error}")
        return []


def _report_unknown(api: Api, types: Types, unread: list[str]) -> None:
    if unread:
        lines = counted(len(unread), "line")
        log.warning(f"{lines} of the build log of {api.release} cannot be read: {unread[0][:80]}")
    if types.count and len(types.unknown) == types.count:
        log.warning(f"{api.release} lists no types of layers: they are not checked")
    elif types.unknown:
        log.warning(
            f"{api.release} does not list the types of {len(types.unknown)} of {types.count} "
            f"convolutions and norms ({', '.join(types.unknown[:3])}): they are not checked"
        )


@contextmanager
def _current(config: BuildConfig, here: Machine) -> Iterator[None]:
    """Let TensorRT use another GPU than CUDA's first one: that of the current context."""
    if not config.device or here.compute_capability is None:
        yield
        return
    with open_cuda(device=config.device) as cuda, cuda.current():
        yield


def _target(api: Api, config: BuildConfig, here: Machine) -> str:
    """Return what to build for: `sm86`, or several compute capabilities, `sm86-sm89`."""
    named = config.compute_capability or here.compute_capability or AHEAD
    capabilities = dict.fromkeys(each.strip() for each in named.split(","))
    for capability in capabilities:
        _check_capability(api, capability, config, here)
    return target_of(*capabilities)


def _check_capability(api: Api, capability: str, config: BuildConfig, here: Machine) -> None:
    """ConfigError for a GPU that TensorRT does not build for."""
    if api.release.ahead_of_time and capability not in api.targets:
        raise ConfigError(
            f"invalid compute_capability for {api.release}: {capability} (expected one of "
            f"{', '.join(api.targets)})",
            remedy=f"--compute-capability {AHEAD}, or --runtime tensorrt on that GPU",
            code="config/compute-capability",
        )
    if not api.release.ahead_of_time and capability != here.compute_capability:
        raise ConfigError(
            f"invalid compute_capability for TensorRT: {capability} (expected that of this "
            f"machine's GPU, {here.compute_capability})",
            remedy=f"--runtime tensorrt-rtx --compute-capability {capability}",
            code="config/compute-capability",
        )
    support.check(api.release, capability, config.precision)


def _reading_int8(api: Api, typed: Typed, source: ModelProto, target: str) -> frozenset[str]:
    """Return the names of the convolutions that have to read INT8 in the engine."""
    if typed.int8 is None:
        return frozenset()
    if api.release.ahead_of_time and TURING in target.split("-"):
        log.info(
            f"{api.release} has no INT8 convolutions for {TURING}: it rounds to INT8 and computes "
            "in FP16, which costs more than --precision fp16"
        )
        return frozenset()
    return frozenset(typed.int8.placement(source, "fp16").convolutions)


def _serialize(
    api: Api,
    source: ModelProto,
    typed: Typed,
    config: BuildConfig,
    target: str,
    cache: TimingCache,
) -> tuple[bytes, Typing, Log]:
    """Return the plan, `strong` or `weak`, and the build log."""
    build_log: Log = []
    if api.release.strong:
        strong = typed.model
        if any(map(api.release.lacks_fp32_products, map(capability_of, target.split("-")))):
            strong = without_products(strong)
        data = _build(api, strong, config, target, build_log, cache=cache)
        if data is not None:
            return data, "strong", build_log
        if not api.release.weak:
            raise _failed(api, build_log)
        log.info(f"{api.release} fails at the strongly typed graph: building with flags")
        build_log.clear()
    weak = typed.int8.apply(source, "fp32") if typed.int8 else source
    half = half_nodes(weak, typed.keep)
    data = _build(api, weak, config, target, build_log, half=half, cache=cache)
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
    half: frozenset[str] | None = None,
    cache: TimingCache | None = None,
) -> bytes | None:
    """Parse and build once; None when TensorRT fails. BuildError for what the checks find.

    half: flags choose the types, and these nodes may be FP16; None: the graph's types are obeyed.
    """
    weak = half is not None
    model = _to_opset(model, api.release.opsets[1])
    check(model, api.release)
    library = api.trt
    builder, logger = trt.start(api, "Builder", lambda *message: build_log.append(message))
    network = builder.create_network(api.network_flags(weak=weak))
    # The parser does not keep its network alive: a temporary would crash.
    parser = library.OnnxParser(network, logger)
    parsed = parser.parse(model.SerializeToString())
    _check_parse(api, parsed, parser, build_log)
    options = builder.create_builder_config()
    # The log then ends with the layers.
    options.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    options.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
    if config.precision == "fp32":
        options.clear_flag(library.BuilderFlag.TF32)  # on by default: 10 of FP32's 23 bits
    elif half is not None:
        _allow_fp16(library, network, options, half)
    if weak and config.precision == "int8":
        options.set_flag(library.BuilderFlag.INT8)  # for the Q/DQ pairs: no calibrator
    if api.release.ahead_of_time:
        targets = target.upper().split("-")
        options.num_compute_capabilities = len(targets)
        for index, name in enumerate(targets):
            options.set_compute_capability(getattr(library.ComputeCapability, name), index)
    if config.optimization_level is not None:
        options.builder_optimization_level = config.optimization_level
    if config.lean:
        options.set_flag(library.BuilderFlag.VERSION_COMPATIBLE)
        options.set_flag(library.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if cache is not None:
        cache.give(options)
    monitor = show_progress(library, options)
    plan = builder.build_serialized_network(network, options)
    del monitor
    if plan is None:
        return None
    if cache is not None:
        cache.keep(options)
    return bytes(plan)


def _allow_fp16(library: Any, network: Any, options: Any, half: frozenset[str]) -> None:
    """Allow FP16, and hold every float layer outside of `half` in FP32."""
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
    reason = "; ".join(problems or changes) or "no reason given"
    raise BuildError(
        f"{api.release} cannot parse the graph without changing it: {reason}.",
        remedy="--runtime openvino or onnxruntime, and report this with the graph",
        code="build/parse",
    )


def _failed(api: Api, build_log: Log) -> BuildError:
    said = [text for severity, text in build_log if severity in trt.SEVERE][-3:]
    return BuildError(
        f"{api.release} cannot build the graph: {'; '.join(said) or 'no reason given'}.",
        remedy=trt.remedy_of(said)
        or "--precision fp32, more --workspace-mib, or --runtime openvino",
        code="build/tensorrt",
    )


def _to_opset(model: ModelProto, opset: int) -> ModelProto:
    """Convert a graph down to an opset that the parser knows."""
    if next(o.version for o in model.opset_import if not o.domain) <= opset:
        return model
    old = onnx.version_converter.convert_version(model, opset)
    for node in old.graph.node:
        kept = [a for a in node.attribute if a.name != "noop_with_empty_axes"]  # left by onnx 1.23
        if node.op_type.startswith("Reduce"):
            del node.attribute[:]
            node.attribute.extend(kept)
    return old
