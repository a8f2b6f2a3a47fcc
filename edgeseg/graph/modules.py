"""What a runtime's layers stand for: the part of the network, and the work in it.

The parts are teacher, student, product (of their unit vectors), head, and rest: pre- and
post-processing, and every layer of which no node of the graph is known. The exporter names
convolutions after their modules; the other nodes follow from what they read.

Work is counted in multiply-accumulates, from the graph's shapes: Conv, MatMul and Gemm.

A runtime names a layer after one of the fused nodes, after a tensor that one writes, or after all
of them; with words of its own behind it, seldom before it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from onnx import ModelProto, NodeProto

from edgeseg.errors import ModelError
from edgeseg.graph.wiring import NORM, Wiring, tensor_shapes
from edgeseg.runtime.layer_times import LayerTime

Part = Literal["teacher", "student", "product", "head", "rest"]
PARTS: tuple[Part, ...] = ("teacher", "student", "product", "head", "rest")
MODULES: tuple[Part, ...] = ("teacher", "student", "head")
_STRENGTH: tuple[Part, ...] = ("rest", "teacher", "student", "product", "head")

# What runtimes fuse into the convolution before it.
_FUSED_BEHIND = frozenset(
    "Add BatchNormalization Cast Clip DequantizeLinear Mul QuantizeLinear Relu Sigmoid".split()
)

_JOINTS = re.compile(r"\.\.\.|[\s+,|()\[\]{}]+")
_HEAD = re.compile(r"^Inserted\w*?Cast_")  # ONNX Runtime's casts, and what they were fused with
_TAIL = re.compile(r"(_token_\d+|_myl\d+_\d+|[_/][A-Za-z][^_/]*)$")  # a number is part of a name


@dataclass(frozen=True)
class Placed:
    """A layer, and what is known of it."""

    layer: LayerTime
    part: Part
    nodes: tuple[str, ...]
    """The graph's nodes in it; none where the runtime added it."""
    macs: int
    """Multiply-accumulates of one run."""

    @property
    def label(self) -> str:
        """The module or node that it is known by; the runtime's own name where there is none."""
        modules = [name for name in self.nodes if "." in name]
        return (modules or [*self.nodes, self.layer.name])[0]


class Network:
    """A graph's nodes by part and by work."""

    def __init__(self, model: ModelProto) -> None:
        self.parts = node_parts(model)
        self.macs = node_macs(model)
        self._wiring = Wiring(model.graph)
        self._known = {out: node.name for node in model.graph.node for out in node.output}
        self._known |= {name: name for name in self.parts}

    def part_macs(self) -> dict[Part, int]:
        """Return the multiply-accumulates of each part, of the whole graph."""
        macs = dict.fromkeys(PARTS, 0)
        for name, count in self.macs.items():
            macs[self.parts[name]] += count
        return macs

    def place(self, layers: Sequence[LayerTime]) -> list[Placed]:
        """Return each layer with its part and its work.

        A fused layer belongs to the part with the most work in it. The work of a node that several
        layers name (a convolution, and the copy that reformats its input) is the slowest one's.
        """
        nodes = [self.nodes_of((layer.name, *layer.nodes)) for layer in layers]
        owners: dict[str, int] = {}
        for index, names in enumerate(nodes):
            for name in names:
                best = owners.setdefault(name, index)
                if layers[index].seconds > layers[best].seconds:
                    owners[name] = index
        for name in [name for name in self.macs if name not in owners]:
            if (owner := self._owner_behind(name, owners)) is not None:
                owners[name] = owner
                nodes[owner] = [*nodes[owner], name]
        return [
            Placed(
                layer,
                self._part_of(names),
                tuple(sorted(names, key=self._work, reverse=True)),
                sum(self._work(name) for name in names if owners[name] == index),
            )
            for index, (layer, names) in enumerate(zip(layers, nodes, strict=True))
        ]

    def nodes_of(self, names: Iterable[str]) -> list[str]:
        """Return the nodes that a layer's names stand for, each once."""
        words = [word for name in names for word in (name, *_JOINTS.split(name))]
        return list(dict.fromkeys(node for word in words if (node := self._node(word))))

    def _node(self, word: str) -> str | None:
        word = _HEAD.sub("", word)
        while word and word not in self._known:
            shorter = _TAIL.sub("", word)
            if shorter == word:
                return None
            word = shorter
        return self._known.get(word)

    def _owner_behind(self, name: str, owners: dict[str, int]) -> int | None:
        """Return the layer into which a node without one was fused: its first reader's."""
        readers = [r for out in self._wiring.nodes[name].output for r in self._wiring.readers[out]]
        if not readers:
            return None
        reader = readers[0][0]
        if self._wiring.nodes[reader].op_type not in _FUSED_BEHIND:
            return None
        return owners[reader] if reader in owners else self._owner_behind(reader, owners)

    def _part_of(self, names: Sequence[str]) -> Part:
        return self.parts[max(names, key=self._work)] if names else "rest"

    def _work(self, name: str) -> int:
        return self.macs.get(name, 0)


def node_parts(model: ModelProto) -> dict[str, Part]:
    """Return the part of each node.

    product: from the norms to the head's first module, or where no head follows to the sums over
    channels; rest: before teacher and student, and behind the head's last module or those sums.
    Nodes that read constants alone are of their reader's part.
    """
    nodes = model.graph.node
    own: dict[str, Part] = {n.name: part for n in nodes if (part := _module(n.name))}
    towards_head = _read_by(nodes, {name for name, part in own.items() if part == "head"})
    written: dict[str, Part] = {i.name: "rest" for i in model.graph.input}
    parts: dict[str, Part] = {}
    for node in nodes:
        inputs = {written[name] for name in node.input if name in written}
        if inputs:
            part = own.get(node.name) or _continued(node, inputs)
            if part == "head" and node.name not in own and node.name not in towards_head:
                part = "rest"
            parts[node.name] = part
            aside = part == "product" and node.name not in towards_head
            summed = node.op_type == "ReduceSum" and aside
            written.update(dict.fromkeys(node.output, "rest" if summed else part))
    readers = {name: node.name for node in reversed(nodes) for name in node.input}
    for node in reversed(nodes):
        if node.name not in parts:
            reader = next((readers[out] for out in node.output if out in readers), "")
            parts[node.name] = own.get(node.name) or parts.get(reader, "rest")
    return parts


def node_macs(model: ModelProto) -> dict[str, int]:
    """Return the multiply-accumulates of one run, of each Conv, MatMul and Gemm."""
    shapes = tensor_shapes(model)
    return {
        node.name: _macs(node, shapes)
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
    }


def _module(name: str) -> Part | None:
    return next((part for part in MODULES if name.startswith(f"{part}.")), None)


def _continued(node: NodeProto, inputs: set[Part]) -> Part:
    if {"teacher", "student"} <= inputs or (node.op_type == NORM and inputs - {"rest", "head"}):
        inputs = inputs | {"product"}
    return max(inputs, key=_STRENGTH.index)


def _read_by(nodes: Sequence[NodeProto], ends: set[str]) -> set[str]:
    """Return the nodes from which one of the named ones is reached, those included."""
    found: set[str] = set()
    tensors: set[str] = set()
    for node in reversed(nodes):
        if node.name in ends or not tensors.isdisjoint(node.output):
            found.add(node.name)
            tensors.update(node.input)
    return found


def _macs(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    names = (node.output[0], *node.input[:2])
    if not all(prod(shapes.get(name, (0,))) for name in names):
        raise ModelError(
            f"The shapes of {node.name} ({node.op_type}) are not known: "
            f"{', '.join(f'{name} {list(shapes.get(name, ()))}' for name in names)}.",
            remedy="edgeseg export, again: its graphs have fixed shapes",
        )
    output, first, second = (shapes[name] for name in names)
    if node.op_type == "Conv":
        return prod(output) * prod(second[1:])
    turned = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return prod(output) * first[-2 if turned else -1]
