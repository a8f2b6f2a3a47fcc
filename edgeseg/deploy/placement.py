"""Where INT8 begins and ends in a graph: which convolutions, which tensors, which readers.

For TensorRT: both inputs of a convolution, and of a residual addition the skip alone, so that
convolution, addition, rectifier and the next quantization become one kernel. One pair of
QuantizeLinear and DequantizeLinear serves all readers of a tensor. Whatever is no convolution
keeps its type: unit vectors, their product's arithmetic, sigmoid, map and score.
Source: NVIDIA, TensorRT developer guide, "Q/DQ layer-placement recommendations".
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from onnx import GraphProto, ModelProto, NodeProto

from edgeseg.config import Product

Part = Literal["backbone", "product", "head"]
Edge = tuple[str, int]
"""A reader: (a node's name, the index of its input)."""

PICTURE = 4  # channels, at most, of what a stem reads
NARROW = 8  # outputs below which a convolution fills no INT8 kernel: the head's last, of one
MEANS = ("ReduceMean", "GlobalAveragePool")
NORM = "ReduceL2"


class Wiring:
    """Who writes and who reads each tensor of a graph."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = {node.name: node for node in graph.node}
        assert len(self.nodes) == len(graph.node), "two nodes share a name"
        self.producers = {out: node for node in graph.node for out in node.output}
        self.shapes = {i.name: tuple(i.dims) for i in graph.initializer}
        self.readers: dict[str, list[Edge]] = defaultdict(list)
        for node in graph.node:
            for index, name in enumerate(node.input):
                self.readers[name].append((node.name, index))

    def writer(self, tensor: str) -> str:
        """Return the operation that writes a tensor; empty for inputs and constants."""
        return self.producers[tensor].op_type if tensor in self.producers else ""

    def convolutions(self) -> list[NodeProto]:
        """Return the convolutions with constant weights, in order."""
        nodes = self.nodes.values()
        return [n for n in nodes if n.op_type == "Conv" and n.input[1] in self.shapes]


@dataclass(frozen=True)
class Placement:
    """What is quantized."""

    convolutions: tuple[str, ...]
    """Names of the convolutions that read INT8, in the graph's order."""
    edges: dict[str, tuple[Edge, ...]]
    """Tensor -> the readers that get it quantized; the others read it as it was."""
    weights: tuple[str, ...]
    """The constants that become INT8, each once."""
    left: dict[str, str]
    """Convolutions left alone -> why: stem, output, pooled, product, kept."""


def place(
    model: ModelProto, *, keep: frozenset[str] = frozenset(), product: Product = "kept"
) -> Placement:
    """Decide what is quantized.

    keep: names of convolutions to leave alone; product: whether the convolutions that read the
    product of the unit vectors are left alone too.
    """
    wiring = Wiring(model.graph)
    part = parts(model)
    left = _left_alone(wiring, part, product) | dict.fromkeys(keep, "kept")
    taken = tuple(node.name for node in wiring.convolutions() if node.name not in left)
    edges: dict[str, list[Edge]] = defaultdict(list)
    for name in taken:
        edges[wiring.nodes[name].input[0]].append((name, 0))
    for name, index in _skips(wiring, frozenset(taken)):
        edges[wiring.nodes[name].input[index]].append((name, index))
    weights = tuple(dict.fromkeys(wiring.nodes[name].input[1] for name in taken))
    readers = {tensor: tuple(found) for tensor, found in edges.items()}
    return Placement(taken, readers, weights, left)


def measured(model: ModelProto) -> dict[str, Part]:
    """Return the tensors whose ranges any placement needs, and the part that each belongs to."""
    part = parts(model)
    tensors = set(place(model, product="equalized").edges)
    for concat in products(model):
        tensors.update(concat.input)  # equalization takes each level's range
    return {name: part.get(name, "backbone") for name in sorted(tensors)}


def products(model: ModelProto) -> list[NodeProto]:
    """Return the concatenations of the product's levels that plain convolutions alone read."""
    part = parts(model)
    wiring = Wiring(model.graph)
    outputs = {output.name for output in model.graph.output}
    plain = {node.name for node in wiring.convolutions() if groups(node) == 1}
    return [
        node
        for node in model.graph.node
        if node.op_type == "Concat"
        and part[node.output[0]] == "product"
        and node.output[0] not in outputs
        and all(edge[0] in plain for edge in wiring.readers[node.output[0]])
    ]


def parts(model: ModelProto) -> dict[str, Part]:
    """Return the part of each tensor that a node writes.

    product: between the norms and the first convolution behind them; head: from there on.
    """
    found: dict[str, Part] = {}
    for node in model.graph.node:
        inputs = {found.get(name, "backbone") for name in node.input}
        part: Part = "backbone"
        if "head" in inputs or ("product" in inputs and node.op_type == "Conv"):
            part = "head"
        elif "product" in inputs or node.op_type == NORM:
            part = "product"
        found.update(dict.fromkeys(node.output, part))
    return found


def _left_alone(wiring: Wiring, part: dict[str, Part], product: Product) -> dict[str, str]:
    """Return the convolutions that INT8 would spoil, or not speed up, and why."""
    left = {}
    for node in wiring.convolutions():
        outputs, inputs = wiring.shapes[node.input[1]][:2]
        if inputs * groups(node) <= PICTURE:
            left[node.name] = "stem"
        elif outputs < NARROW:
            left[node.name] = "output"
        elif wiring.writer(node.input[0]) in MEANS:
            left[node.name] = "pooled"
        elif product == "kept" and part.get(node.input[0]) == "product":
            left[node.name] = "product"
    return left


def _skips(wiring: Wiring, taken: frozenset[str]) -> list[Edge]:
    """Return the skip inputs of the additions that follow a quantized convolution.

    Where two convolutions meet, the one at the end of the longer path is fused with the addition
    and the other is the skip. A convolution that is left alone writes no skip for INT8.
    """
    found = []
    for node in wiring.nodes.values():
        if node.op_type != "Add" or any(name in wiring.shapes for name in node.input):
            continue
        fused = [k for k, name in enumerate(node.input) if _written_by(wiring, name, taken)]
        if not fused:
            continue
        branch = max(fused, key=lambda k: _depth(wiring, node.input[k]))
        skip = node.input[1 - branch]
        if wiring.writer(skip) != "Conv" or _written_by(wiring, skip, taken):
            found.append((node.name, 1 - branch))
    return found


def _written_by(wiring: Wiring, tensor: str, names: frozenset[str]) -> bool:
    return tensor in wiring.producers and wiring.producers[tensor].name in names


def _depth(wiring: Wiring, tensor: str) -> int:
    """Return the number of convolutions on the longest path to a tensor."""
    depths: dict[str, int] = {}
    for node in wiring.nodes.values():
        before = max((depths.get(name, 0) for name in node.input), default=0)
        depths.update(dict.fromkeys(node.output, before + (node.op_type == "Conv")))
    return depths.get(tensor, 0)


def groups(convolution: NodeProto) -> int:
    """Return a convolution's number of groups."""
    return next((a.i for a in convolution.attribute if a.name == "group"), 1)
