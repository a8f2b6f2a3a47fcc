"""Who writes and who reads each tensor of a graph, and to which part of the model it belongs."""

from collections import defaultdict
from functools import cached_property
from typing import Literal

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

Part = Literal["picture", "backbone", "product", "head"]
Edge = tuple[str, int]
"""A reader: (a node's name, the index of its input)."""

NORM = "ReduceL2"
DEFAULTS = {
    **{"auto_pad": b"NOTSET", "group": 1},
    **{"dilations": [1, 1], "pads": [0, 0, 0, 0], "strides": [1, 1]},
}
"""The attributes of a convolution, where none is given."""
RESHAPING = ("MaxPool", "Resize", "Expand", "ReduceMean", "GlobalAveragePool")
"""Operations whose results lie between the extremes of their first input."""


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

    def written_by(self, tensor: str, names: frozenset[str]) -> bool:
        """Whether one of the named nodes writes a tensor."""
        return tensor in self.producers and self.producers[tensor].name in names

    def convolutions(self) -> list[NodeProto]:
        """Return the convolutions with constant weights, in order."""
        nodes = self.nodes.values()
        return [n for n in nodes if n.op_type == "Conv" and n.input[1] in self.shapes]

    def depth(self, tensor: str) -> int:
        """Return the number of convolutions on the longest path to a tensor."""
        return self._depths.get(tensor, 0)

    @cached_property
    def _depths(self) -> dict[str, int]:
        depths: dict[str, int] = {}
        for node in self.nodes.values():
            before = max((depths.get(name, 0) for name in node.input), default=0)
            depths.update(dict.fromkeys(node.output, before + (node.op_type == "Conv")))
        return depths


def parts(model: ModelProto) -> dict[str, Part]:
    """Return the part of each tensor that a node writes.

    product: between the norms and the first convolution behind them; head: from there on, and
    whatever the exporter named after the head (one that reads features has no norms before it).
    """
    found: dict[str, Part] = {}
    for node in model.graph.node:
        inputs = {found.get(name, "backbone") for name in node.input}
        part: Part = "backbone"
        behind = "product" in inputs and node.op_type == "Conv"
        if "head" in inputs or behind or node.name.startswith("head."):
            part = "head"
        elif "product" in inputs or node.op_type == NORM:
            part = "product"
        found.update(dict.fromkeys(node.output, part))
    return found


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


def never_negative(model: ModelProto) -> frozenset[str]:
    """Return the tensors that hold no negative number, whatever the frame."""
    limits = {
        i.name: float(numpy_helper.to_array(i)) for i in model.graph.initializer if not i.dims
    }
    found: set[str] = set()
    for node in model.graph.node:
        rectified = node.op_type in ("Relu", "Sigmoid") or (
            node.op_type == "Clip" and limits.get(node.input[1], -1.0) >= 0
        )
        between = node.op_type in RESHAPING and node.input[0] in found
        sums = node.op_type in ("Concat", "Add") and found.issuperset(node.input)
        if rectified or between or sums:
            found.update(node.output)
    return frozenset(found)


def groups(convolution: NodeProto) -> int:
    """Return a convolution's number of groups."""
    return next((a.i for a in convolution.attribute if a.name == "group"), 1)


def is_plain(convolution: NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether a convolution is 1x1 or 3x3, dense, and keeps the map's size by zeros around it."""
    height, width = shapes[convolution.input[1]][2:]
    given = {a.name: helper.get_attribute_value(a) for a in convolution.attribute}
    plain = DEFAULTS | {"kernel_shape": [height] * 2, "pads": [height // 2] * 4}
    same = DEFAULTS | {"kernel_shape": [height] * 2} | given == plain
    return same and height == width and height in (1, 3)


def tensor_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor and constant."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    tensors = (*graph.value_info, *graph.input, *graph.output)
    shapes = {t.name: tuple(d.dim_value for d in t.type.tensor_type.shape.dim) for t in tensors}
    return shapes | {i.name: tuple(i.dims) for i in graph.initializer}
