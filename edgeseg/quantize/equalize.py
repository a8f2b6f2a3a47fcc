"""Scales the similarity levels to one range, so that a single INT8 scale fits their concatenation.

A level of C channels holds products near 1 / C: in a concatenation of 64, 128 and 256 channels the
deepest level fills a quarter of the first one's range, and INT8 would leave it a quarter of the
steps. So each level is multiplied by a factor, and the weights that read it are divided by the same
factor: in FP32 the outputs do not change.
"""

import dataclasses

import numpy as np
import onnx_ir as ir

from edgeseg.graph.graph import Graph, constant, name_of, operation, shape
from edgeseg.quantize.calibration_file import Range, Ranges
from edgeseg.quantize.placement import similarities


def equalize(graph: Graph, ranges: Ranges) -> Ranges:
    """Change a graph in place; return the ranges that it has now."""
    limits = {}
    for concat in similarities(graph):
        levels = [level for level in concat.inputs if level]
        found = [ranges.limit(name_of(level)) for level in levels]
        top = max(found)
        factors = [top / each if each else 1.0 for each in found]
        limits[name_of(concat.outputs[0])] = Range(top, "equalized")
        channels = [shape(level)[1] for level in levels]
        for index, factor in enumerate(factors):
            if factor != 1.0:
                _multiply(graph, concat, index, factor)
        _divide_weights(graph, concat.outputs[0], np.repeat(factors, channels))
    return dataclasses.replace(ranges, tensors=ranges.tensors | limits)


def _multiply(graph: Graph, concat: ir.Node, index: int, factor: float) -> None:
    """Multiply an input of a concatenation: before its upsampling, where it is small and FP32."""
    reader, tensor = concat, concat.inputs[index]
    assert tensor is not None
    while operation(tensor) == "Resize" and len(tensor.uses()) == 1:
        upsampling = tensor.producer()
        assert upsampling is not None and upsampling.inputs[0] is not None
        reader, index, tensor = upsampling, 0, upsampling.inputs[0]
    name = f"{name_of(tensor)}/level"
    if name in graph.by_name:  # of another concatenation, which may have another factor
        name = f"{name}/{concat.name}"
    number = graph.add_constant(f"{name}/factor", np.array(factor, np.float32))
    reader.replace_input_with(index, graph.add_node("Mul", [tensor, number], name, before=reader))


def _divide_weights(graph: Graph, tensor: ir.Value, factors: np.ndarray) -> None:
    """Divide the input channels of every convolution that reads a tensor."""
    for node in tensor.consumers():
        weight = node.inputs[1]
        value = constant(weight)
        assert weight is not None and value is not None
        divided = value / factors.reshape(1, -1, *[1] * (value.ndim - 2))
        name = f"{name_of(weight)}/level"
        node.replace_input_with(1, graph.add_constant(name, divided.astype(np.float32)))
