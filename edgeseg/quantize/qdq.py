"""QuantizeLinear and DequantizeLinear into a graph, one pair for each tensor that is placed."""

from collections.abc import Generator, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.graph.rewrite import replace_nodes
from edgeseg.graph.wiring import never_negative
from edgeseg.quantize.calibration_file import Ranges
from edgeseg.quantize.placement import Placement
from edgeseg.quantize.qparams import (
    Floats,
    Step,
    least_scale,
    quantize_bias,
    quantize_weight,
    signed_step,
    unsigned_step,
)

Flavor = Literal["half", "float", "cpu"]
Pair = Generator[NodeProto, None, str]
"""The new nodes, and the name of the tensor to read instead."""


def insert_pairs(model: ModelProto, placement: Placement, ranges: Ranges, flavor: Flavor) -> None:
    """Rewrite a graph in place: each placed reader reads its tensor through a pair."""
    inserter = _Inserter(model, placement, ranges, flavor)
    nodes = list(inserter.rewired())
    replace_nodes(model.graph, nodes, inserter.constants.values())


class _Inserter:
    """Makes each pair once, before its first reader."""

    def __init__(
        self, model: ModelProto, placement: Placement, ranges: Ranges, flavor: Flavor
    ) -> None:
        self.nodes = model.graph.node
        self.originals = {i.name: i for i in model.graph.initializer}
        self.positive = never_negative(model)
        self.convolutions = frozenset(placement.convolutions)
        self.sources = {edge: name for name, edges in placement.edges.items() for edge in edges}
        self.ranges = ranges
        self.flavor = flavor
        self.constants: dict[str, TensorProto] = {}
        self.steps: dict[str, Step] = {}
        """Of every tensor that has its pair."""
        self.least = self._least_scales() if flavor == "cpu" else {}

    def rewired(self) -> Iterator[NodeProto]:
        """Yield the nodes in order, and the new ones before their readers."""
        for node in self.nodes:
            names = list(node.input)
            for index, name in enumerate(names):
                if (node.name, index) in self.sources:
                    node.input[index] = yield from self._activation(name)
                elif index == 1 and node.name in self.convolutions:
                    node.input[index] = yield from self._weight(name)
                elif index == 2 and node.name in self.convolutions and self.flavor == "cpu":
                    node.input[index] = yield from self._bias(node.name, *names)
            yield node

    def _activation(self, tensor: str) -> Pair:
        if tensor not in self.steps:
            yield from self._pair(tensor, self._step(tensor))
        return f"{tensor}/dequantized"

    def _weight(self, name: str) -> Pair:
        if name not in self.steps:
            levels, step = quantize_weight(
                self._value(name), half=self.flavor == "half", least=self.least.get(name, 0.0)
            )
            if self.flavor == "float":
                yield from self._pair(name, step)
            else:
                yield from self._levels(name, levels, step)
        return f"{name}/dequantized"

    def _bias(self, convolution: str, source: str, weight: str, bias: str) -> Pair:
        """Each convolution has its own: the steps are those of its products."""
        name = f"{convolution}/bias"
        yield from self._levels(
            name, *quantize_bias(self._value(bias), self.steps[source], self.steps[weight])
        )
        return f"{name}/dequantized"

    def _step(self, tensor: str) -> Step:
        limit = self.ranges.limit(tensor)
        if self.flavor == "cpu":
            return unsigned_step(limit, positive=tensor in self.positive)
        return signed_step(limit, half=self.flavor == "half")

    def _least_scales(self) -> dict[str, Floats]:
        """Return the scales of weights, [O], at which the biases beside them fit into 32 bits."""
        least: dict[str, Floats] = {}
        for node in self.nodes:
            if node.name in self.convolutions and len(node.input) == 3:
                source, weight, bias = node.input
                found = least_scale(self._value(bias), self._step(source))
                least[weight] = np.maximum(least.get(weight, np.float32(0.0)), found)
        return least

    def _levels(self, name: str, levels: NDArray[np.generic], step: Step) -> Iterator[NodeProto]:
        self.steps[name] = step
        self._constant(f"{name}/quantized", levels)
        yield self._node("DequantizeLinear", name, f"{name}/quantized", f"{name}/dequantized")

    def _pair(self, name: str, step: Step) -> Iterator[NodeProto]:
        self.steps[name] = step
        yield self._node("QuantizeLinear", name, name, f"{name}/quantized")
        yield self._node("DequantizeLinear", name, f"{name}/quantized", f"{name}/dequantized")

    def _node(self, op: str, name: str, source: str, output: str) -> NodeProto:
        step = self.steps[name]
        scale = self._constant(f"{name}/scale", step.scale)
        zero = self._constant(f"{name}/zero", step.zero)
        node = helper.make_node(op, [source, scale, zero], [output], output)
        if step.scale.ndim:
            node.attribute.append(helper.make_attribute("axis", 0))
        return node

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _value(self, name: str) -> Floats:
        return np.asarray(numpy_helper.to_array(self.originals[name]), np.float32)
