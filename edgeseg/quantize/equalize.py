"""The product's levels at one size, so that a single INT8 scale fits them all.

A level of C channels holds products near 1 / C: of a concatenation of 64, 128 and 256 channels
the deepest fills a quarter of the first one's range, and INT8 would leave it a quarter of the
levels. So each level is multiplied, and the weights that read it are divided by the same number:
in FP32 the answers stay as they are.
"""

import dataclasses

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from edgeseg.graph.wiring import Wiring, products
from edgeseg.quantize.calibration_file import Range, Ranges


def equalize(model: ModelProto, ranges: Ranges) -> Ranges:
    """Rewrite a graph in place; return the ranges that it has now."""
    graph = model.graph
    limits = {}
    for concat in products(model):
        found = [ranges.limit(name) for name in concat.input]
        top = max(found)
        factors = [top / each if each else 1.0 for each in found]
        limits[concat.output[0]] = Range(top, "equalized")
        channels = _channels(model, concat)
        for index, factor in enumerate(factors):
            if factor != 1.0:
                _multiply(graph, concat, index, factor)
        _divide_weights(graph, concat.output[0], np.repeat(factors, channels))
    return dataclasses.replace(ranges, tensors=ranges.tensors | limits)


def _channels(model: ModelProto, concat: NodeProto) -> list[int]:
    shapes = {v.name: v.type.tensor_type.shape.dim for v in model.graph.value_info}
    return [shapes[name][1].dim_value for name in concat.input]


def _multiply(graph: GraphProto, concat: NodeProto, index: int, factor: float) -> None:
    """Multiply one input of a concatenation: before its upsampling, where it is small and Float."""
    wiring = Wiring(graph)
    reader, place, tensor = concat, index, concat.input[index]
    while wiring.writer(tensor) == "Resize" and len(wiring.readers[tensor]) == 1:
        reader, place = wiring.producers[tensor], 0
        tensor = reader.input[0]
    name = f"{tensor}/level"
    if name in wiring.nodes:  # of another concatenation, which may have another factor
        name = f"{name}/{concat.name}"
    node = helper.make_node("Mul", [tensor, f"{name}/factor"], [name], name)
    graph.initializer.append(
        numpy_helper.from_array(np.array(factor, np.float32), f"{name}/factor")
    )
    reader.input[place] = name
    graph.node.insert(list(graph.node).index(reader), node)


def _divide_weights(graph: GraphProto, tensor: str, factors: np.ndarray) -> None:
    """Divide the input channels of every convolution that reads a tensor."""
    weights = {i.name: i for i in graph.initializer}
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] != tensor:
            continue
        value = numpy_helper.to_array(weights[node.input[1]])
        divided = (value / factors.reshape(1, -1, *[1] * (value.ndim - 2))).astype(np.float32)
        name = f"{node.input[1]}/level"
        if name not in weights:
            graph.initializer.append(numpy_helper.from_array(divided, name))
            weights[name] = graph.initializer[-1]
        node.input[1] = name
