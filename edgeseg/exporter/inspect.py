"""The command `inspect`: multiply-accumulates (MACs) and parameters of each network module.

A run is traced as `edgeseg export` would write it; a graph is read as it is. Parameters are the
numbers in the constants, each constant once: weights, biases, and the matrices of resizing and
interpolation, but not shapes, indices, scales and zero points.
"""

from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx import ModelProto

from edgeseg.cards import GraphCard
from edgeseg.config import ExportConfig
from edgeseg.frame.geometry import frame_pixels, pixel_text, size_text
from edgeseg.graph.files import graph_file, read_graph
from edgeseg.graph.graph import Graph, dtype, name_of, shape
from edgeseg.graph.memory import tensor_bytes
from edgeseg.graph.modules import MODULES, module_macs, node_modules
from edgeseg.text import table

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
NUMBERS = frozenset(
    getattr(ir.DataType, name)
    for name in ("FLOAT", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT32")
)


@dataclass(frozen=True)
class ModuleSize:
    """The size of one module, or of the whole network."""

    gmac: float
    """Billions of multiply-accumulates per inference."""
    parameters_m: float
    """Millions of parameters."""


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    """The modules of one model."""

    path: Path
    card: GraphCard
    sizes: dict[str, ModuleSize]
    """Module, or `total` -> its size."""
    tensor_bytes: int
    """As graph/memory.py counts them."""

    def summary(self) -> str:
        """Return the table as text."""
        n, (height, width) = self.card.frame_shape[0], self.card.frame_size
        size, teacher = (
            size_text(self.card.network_size),
            self.card.training.get("teacher", "unknown"),
        )
        rows = [["module", "GMAC", "M parameters"]]
        rows += [[m, f"{s.gmac:.3f}", f"{s.parameters_m:.3f}"] for m, s in self.sizes.items()]
        return "\n".join(
            [
                f"model   {self.path}: {self.card.model}, teacher {teacher}, {size}",
                f"frames  {n} per inference, {width}x{height} {self.card.frame_format}",
                *(f"        {line}" for line in seen_lines(self.card, self.tensor_bytes)),
                "",
                *table(rows, "<>>"),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the sizes by module."""
        return {
            "model": str(self.path),
            "kind": self.card.model,
            "teacher": self.card.training.get("teacher"),
            "network_size": list(self.card.network_size),
            "frame_shape": list(self.card.frame_shape),
            "tiles": asdict(self.card.tiles) if self.card.tiles else None,
            "pixel": frame_pixels(self.card.frame_size, self.card.content.size),
            "tensor_bytes": self.tensor_bytes,
            "modules": {module: asdict(size) for module, size in self.sizes.items()},
        }


def inspect_model(path: Path, *, graph: Path | None = None) -> GraphReport:
    """Inspect a run, an ONNX file or an engine; nothing is written.

    graph: for an engine without shapes, what it was built from. PyTorch is loaded for a run only.
    Errors: ModelError for a path that is none of these.
    """
    if path.is_dir():
        from edgeseg.exporter.export import traced_run

        model, card = traced_run(path, ExportConfig())
    else:
        model, card = read_graph(graph or graph_file(path))
    return GraphReport(
        path=path,
        card=card,
        sizes=module_sizes(model),
        tensor_bytes=tensor_bytes(Graph(model)),
    )


def seen_lines(card: GraphCard, tensors: int) -> list[str]:
    """Say what the network sees of a frame, and what memory that takes."""
    lines = [card.tiles.text(card.network_size)] if card.tiles else []
    return [
        *lines,
        pixel_text(card.frame_size, card.content.size),
        f"{tensors / 1e6:.0f} MB of tensors at a time, beside the weights",
    ]


def module_sizes(model: ModelProto) -> dict[str, ModuleSize]:
    """Return the size of each module, and of all of them as `total`."""
    graph = Graph(model)
    modules, macs = node_modules(graph), module_macs(graph)
    numbers = dict.fromkeys(MODULES, 0)
    seen: set[ir.Value] = set()
    for node in graph.nodes:
        for tensor in node.inputs[:1] if node.op_type in QUANTIZERS else node.inputs:
            if tensor and tensor.is_initializer() and tensor not in seen:
                seen.add(tensor)
                if dtype(tensor) in NUMBERS:
                    numbers[modules[name_of(node)]] += prod(shape(tensor))
    sizes: dict[str, ModuleSize] = {
        module: ModuleSize(macs[module] / 1e9, numbers[module] / 1e6) for module in MODULES
    }
    total = ModuleSize(sum(macs.values()) / 1e9, sum(numbers.values()) / 1e6)
    return sizes | {"total": total}
