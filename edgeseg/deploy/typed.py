"""A graph in the precision that was asked for, and what that costs, where it was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, RuntimeName
from edgeseg.deploy.blocks import blocks_of
from edgeseg.deploy.cases import open_cases
from edgeseg.deploy.gate import Passed, gate
from edgeseg.deploy.precision import half_nodes, to_fp16
from edgeseg.evaluation.opener import GRAPH_RUNTIMES
from edgeseg.extras import require

EXACT = "not measured: fp32 changes no type"
NO_GATE = "no gate was run: --data DIR measures what the precision costs"


@dataclass(frozen=True)
class Typed:
    """A typed graph, and the card's account of its accuracy."""

    model: ModelProto
    keep: frozenset[str]
    """The nodes that were left in the higher precision."""
    accuracy: dict[str, Any]


def typed_graph(
    model: ModelProto,
    card: GraphCard,
    runtime: RuntimeName,
    config: BuildConfig,
    say: Callable[[str], None],
) -> Typed:
    """Lower a graph's precision; with `config.data`, through the accuracy gate.

    runtime: which one the engine is for; ONNX Runtime stands in for one that is no CPU's. Errors:
    those of `gate` and `open_cases`.
    """
    if config.precision == "fp32":
        return Typed(model, frozenset(), {"line": EXACT})
    if config.data is None:
        return Typed(to_fp16(model), frozenset(), {"line": NO_GATE})
    require("scipy", extra="train")  # before minutes of work, and not after
    cases = open_cases(config.data, card, config.gate_frames)
    passed = gate(
        model,
        lambda keep: to_fp16(model, keep=keep),
        blocks_of(model, half_nodes(model)),
        cases,
        card=card,
        open_graph=GRAPH_RUNTIMES[runtime if runtime in GRAPH_RUNTIMES else "onnxruntime"],
        max_drop=config.max_drop,
        higher="fp32",
        say=say,
    )
    stands_in_for = None if runtime in GRAPH_RUNTIMES else runtime
    account = _account(passed, cases.origin, "fp32", config.max_drop, stands_in_for)
    keep = frozenset(name for block in passed.kept for name in block.nodes)
    return Typed(passed.model, keep, account)


def _account(
    passed: Passed, origin: str, higher: str, max_drop: float, stands_in_for: str | None
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
        "max_drop": max_drop,
        "kept": kept,
        "kept_in": higher,
        "line": line,
    }
