"""The layers that a runtime reports, with the graph's nodes, module and MACs of each.

A runtime names a layer after one of the fused nodes, after a tensor that one of them writes, or
after all of them, and adds words of its own behind the name or, seldom, before it. A layer of which
no node is known belongs to the module rest.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import ModelProto

from edgeseg.graph.graph import Graph, name_of
from edgeseg.graph.modules import Module, node_macs, node_modules
from edgeseg.runtime.layer_times import LayerTime

# Operations that runtimes fuse into the convolution before them.
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
    module: Module
    nodes: tuple[str, ...]
    """The graph's nodes in it; none where the runtime added it."""
    macs: int
    """Multiply-accumulates of one run."""

    @property
    def label(self) -> str:
        """The PyTorch module or node that it is known by; else the runtime's own name."""
        modules = [name for name in self.nodes if "." in name]
        return (modules or [*self.nodes, self.layer.name])[0]


class LayerMap:
    """From the names of layers to a graph's nodes."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = Graph(model)
        self.modules = node_modules(self.graph)
        self.macs = node_macs(self.graph)
        self._known = {name_of(t): name_of(n) for n in self.graph.nodes for t in n.outputs}
        self._known |= {name: name for name in self.modules}

    def place(self, layers: Sequence[LayerTime]) -> list[Placed]:
        """Return each layer with its module and its MACs.

        A fused layer belongs to the module with the most MACs in it. The MACs of a node that
        several layers name (a convolution, and the copy that reformats its input) are the slowest
        one's.
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
                self.modules[max(names, key=self._macs)] if names else "rest",
                tuple(sorted(names, key=self._macs, reverse=True)),
                sum(self._macs(name) for name in names if owners[name] == index),
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
        node = self.graph.by_name[name]
        reader = next((user for out in node.outputs for user in out.consumers()), None)
        if reader is None or reader.op_type not in _FUSED_BEHIND:
            return None
        behind = name_of(reader)
        return owners[behind] if behind in owners else self._owner_behind(behind, owners)

    def _macs(self, name: str) -> int:
        return self.macs.get(name, 0)
