"""Graphs of a few nodes by hand, each as small as the rule that it keeps or breaks."""

import numpy as np
from onnx import helper

from tests.kit.graphs import BYTES, FLOAT, HALF, INT8, make_graph

__all__ = ["BYTES", "FLOAT", "HALF", "INT8", "SHAPE", "graph", "node", "one", "quantized"]
SHAPE = [1, 8, 16, 16]


def node(op, inputs, output, name=None, **attributes):
    outputs = output if isinstance(output, list) else [output]
    return helper.make_node(op, inputs, outputs, name or op.lower(), **attributes)


def graph(nodes, *, constants=None, inputs=None, outputs=None, opset=19):
    """A model from x to y, see make_graph."""
    inputs, outputs = inputs or {"x": (FLOAT, SHAPE)}, outputs or {"y": (FLOAT, None)}
    return make_graph(nodes, constants, inputs=inputs, outputs=outputs, opset=opset)


def one(op, *, inputs=("x",), shape=SHAPE, kind=FLOAT, out=None, constants=None, **attributes):
    """A model of one node."""
    opset = attributes.pop("opset", 19)
    outputs = attributes.pop("outputs", "y")
    return graph(
        [node(op, list(inputs), outputs, "it", **attributes)],
        constants=constants,
        inputs={"x": (kind, shape)},
        outputs={"y": (out or kind, None)},
        opset=opset,
    )


def quantized(
    *,
    kind=FLOAT,
    scale=0.1,
    zero=0,
    zero_type=np.int8,
    axis=1,
    weight_scale=0.01,
    weight_axis=0,
    bias=False,
    opset=19,
):
    """x and int8 weights, quantized and dequantized, into a convolution of 8 to 8 channels."""
    float_type = np.float16 if kind == HALF else np.float32
    scale = np.asarray(scale, float_type)
    weights = np.random.default_rng(0).integers(-127, 128, (8, 8, 3, 3)).astype(np.int8)
    constants = {
        "scale": scale,
        "zero": np.full(scale.shape, zero, zero_type),
        "weight": weights,
        "weight_scale": np.full(8, weight_scale, float_type),
        "zeros": np.zeros(8, np.int8),
    }
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], "q", axis=axis),
        node("DequantizeLinear", ["q", "scale", "zero"], "a", axis=axis),
        node("DequantizeLinear", ["weight", "weight_scale", "zeros"], "w", "w", axis=weight_axis),
    ]
    if bias:
        constants |= {"bias": np.ones(8, np.int32), "bias_zero": np.zeros(8, np.int32)}
        constants["bias_scale"] = np.full(8, 0.001, float_type)
        nodes.append(
            node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], "b", "b", axis=0)
        )
    nodes.append(node("Conv", ["a", "w", *(["b"] if bias else [])], "y", "conv", pads=[1, 1, 1, 1]))
    inputs = {"x": (kind, SHAPE)}
    return graph(
        nodes, constants=constants, inputs=inputs, outputs={"y": (kind, None)}, opset=opset
    )
