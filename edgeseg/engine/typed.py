"""A graph in the precision that was asked for, and what that costs, where it was measured."""

from dataclasses import dataclass, replace
from typing import Any

from onnx import ModelProto

from edgeseg.accuracy.cases import open_cases
from edgeseg.accuracy.gate import Passed, gate
from edgeseg.accuracy.measure import Allowance
from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, Precision, RuntimeName
from edgeseg.extras import require
from edgeseg.graph.blocks import blocks_of
from edgeseg.loading import BF16, GRAPH_RUNTIMES, graph_opener
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from edgeseg.quantize.int8 import Int8
from edgeseg.quantize.qdq import Style

EXACT = "not measured: fp32 changes no type"
NO_GATE = "no gate was run: --data DIR measures what the precision costs"


@dataclass(frozen=True)
class Typed:
    """A typed graph, and the card's account of its accuracy."""

    model: ModelProto
    keep: frozenset[str]
    """The nodes that were left in FP32 when the rest became Half."""
    accuracy: dict[str, Any]
    int8: Int8 | None = None
    """How it was quantized, and which convolutions were left as they were."""


def typed_graph(
    model: ModelProto,
    card: GraphCard,
    runtime: RuntimeName,
    config: BuildConfig,
    *,
    int8: Int8 | None = None,
) -> Typed:
    """Lower a graph's precision; with `config.data`, through the accuracy gate.

    runtime: which one the engine is for; ONNX Runtime stands in for one that is no CPU's; int8: how
    to quantize, where the precision is INT8. Errors: those of `gate` and `open_cases`.
    """
    if config.precision == "fp32":
        return Typed(model, frozenset(), {"line": EXACT})
    on_cpu = runtime in GRAPH_RUNTIMES
    style: Style = "cpu" if on_cpu else "fp16"
    higher: Precision = "fp32" if on_cpu or int8 is None else "fp16"

    def retype(keep: frozenset[str]) -> ModelProto:
        if config.precision == BF16:
            return model
        if int8 is None:
            return to_fp16(model, keep=keep)
        return replace(int8, keep=keep).apply(model, style)

    lowered = frozenset() if config.precision == BF16 else half_nodes(model)
    if int8:
        lowered = frozenset(int8.placement(model, style).convolutions)
    if config.data is None:
        return Typed(retype(frozenset()), frozenset(), {"line": NO_GATE}, int8)
    require("scipy", extra="cpu")  # before minutes of work, and not after
    cases = open_cases(config.data, card, config.gate_image_count)
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
    account = _account(passed, cases.origin, higher, config, None if on_cpu else runtime)
    keep = frozenset(name for block in passed.kept for name in block.nodes)
    if int8 is None:
        return Typed(passed.model, keep, account)
    return Typed(passed.model, frozenset(), account, replace(int8, keep=keep))


def _account(
    passed: Passed, origin: str, higher: str, config: BuildConfig, stands_in_for: str | None
) -> dict[str, Any]:
    """Return what the card holds; its `line` is what people read."""
    kept = [block.name for block in passed.kept]
    line = f"{passed.accuracy.line()} ({origin}; on {passed.on}"
    if stands_in_for:
        line += f", which stands in for {stands_in_for}"
    line += ")"
    if kept:
        line += f"; kept in {higher}: {', '.join(kept)}"
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
