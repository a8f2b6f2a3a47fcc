"""`edgeseg build-engine`: a graph to an engine for one runtime and machine, and its card.

For the CPU runtimes the engine is the typed graph itself, one file with its metadata that any
version reads: OpenVINO and ONNX Runtime compile a graph while they open it. OpenVINO's own .xml and
.bin opened no faster (0.6 to 0.9 s, ResNet18 at 256 x 256, two cores); its compiled form is cached
(runtime/openvino_cache.py). For TensorRT the engine is a plan: one GPU, one version.
"""

import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.accuracy.verify import EXTREMES
from edgeseg.accuracy.verify_report import limits_of
from edgeseg.cards import EngineCard, GraphCard
from edgeseg.config import BuildConfig, RuntimeName, VerifyConfig
from edgeseg.data.frames import parity_frames, pick_images
from edgeseg.data.images import Image, read_image
from edgeseg.engine.head_form import tell_form
from edgeseg.engine.input_limits import moved_limits
from edgeseg.engine.tensorrt import Plan, build_plan
from edgeseg.engine.typed import Typed, typed_graph
from edgeseg.errors import ConfigError, GateFailed
from edgeseg.evaluation.compare import Limits, compare_frames, total
from edgeseg.evaluation.remembered import warn_if_useless
from edgeseg.files import check_outputs, check_writable, sha256
from edgeseg.graph.files import graph_bytes, read_graph
from edgeseg.loading import BF16, GRAPH_RUNTIMES, graph_opener
from edgeseg.log import log, log_once
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.packages.extras import installed, require
from edgeseg.quantize.calibration_file import ranges_path, read_ranges
from edgeseg.quantize.fp16 import MAX, half_nodes
from edgeseg.quantize.int8 import Int8, describe
from edgeseg.quantize.qdq import Style
from edgeseg.quantize.ranges import Peak, largest
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import best, builders, candidates, probe, reasons
from edgeseg.runtime.engine_files import CPU, NAMED, OF_BUILDER, OF_ENGINE
from edgeseg.runtime.engine_pair import card_path, new_engine, replace_pair
from edgeseg.settings import plain

TOLERANCE = 1e-4  # of the maps in FP32; differences of lower precisions are reported
CHECKED = 16  # photos of the calibration on which an INT8 engine without --data is judged
NOT_RUN = "the engine was not run on a GPU"


@dataclass(frozen=True)
class Engine:
    """An engine that was built, and its card."""

    path: Path
    card: EngineCard

    def summary(self) -> str:
        """Return the file, its target, layers, accuracy and parity, as text."""
        card = self.card
        made = f"{card.runtime} {card.runtime_version}, {card.precision}, for {card.target}"
        made += f", via {card.via}" * (card.via != "onnx")
        lines = [f"{self.path}: {card.bytes / 1e6:.1f} MB, {made}, {card.seconds:.1f} s"]
        if card.quantization:
            lines.append(f"int8: {describe(card.quantization)}")
        if card.layers:
            lines.append("layers: " + ", ".join(f"{k} {n}" for k, n in card.layers.items()))
        lines.append(f"accuracy: {card.accuracy['line']}")
        return "\n".join([*lines, f"parity: {card.parity['line']}"])

    def to_json(self) -> dict[str, Any]:
        """Return the paths, and the card without the graph and the build machine."""
        left_out = ("graph", "file", "built_on", "source_sha256", "inputs", "outputs")
        facts = dataclasses.asdict(self.card)
        paths = {"engine": str(self.path), "card": str(card_path(self.path))}
        return paths | {name: value for name, value in facts.items() if name not in left_out}


def build_engine(
    graph: Path, config: BuildConfig, *, out: Path = Path("engines"), images: Sequence[Image] = ()
) -> Engine:
    """Build <out>/<name>-<precision>-<target> and its card from a graph that edgeseg exported.

    images: RGB frames of the parity check; default: those of `config.data`, or synthetic ones.
    Errors: ModelError for another file, BuildError when the runtime refuses the graph or computes
    in other types, GateFailed (no file) when the precision costs too much on `config.data`, or when
    the outputs of the engine are not finite or, in FP32, differ.
    """
    here = this_machine(config.device)
    if config.lean and (config.runtime not in (None, "tensorrt") or config.via != "onnx"):
        raise ConfigError(
            f"invalid for lean: {config.runtime} via {config.via} (expected tensorrt via onnx)",
            remedy="--lean --runtime tensorrt",
            code="config/lean",
        )
    source, card = read_graph(graph)
    warn_if_useless(graph, card)
    if config.precision == BF16:
        card = dataclasses.replace(card, inference_precision="bf16")
    builder = None
    if config.via == "torch-tensorrt":
        require("torch", extra="torch-tensorrt")
        from edgeseg.engine.torch_tensorrt import open_builder

        builder = open_builder(graph, card, config, here)
    runtime = builder.api.flavor.runtime if builder else config.runtime or _best(config, here)
    if config.lean and runtime != "tensorrt":
        raise ConfigError(
            f"invalid for lean: {runtime}, the best runtime here (expected tensorrt)",
            remedy="build without --lean, or with --lean on a machine with TensorRT and a GPU",
            code="config/lean",
        )
    if config.precision == BF16:
        _check_bf16(runtime, here)
    int8 = _int8(graph, card, runtime, config) if config.precision == "int8" else None
    if config.data is not None:
        images = images or pick_images(config.data, CHECKED, card.bit_depth)
    elif int8 is not None:
        images = images or _calibrated(int8, card.bit_depth)
    check_writable(out)
    if runtime in GRAPH_RUNTIMES:
        _check_out(out / _file_name(card, runtime, CPU, config), graph)
    tell_form(card, runtime, config, here)
    typed = typed_graph(source, card, runtime, config, int8=int8)
    started = time.perf_counter()
    if builder:
        plan = builder.build(source, typed.keep, config)
    elif runtime in trt.FLAVORS:
        plan = build_plan(runtime, source, typed, config, here)
    else:
        plan = _cpu_plan(runtime, typed.model, card, config)
    seconds = time.perf_counter() - started

    path = out / _file_name(card, runtime, plan.target, config)
    _check_out(path, graph)
    digest = hashlib.sha256(plan.data).hexdigest()
    with new_engine(path, digest) as part:
        part.write_bytes(plan.data)
        parity = _parity(graph, part, runtime, plan, typed, config, images)
    card = dataclasses.replace(card, **parity.pop("limits", {}))
    engine_card = EngineCard(
        graph=card,
        file=path.name,
        sha256=digest,
        bytes=len(plan.data),
        runtime=runtime,
        runtime_version=plan.version,
        precision=config.precision,
        target=plan.target,
        built_on=dataclasses.asdict(here),
        source_sha256=sha256(graph),
        inputs=_tensors(source.graph.input),
        outputs=_tensors(source.graph.output),
        layers=plan.layers,
        typing=plan.typing,
        accuracy=typed.accuracy,
        quantization=_quantization(typed, source, plan),
        parity=parity,
        seconds=round(seconds, 2),
        via=config.via,
        lean=config.lean,
        settings=_changed(config),
    )
    replace_pair(path, engine_card)
    return Engine(path, engine_card)


def _changed(config: BuildConfig) -> dict[str, Any]:
    """Return what differs from the defaults and has no field of its own in the card."""
    names = (NAMED, *OF_BUILDER, *OF_ENGINE)
    values = {name: getattr(config, name) for name in names}
    return plain({k: v for k, v in values.items() if v != getattr(BuildConfig, k)})


def _int8(graph: Path, card: GraphCard, runtime: RuntimeName, config: BuildConfig) -> Int8:
    """Read the calibration file of a graph; ModelError when it is missing or of another graph.

    The convolution of the similarity is a tenth of all MACs. On two cores INT8 there saved an
    eighth of the time of a frame and cost 0.0004 of pixel AP. In the engine for a GPU it cost
    0.0019 instead of 0.0012; the time it would save was not measured. (Magnetic tiles, 348 images.)
    """
    path = config.ranges or ranges_path(card.name)
    similarity = config.similarity or ("equalized" if runtime in GRAPH_RUNTIMES else "kept")
    return Int8(ranges=read_ranges(path, graph), file=path, similarity=similarity)


def _calibrated(int8: Int8, bit_depth: int) -> list[Image]:
    """Read photos of the calibration, on which an engine without --data is judged."""
    paths = int8.ranges.images(CHECKED)
    if not paths:
        log.warning(
            f"the INT8 engine is not judged on photos: {int8.ranges.data or 'the folder'} of the "
            "calibration has changed (--data FOLDER)"
        )
    return [read_image(path, bit_depth) for path in paths]


def _check_bf16(runtime: RuntimeName, here: Machine) -> None:
    """ConfigError for a runtime without BF16; a log line for a processor without it."""
    if runtime != "openvino":
        raise ConfigError(
            f"invalid runtime for bf16: {runtime} (expected openvino)",
            remedy="--runtime openvino --precision bf16, or --precision fp16",
            code="config/bf16-runtime",
        )
    if not {"avx512_bf16", "amx_bf16"} & set(here.instructions):
        log.info("this CPU has no BF16 (avx512_bf16, amx_bf16): OpenVINO computes in FP32")


def _best(config: BuildConfig, here: Machine) -> RuntimeName:
    """Choose the best runtime of this machine and log why; only OpenVINO has BF16."""
    if config.precision == BF16:
        return "openvino"
    found = builders([probe(c) if c.runs else c for c in candidates(here)])
    taken = best(found)
    why = reasons(taken.runtime, found)
    log.info(f"runtime: {taken.runtime} {taken.version}")
    if why:
        log_once(why)
    return taken.runtime


def _cpu_plan(
    runtime: RuntimeName, typed: ModelProto, card: GraphCard, config: BuildConfig
) -> Plan:
    """Make an engine for a CPU runtime: the typed graph."""
    if config.compute_capability is not None:
        raise ConfigError(
            f"invalid compute_capability for {runtime}: {config.compute_capability} (the target is "
            "the CPU)",
            remedy=f"--runtime tensorrt-rtx --compute-capability {config.compute_capability}",
            code="config/compute-capability",
        )
    if config.precision == "fp16":
        log.info(
            f"{runtime} computes FP16 layers in FP32 on a CPU: the file is half as large and no "
            "faster (--precision fp32 is exact)"
        )
    version = next(c.version for c in candidates(this_machine()) if c.runtime == runtime)
    return Plan(data=graph_bytes(typed, card), version=version or "?", target=CPU)


def _check_out(path: Path, graph: Path) -> None:
    """ConfigError if the engine or its card would overwrite the graph."""
    for output in (path, card_path(path)):
        check_outputs({"--out": output}, [graph])


def _file_name(card: GraphCard, runtime: RuntimeName, target: str, config: BuildConfig) -> str:
    """Return `bottle-fp16-rtx-sm86.engine`, `bottle-fp16-openvino-cpu.onnx`."""
    stem = f"{Path(card.name).name}-{config.precision}-"
    if target == CPU:
        return f"{stem}{runtime}-{CPU}.onnx"
    via = "torch-" if config.via == "torch-tensorrt" else ""
    return f"{stem}{via}{trt.FLAVORS[runtime].tag}-{target}.engine"


def _quantization(typed: Typed, source: ModelProto, plan: Plan) -> dict[str, Any]:
    """Return the quantization record of the card; empty where the precision is not INT8."""
    if typed.int8 is None:
        return {}
    style: Style = "fp32" if plan.typing == "weak" else "fp16"
    return typed.int8.to_json(source, "cpu" if plan.target == CPU else style)


def _parity(
    graph: Path,
    engine: Path,
    runtime: RuntimeName,
    plan: Plan,
    typed: Typed,
    config: BuildConfig,
    images: Sequence[Image],
) -> dict[str, Any]:
    """Compare an engine with its graph; for a GPU its typed graph is run on the CPU instead."""
    if plan.target == CPU:
        fp16 = config.precision == "fp16"  # INT8 has no FP16 layers on a CPU
        return _compared(graph, engine, runtime, typed, config, images, fp16=fp16)
    if config.precision == "fp32" or not installed("onnxruntime"):
        return {"line": NOT_RUN}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "typed.onnx"
        onnx.save(typed.model, path)
        found = _compared(graph, path, "onnxruntime", typed, config, images, fp16=True)
    whose = "its" if config.via == "onnx" else "the equally typed"
    return {**found, "line": f"{NOT_RUN}; {whose} graph on the CPU: {found['line']}"}


def _compared(
    graph: Path,
    typed_graph: Path,
    runtime: RuntimeName,
    typed: Typed,
    config: BuildConfig,
    images: Sequence[Image],
    *,
    fp16: bool,
) -> dict[str, Any]:
    """Compare a typed graph on its runtime with the exported graph on ONNX Runtime."""
    reference: RuntimeName = "onnxruntime" if installed("onnxruntime") else runtime
    opened = graph_opener(runtime, config.precision)
    with GRAPH_RUNTIMES[reference](graph) as a, opened(typed_graph) as b:
        frames = parity_frames(a.card, images, most=CHECKED)
        moved = moved_limits(a, b, frames[:-EXTREMES] if images else ())
        b.card = dataclasses.replace(b.card, **moved)
        each = list(compare_frames(a, b, frames))
    int8 = config.precision == "int8" and bool(images)  # calibrated on photos, judged on photos
    parity = total(each[:-EXTREMES] if int8 else each)
    limits = Limits(max_map_diff=TOLERANCE if config.precision == "fp32" else None)
    if int8 and config.data is None:
        limits = limits_of(VerifyConfig(), parity.frames, int8=True)
    problems = limits.problems(parity) or Limits().problems(total(each))
    if problems:
        raise GateFailed(
            f"The engine disagrees with {graph}: {', '.join(problems)} "
            f"({parity.line()}). Nothing was written.",
            remedy="--precision fp16, or --data FOLDER to leave layers in a higher precision"
            if config.precision == "int8"
            else "--precision fp32, or another --runtime",
            code="gate/parity",
        )
    found = {**parity.to_json(), "against": a.name, "on": b.name, "line": parity.line()}
    found["limits"] = moved
    if int8:
        found["extremes"] = total(each[-EXTREMES:]).line()
        found["line"] += f"; black, white and noise: {found['extremes']}"
    if fp16 and installed("onnxruntime"):
        peak = _peak(graph, typed.keep, frames)
        found |= {"largest_fp16": peak.value, "largest_fp16_node": peak.node}
        found["line"] += f"; largest FP16 value {peak.value:.4g} of {MAX:.0f} ({peak.node})"
    return found


def _peak(graph: Path, keep: frozenset[str], frames: list[NDArray[np.uint8]]) -> Peak:
    """Return the largest value of the FP16 layers; GateFailed when it overflows."""
    model, card = read_graph(graph)
    peak = largest(model, card, half_nodes(model, keep), frames)
    if not peak.fits:
        raise GateFailed(
            f"{peak.node} overflows FP16: {peak.value:.4g} (maximum {MAX:.0f}). Nothing was "
            "written.",
            remedy="--precision fp32",
            code="gate/overflow",
        )
    return peak


def _tensors(tensors: Sequence[onnx.ValueInfoProto]) -> dict[str, list[Any]]:
    """Return name -> [type, shape] for the card."""
    found = {}
    for tensor in tensors:
        kind = tensor.type.tensor_type
        name = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        found[tensor.name] = [name, [d.dim_value for d in kind.shape.dim]]
    return found
