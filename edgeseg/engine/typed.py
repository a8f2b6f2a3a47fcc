"""Lower the precision of a graph, and measure what that costs."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import ModelProto

from edgeseg.accuracy.cases import open_cases
from edgeseg.accuracy.gate import Allowance, Passed, gate
from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, Precision, RuntimeName
from edgeseg.graph.blocks import blocks_of
from edgeseg.loading import BF16, GRAPH_RUNTIMES, graph_opener
from edgeseg.packages.extras import require
from edgeseg.quantize.calibration_images import SeenImages
from edgeseg.quantize.fp16 import half_nodes, resize_nodes, to_fp16
from edgeseg.quantize.int8 import Int8
from edgeseg.quantize.qdq import Style

EXACT = "not measured: fp32 changes no types"
NO_GATE = "not measured: --data measures the cost of the precision"


@dataclass(frozen=True)
class Typed:
    """A typed graph, and the accuracy record of the card."""

    model: ModelProto
    keep: frozenset[str] = frozenset()
    """The nodes that were left in FP32, where the precision is FP16."""
    accuracy: dict[str, Any] = field(default_factory=dict)
    int8: Int8 | None = None
    """How the graph was quantized, and which convolutions were left."""


def typed_graph(
    model: ModelProto,
    card: GraphCard,
    runtime: RuntimeName,
    config: BuildConfig,
    *,
    int8: Int8 | None = None,
) -> Typed:
    """Lower the precision of a graph; with `config.data`, through the accuracy gate.

    runtime: what the engine is for; ONNX Runtime runs the gate for a runtime that needs a GPU.
    int8: how to quantize, where the precision is INT8. Errors: those of `gate` and `open_cases`.
    """
    if config.precision == "fp32":
        return Typed(model, accuracy={"line": EXACT})
    on_cpu = runtime in GRAPH_RUNTIMES
    style: Style = "cpu" if on_cpu else "fp16"
    fixed = resize_nodes(model) if on_cpu else frozenset()

    def retype(keep: frozenset[str]) -> ModelProto:
        if config.precision == BF16:
            return model
        if int8 is None:
            return to_fp16(model, keep=keep | fixed)
        return replace(int8, keep=keep).apply(model, style)

    if config.data is None:
        return Typed(retype(frozenset()), accuracy={"line": NO_GATE}, int8=int8)
    require("scipy", extra="cpu")  # before minutes of work
    lowered = frozenset() if config.precision == BF16 else half_nodes(model, fixed)
    if int8:
        lowered = frozenset(int8.placement(model, style).convolutions)
    higher: Precision = "fp32" if on_cpu or int8 is None else "fp16"
    cases = open_cases(config.data, card, config.gate_image_count)
    seen = SeenImages()
    for place in np.flatnonzero(cases.good).tolist():
        seen.add(place, cases.read[place]())
    seen.check(config.data)
    passed = gate(
        model,
        retype,
        blocks_of(model, lowered),
        cases,
        card=card,
        open_graph=graph_opener(runtime if on_cpu else "onnxruntime", config.precision),
        allowed=Allowance(config.max_drop, config.max_flip_rate),
        higher=higher,
    )
    record = _record(passed, cases.origin, higher, config, None if on_cpu else runtime)
    keep = frozenset(name for block in passed.kept for name in block.nodes)
    if int8 is None:
        return Typed(passed.model, keep, record)
    return Typed(passed.model, accuracy=record, int8=replace(int8, keep=keep))


def _record(
    passed: Passed, origin: str, higher: str, config: BuildConfig, stands_in_for: str | None
) -> dict[str, Any]:
    """Return the accuracy record of the card; `line` is the text for people."""
    kept = [block.name for block in passed.kept]
    on = passed.on + (f", in place of {stands_in_for}" if stands_in_for else "")
    line = f"{passed.accuracy.line()} ({origin}; on {on})"
    if kept:
        line += f"; left in {higher}: {', '.join(kept)}"
    return {
        **passed.accuracy.to_json(),
        "cases": origin,
        "on": passed.on,
        "stands_in_for": stands_in_for,
        "max_drop": config.max_drop,
        "max_flip_rate": config.max_flip_rate,
        "kept": kept,
        "kept_in": higher,
        "line": line,
    }
