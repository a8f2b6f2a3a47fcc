"""What is in a model: multiply-accumulates and parameters of each part, before and after rewrites.

A graph is what it is, one column. A run has two: the graph as PyTorch traces it, and what `edgeseg
export` would make of that. The parts are those of `edgeseg profile`.

Parameters are the numbers in a part's constants, each once: weights and biases, and the matrices
of resizing and interpolation; not shapes, indices, scales and zeros.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto

from edgeseg.cards import GraphCard
from edgeseg.config import ExportConfig
from edgeseg.export.exact import rewrite
from edgeseg.graph.files import graph_file, read_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import MODULES, module_macs, node_modules

SCALED = ("QuantizeLinear", "DequantizeLinear")
NUMBERS = frozenset(
    (
        *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16),
        *(TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32),
    )
)


@dataclass(frozen=True)
class PartSize:
    """One part of a network, or all of it."""

    gmac: float
    """Billions of multiply-accumulates in one run."""
    parameters_m: float
    """Millions of numbers."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The parts of one model, in one or two states."""

    path: Path
    card: GraphCard
    rewrites: tuple[str, ...] | None
    """Of the last state; None: a graph from before there were any."""
    states: dict[str, dict[str, PartSize]]
    """`traced` and `exported` of a run, `graph` of a file: part, or `total` -> its size."""

    def summary(self) -> str:
        """Return the table as text."""
        n, height, width, _ = self.card.frame_shape
        side = self.card.image_size
        done = "unknown" if self.rewrites is None else ", ".join(self.rewrites) or "none"
        states = list(self.states.values())
        names = list(self.states) if len(states) > 1 else [""]
        lines = [
            f"model       {self.path}: {self.card.model}, teacher "
            f"{self.card.training.get('teacher', 'unknown')}, {side} x {side}",
            f"frames      {n} a run, {width}x{height} {self.card.frame_format}",
            f"rewrites    {done}",
            "",
            f"part      {_wide(f'GMAC {name}'.strip() for name in names)}"
            f"{_wide(f'M parameters {name}'.strip() for name in names)}",
        ]
        for part in states[0]:
            sizes = [state[part] for state in states]
            lines.append(
                f"{part:<10}{_wide(f'{size.gmac:.3f}' for size in sizes)}"
                f"{_wide(f'{size.parameters_m:.3f}' for size in sizes)}"
            )
        if len(states) > 1:
            share = 1 - states[1]["total"].gmac / states[0]["total"].gmac
            lines += ["", f"rewritten, it multiplies and accumulates {share:.1%} less"]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the sizes by state and part."""
        return {
            "model": str(self.path),
            "kind": self.card.model,
            "teacher": self.card.training.get("teacher"),
            "image_size": self.card.image_size,
            "frame_shape": list(self.card.frame_shape),
            "rewrites": None if self.rewrites is None else list(self.rewrites),
            "states": {
                name: {part: asdict(size) for part, size in state.items()}
                for name, state in self.states.items()
            },
        }


def inspect_model(path: Path, *, graph: Path | None = None) -> Inspection:
    """Look into a run, an ONNX file or an engine.

    graph: of an engine that keeps no shapes, what it was built from. PyTorch is loaded for a run
    alone. Errors: ModelError for a path that is none of these.
    """
    if not path.is_dir():
        model, card = read_graph(graph or graph_file(path))
        return Inspection(
            path=path, card=card, rewrites=card.rewrites, states={"graph": part_sizes(model)}
        )
    from edgeseg.export.export import traced_run

    traced, card = traced_run(path, ExportConfig())
    exported, done = rewrite(traced, ExportConfig().rewrite_names())
    states = {"traced": part_sizes(traced), "exported": part_sizes(exported)}
    return Inspection(path=path, card=card, rewrites=done, states=states)


def part_sizes(model: ModelProto) -> dict[str, PartSize]:
    """Return the size of each part, and of all of them as `total`."""
    graph = Graph(model)
    modules, macs = node_modules(graph), module_macs(graph)
    numbers = dict.fromkeys(MODULES, 0)
    left = {i.name: prod(i.dims) for i in model.graph.initializer if i.data_type in NUMBERS}
    for node in model.graph.node:
        values = node.input[:1] if node.op_type in SCALED else node.input
        for name in values:
            numbers[modules[node.name]] += left.pop(name, 0)
    sizes = {part: PartSize(macs[part] / 1e9, numbers[part] / 1e6) for part in MODULES}
    total = PartSize(sum(macs.values()) / 1e9, sum(numbers.values()) / 1e6)
    return sizes | {"total": total}


def _wide(texts: Iterable[str]) -> str:
    return "".join(f"{text:>24}" for text in texts)
