"""Inserts Q/DQ pairs (QuantizeLinear, DequantizeLinear): one per tensor that is placed."""

from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.graph import Graph, constant, name_of
from edgeseg.quantize.calibration_file import Ranges
from edgeseg.quantize.placement import Placement
from edgeseg.quantize.qparams import (
    Floats,
    QParams,
    least_scale,
    quantize_bias,
    quantize_weight,
    signed,
    unsigned,
)

Style = Literal["fp16", "fp32", "cpu"]
BOUNDED = ("MaxPool", "Resize", "Expand", "ReduceMean", "GlobalAveragePool")
"""Operations whose outputs lie between the extremes of their first input."""


def insert_pairs(graph: Graph, placement: Placement, ranges: Ranges, style: Style) -> None:
    """Change a graph in place: each placed reader reads its tensor through a Q/DQ pair."""
    _Inserter(graph, placement, ranges, style).insert()


def never_negative(graph: Graph) -> set[ir.Value | None]:
    """Return the tensors that hold no negative number, whatever the frame."""
    found: set[ir.Value | None] = set()
    for node in graph.nodes:
        low = constant(node.inputs[1]) if node.op_type == "Clip" else None
        if (
            node.op_type in ("Relu", "Sigmoid")
            or (low is not None and low >= 0)
            or (node.op_type in BOUNDED and node.inputs[0] in found)
            or (node.op_type in ("Concat", "Add") and found.issuperset(node.inputs))
        ):
            found.update(node.outputs)
    return found


class _Inserter:
    """Makes each pair once, before its first reader."""

    def __init__(self, graph: Graph, placement: Placement, ranges: Ranges, style: Style) -> None:
        self.graph = graph
        self.positive = never_negative(graph)
        self.convolutions = [graph.by_name[name] for name in placement.convolutions]
        self.edges = {edge for edges in placement.edges.values() for edge in edges}
        self.ranges = ranges
        self.style = style
        self.qparams: dict[ir.Value, QParams] = {}
        self.outputs: dict[ir.Value, ir.Value] = {}
        """Tensor -> what its pair writes."""
        self.least = self._least_scales() if style == "cpu" else {}

    def insert(self) -> None:
        for node in self.graph.nodes:
            tensors = list(node.inputs)
            for index, tensor in enumerate(tensors):
                if tensor is None:
                    continue
                if (node.name, index) in self.edges:
                    node.replace_input_with(index, self._activation(tensor, node))
                elif index == 1 and node in self.convolutions:
                    node.replace_input_with(index, self._weight(tensor, node))
                elif index == 2 and node in self.convolutions and self.style == "cpu":
                    node.replace_input_with(index, self._bias(node, tensors))

    def _activation(self, tensor: ir.Value, reader: ir.Node) -> ir.Value:
        if tensor not in self.outputs:
            self.qparams[tensor] = self._qparams(tensor)
            self.outputs[tensor] = self._pair(tensor, self.qparams[tensor], reader)
        return self.outputs[tensor]

    def _weight(self, tensor: ir.Value, reader: ir.Node) -> ir.Value:
        if tensor not in self.outputs:
            quantized, qparams = quantize_weight(
                _values(tensor), half=self.style == "fp16", least=self.least.get(tensor, 0.0)
            )
            self.qparams[tensor] = qparams
            if self.style == "fp32":
                self.outputs[tensor] = self._pair(tensor, qparams, reader)
            else:
                self.outputs[tensor] = self._stored(name_of(tensor), quantized, qparams, reader)
        return self.outputs[tensor]

    def _bias(self, node: ir.Node, tensors: list[ir.Value | None]) -> ir.Value:
        """Each convolution has a bias of its own: its scales are those of its products."""
        source, weight, bias = tensors
        assert source and weight and bias
        quantized, qparams = quantize_bias(
            _values(bias), self.qparams[source], self.qparams[weight]
        )
        return self._stored(f"{node.name}/bias", quantized, qparams, node)

    def _qparams(self, tensor: ir.Value) -> QParams:
        limit = self.ranges.limit(name_of(tensor))
        if self.style == "cpu":
            return unsigned(limit, positive=tensor in self.positive)
        return signed(limit, half=self.style == "fp16")

    def _least_scales(self) -> dict[ir.Value, Floats]:
        """Return the scales of weights, [O], at which the biases beside them fit into 32 bits."""
        least: dict[ir.Value, Floats] = {}
        for node in self.convolutions:
            if len(node.inputs) == 3:
                source, weight, bias = node.inputs
                assert source and weight and bias
                found = least_scale(_values(bias), self._qparams(source))
                least[weight] = np.maximum(least.get(weight, np.float32(0.0)), found)
        return least

    def _pair(self, tensor: ir.Value, qparams: QParams, reader: ir.Node) -> ir.Value:
        quantized = self._node("QuantizeLinear", tensor, name_of(tensor), qparams, reader)
        return self._node("DequantizeLinear", quantized, name_of(tensor), qparams, reader)

    def _stored(
        self, name: str, values: NDArray[np.generic], qparams: QParams, reader: ir.Node
    ) -> ir.Value:
        quantized = self.graph.add_constant(f"{name}/quantized", values)
        return self._node("DequantizeLinear", quantized, name, qparams, reader)

    def _node(
        self, operation: str, tensor: ir.Value, name: str, qparams: QParams, reader: ir.Node
    ) -> ir.Value:
        scale = self.graph.add_constant(f"{name}/scale", qparams.scale)
        zero = self.graph.add_constant(f"{name}/zero", qparams.zero)
        output = f"{name}/{'quantized' if operation == 'QuantizeLinear' else 'dequantized'}"
        axis = {"axis": 0} if qparams.scale.ndim else {}
        return self.graph.add_node(operation, [tensor, scale, zero], output, before=reader, **axis)


def _values(tensor: ir.Value) -> Floats:
    return np.asarray(constant(tensor), np.float32)
