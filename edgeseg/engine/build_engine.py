"""A graph to an engine for one runtime and machine, with a card that says what it is.

For the CPU runtimes the engine is the typed graph itself: OpenVINO and ONNX Runtime compile a graph
while they open it, and OpenVINO's own .xml with its .bin opened no sooner (0.6 to 0.9 s, ResNet18
at 256 x 256, two cores). It is one file, with its metadata inside, that any version reads; what
OpenVINO compiled of it is kept in the user's cache (runtime/ov_cache.py). For TensorRT the engine
is a plan: one GPU, one version.
"""

import dataclasses
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

from edgeseg.cards import EngineCard, GraphCard, write_card
from edgeseg.config import BuildConfig, RuntimeName
from edgeseg.data.frames import KEPT, parity_frames, pick_images
from edgeseg.data.images import Image
from edgeseg.engine.tensorrt import Plan, build_plan
from edgeseg.engine.typed import Typed, typed_graph
from edgeseg.errors import ConfigError, GateFailed
from edgeseg.evaluation.compare import compare
from edgeseg.extras import installed, require
from edgeseg.files import replacing, sha256
from edgeseg.graph.files import read_graph
from edgeseg.loading import BF16, GRAPH_RUNTIMES, graph_opener
from edgeseg.log import log
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.quantize.calibration_file import ranges_path, read_ranges
from edgeseg.quantize.fp16 import MAX, half_nodes
from edgeseg.quantize.int8 import Int8, describe
from edgeseg.quantize.qdq import Style
from edgeseg.quantize.ranges import Peak, largest
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import best, candidates, probe, reasons
from edgeseg.runtime.engine_files import CPU, card_path

TOLERANCE = 1e-4  # of an FP32 engine's maps; FP16 has no limit here, its differences are reported


@dataclass(frozen=True)
class Engine:
    """An engine that was built, beside its card."""

    path: Path
    card: EngineCard

    def summary(self) -> str:
        """Return the file, what it is for, its layers and its parity, as text."""
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
        """Return the paths and the facts of the card."""
        facts = dataclasses.asdict(self.card)
        kept = ("runtime", "runtime_version", "precision", "target", "bytes", "sha256", "accuracy")
        paths = {"engine": str(self.path), "card": str(card_path(self.path))}
        names = (*kept, "quantization", "parity", "layers", "seconds")
        return paths | {name: facts[name] for name in names}


def build_engine(
    graph: Path, config: BuildConfig, *, out: Path = Path("engines"), images: Sequence[Image] = ()
) -> Engine:
    """Build <out>/<name>-<precision>-<target> and its card from a graph that edgeseg exported.

    images: RGB frames of the parity check; without any, those of `config.data`, or synthetic ones.
    Errors: ModelError for another file, BuildError when the runtime refuses the graph or computes
    in other types than it says, GateFailed (no file) when the precision costs too much on
    `config.data`, or when the engine's answers are no numbers or, in FP32, others.
    """
    here = this_machine()
    model, source = read_graph(graph)
    builder = None
    if config.via == "torch-tensorrt":
        require("torch", extra="torch-tensorrt")
        from edgeseg.engine.torch_tensorrt import open_builder

        builder = open_builder(graph, source, config, here)
    runtime = builder.api.flavor.runtime if builder else config.runtime or _best(config, here)
    if config.precision == BF16:
        _check_bf16(runtime, here)
    int8 = _int8(graph, source, runtime, config) if config.precision == "int8" else None
    if config.data is not None:
        images = images or pick_images(config.data, KEPT)
    typed = typed_graph(model, source, runtime, config, int8=int8)
    started = time.perf_counter()
    if builder:
        plan = builder.build(model, typed.keep, config)
        ending = f"torch-{trt.FLAVORS[runtime].tag}-{plan.target}.engine"
    elif runtime in trt.FLAVORS:
        plan = build_plan(runtime, model, config, here, keep=typed.keep, int8=typed.int8)
        ending = f"{trt.FLAVORS[runtime].tag}-{plan.target}.engine"
    else:
        plan = _typed_graph(runtime, typed.model, config)
        ending = f"{runtime}-{plan.target}.onnx"
    on_gpu: Style = "fp32" if plan.typing == "weak" else "fp16"
    style = "cpu" if plan.target == CPU else on_gpu
    seconds = time.perf_counter() - started

    path = out / f"{Path(source.name).name}-{config.precision}-{ending}"
    with replacing(path) as part:
        part.write_bytes(plan.data)
        if plan.target == CPU:
            half = config.precision == "fp16"  # INT8 leaves nothing in Half there
            parity = _parity(graph, part, runtime, config, typed.keep, images, half=half)
        else:
            parity = _stand_in_parity(graph, typed, config, images)
    card = EngineCard(
        graph=source,
        file=path.name,
        sha256=sha256(path),
        bytes=path.stat().st_size,
        runtime=runtime,
        runtime_version=plan.version,
        precision=config.precision,
        target=plan.target,
        built_on=dataclasses.asdict(here),
        source_sha256=sha256(graph),
        inputs=_tensors(model.graph.input),
        outputs=_tensors(model.graph.output),
        layers=plan.layers,
        typing=plan.typing,
        accuracy=typed.accuracy,
        quantization=typed.int8.to_json(model, style) if typed.int8 else {},
        parity=parity,
        seconds=round(seconds, 2),
        via=config.via,
    )
    write_card(card_path(path), card)
    return Engine(path, card)


def _int8(graph: Path, card: GraphCard, runtime: RuntimeName, config: BuildConfig) -> Int8:
    """Read the ranges of a graph; ModelError, with the command, when they are missing or stale.

    The product's convolution is a tenth of all work. On two cores INT8 there saved an eighth of a
    frame's time and cost 0.0004 of pixel AP; for a GPU it cost 0.0019 and kept 0.0012, and what it
    would save was not run. (Magnetic tiles, 348 images.)
    """
    path = config.ranges or ranges_path(card.name)
    similarity = config.similarity or ("equalized" if runtime in GRAPH_RUNTIMES else "kept")
    return Int8(ranges=read_ranges(path, graph), file=path, similarity=similarity)


def _check_bf16(runtime: RuntimeName, here: Machine) -> None:
    """ConfigError for a runtime without it; a word for a processor without it."""
    if runtime != "openvino":
        raise ConfigError(
            f"--precision is bf16 and the runtime is {runtime}; of ours, openvino computes in it.",
            remedy="--runtime openvino --precision bf16, or --precision fp16",
        )
    if not {"avx512_bf16", "amx_bf16"} & set(here.instructions):
        log.info("no bfloat16 here (avx512_bf16, amx_bf16): OpenVINO computes in FP32 instead")


def _best(config: BuildConfig, here: Machine) -> RuntimeName:
    """Choose the best runtime that this machine runs, and say why; one alone has bfloat16."""
    if config.precision == BF16:
        return "openvino"
    found = [probe(c) if c.runs else c for c in candidates(here)]
    taken = best(found)
    why = reasons(taken.runtime, found)
    log.info(f"runtime: {taken.runtime} {taken.version}" + (f" ({why})" if why else ""))
    return taken.runtime


def _typed_graph(runtime: RuntimeName, typed: ModelProto, config: BuildConfig) -> Plan:
    """Make an engine for a CPU runtime: the graph with its types."""
    if config.compute_capability is not None:
        raise ConfigError(
            f"--compute-capability is {config.compute_capability}, but {runtime} is for the CPU.",
            remedy=f"--runtime tensorrt-rtx --compute-capability {config.compute_capability}",
        )
    if config.precision == "fp16":
        log.info(
            f"{runtime} on a CPU computes Half in Float: the file is half as large and no faster "
            "(--precision fp32 keeps every digit)"
        )
    version = next(c.version for c in candidates(this_machine()) if c.runtime == runtime)
    return Plan(data=typed.SerializeToString(), version=version or "?", target=CPU)


def _parity(
    graph: Path,
    engine: Path,
    runtime: RuntimeName,
    config: BuildConfig,
    keep: frozenset[str],
    images: Sequence[Image],
    *,
    half: bool,
) -> dict[str, Any]:
    """Compare a typed graph on its runtime with the exported graph on ONNX Runtime."""
    reference: RuntimeName = "onnxruntime" if installed("onnxruntime") else runtime
    opened = graph_opener(runtime, config.precision)
    with GRAPH_RUNTIMES[reference](graph) as a, opened(engine) as b:
        frames = parity_frames(a.card, images)
        parity = compare(a, b, frames)
    exact = config.precision == "fp32" and parity.max_abs_diff > TOLERANCE
    if exact or not parity.finite:
        raise GateFailed(
            f"The engine disagrees with {graph}: {parity.line()}; nothing was written.",
            remedy="--precision fp32, or another --runtime",
        )
    found = {**parity.to_json(), "against": a.name, "on": b.name, "line": parity.line()}
    if half and installed("onnxruntime"):
        peak = _peak(graph, keep, frames)
        found |= {"largest_half": peak.value, "largest_half_node": peak.node}
        found["line"] += f"; largest value in Half {peak.value:.4g} of {MAX:.0f} ({peak.node})"
    return found


def _peak(graph: Path, keep: frozenset[str], frames: list[NDArray[np.uint8]]) -> Peak:
    """Return the largest value that Half has to hold; GateFailed when it does not."""
    model, card = read_graph(graph)
    peak = largest(model, card, half_nodes(model, keep), frames)
    if not peak.fits:
        raise GateFailed(
            f"{peak.node} writes {peak.value:.4g}, and Half ends at {MAX:.0f}; nothing was "
            "written.",
            remedy="--precision fp32",
        )
    return peak


def _stand_in_parity(
    graph: Path, typed: Typed, config: BuildConfig, images: Sequence[Image]
) -> dict[str, Any]:
    """Say what is known of an engine that was not run: its typed graph's answers on the CPU."""
    line = "the engine was not run on a GPU"
    if config.precision == "fp32" or not installed("onnxruntime"):
        return {"line": line}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "typed.onnx"
        onnx.save(typed.model, path)
        found = _parity(graph, path, "onnxruntime", config, typed.keep, images, half=True)
    whose = "its" if config.via == "onnx" else "the equally typed"
    return {**found, "line": f"{line}; {whose} graph on the CPU: {found['line']}"}


def _tensors(tensors: Sequence[onnx.ValueInfoProto]) -> dict[str, list[Any]]:
    """Return name -> [type, shape] for the card."""
    found = {}
    for tensor in tensors:
        kind = tensor.type.tensor_type
        name = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        found[tensor.name] = [name, [d.dim_value for d in kind.shape.dim]]
    return found
