"""For each check, graphs that only this check rejects, and graphs that all checks accept.

The third field is what TensorRT-RTX 1.7.1 does with the rejected graph: a phrase of its error, or
TAKEN where it builds the graph without one. The docstrings of the checks state the same.
"""

import numpy as np
from onnx import TensorProto

from tests.kit.hand_made import BYTES, FLOAT, HALF, INT8, SHAPE, graph, node, one, quantized

TAKEN = ""
EIGHTH = np.full(8, 0.1)


def top(k, shape=(1, 5000), **attributes):
    constants = {} if k is None else {"k": np.array([k])}
    inputs = {"x": (FLOAT, shape)} | ({"k": (TensorProto.INT64, [1])} if k is None else {})
    nodes = [node("TopK", ["x", "k"], ["y", "places"], "it", **attributes)]
    return graph(nodes, constants=constants, inputs=inputs)


def cast(kind, out, middle=None):
    """x -> Cast -> y, with a type in between if one is given."""
    last = node("Cast", ["m" if middle else "x"], "y", "it", to=out)
    nodes = [node("Cast", ["x"], "m", to=middle), last] if middle else [last]
    return graph(nodes, inputs={"x": (kind, SHAPE)}, outputs={"y": (out, None)})


def added(value, kind=HALF):
    constants = {"c": np.array(value, np.float16 if kind == HALF else np.float32)}
    return one("Add", inputs=("x", "c"), kind=kind, constants=constants)


def cast_constant(value, op="Add"):
    """An FP32 constant that a Cast converts to FP16."""
    nodes = [node("Cast", ["c"], "h", to=HALF), node(op, ["x", "h"], "y")]
    half = {"x": (HALF, SHAPE)}, {"y": (HALF, None)}
    constants = {"c": np.array(value, np.float32)}
    return graph(nodes, inputs=half[0], outputs=half[1], constants=constants)


def pair(kind):
    """x, quantized and dequantized by FP32 scales."""
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], "q", "it"),
        node("DequantizeLinear", ["q", "one", "zero"], "y"),
    ]
    constants = {"zero": np.int8(0), "one": np.float32(1), "scale": np.float32(1)}
    return graph(nodes, inputs={"x": (kind, SHAPE)}, constants=constants)


def int8_relu(*, to_output=False):
    scales = ["scale", "zero"]
    nodes = [node("QuantizeLinear", ["x", *scales], "y" if to_output else "q", "it")]
    if not to_output:
        nodes += [node("Relu", ["q"], "r"), node("DequantizeLinear", ["r", *scales], "y")]
    outputs = {"y": (INT8 if to_output else FLOAT, None)}
    constants = {"scale": np.float32(0.1), "zero": np.int8(0)}
    return graph(nodes, outputs=outputs, constants=constants)


def constant_bytes():
    nodes = [node("Cast", ["c"], "f", to=FLOAT), node("Add", ["x", "f"], "y")]
    return graph(nodes, constants={"c": np.arange(16, dtype=np.uint8)})


# check -> [(rejected graph, words of our message, words of TensorRT-RTX's)]
BROKEN = {
    "opset": [
        (one("Relu", opset=7), r"opset 7 \(expected 9 to 20\)", TAKEN),
        (one("Relu", opset=22), r"opset 22 \(expected 9 to 20\)", TAKEN),
    ],
    "static_shapes": [
        (one("Relu", shape=["n", 8]), "x has the size", "no optimization prof"),
    ],
    "topk": [
        (top(3841), "k of it is 3841", "K exceeds the maximum value allowed"),
        (top(None), "k of it is computed", "no optimization profile"),
    ],
    "bytes_are_cast": [
        (
            graph(
                [node("Transpose", ["x"], "y", "it", perm=[0, 2, 3, 1])],
                inputs={"x": (BYTES, SHAPE)},
                outputs={"y": (BYTES, None)},
            ),
            r"it \(Transpose\) uses uint8",
            "first input has type UInt8 but must have type",
        ),
        (cast(FLOAT, FLOAT, BYTES), "m is uint8 inside the graph", "intermediate tensors"),
        (constant_bytes(), "c is uint8 inside the graph", TAKEN),
        (cast(BYTES, TensorProto.INT32), "it casts between uint8 and int32", TAKEN),
        (cast(TensorProto.INT32, BYTES), "it casts between uint8 and int32", TAKEN),
    ],
    "fp16_constants": [
        (added([1, np.inf] * 8), r"c is inf \(8 of 16 values\) in FP16", TAKEN),
        (added(np.nan), "c is nan in FP16", TAKEN),
        (added(6e-8), "c is 5.96046e-08 in FP16", TAKEN),
        (cast_constant(1e-12), r"h is 1e-12 in FP16 \(.* from 6.1e-05 to 65504", TAKEN),
        (cast_constant([1, 70000.0] * 8), r"h is 70000 \(8 of 16 values\)", TAKEN),
        (cast_constant([1, 0] * 8, "Div"), r"h is 0 \(8 of 16 values\) in FP16", TAKEN),
    ],
    "sums_in_fp32": [
        (one("ReduceMean", kind=HALF), r"it \(ReduceMean\) sums in FP16", TAKEN),
    ],
    "symmetric_int8": [
        (quantized(zero_type=np.uint8), "quantizelinear quantizes to uint8", TAKEN),
        (quantized(zero=3), "zero point of quantizelinear is 3", "Non-zero zero point"),
        (quantized(bias=True), "b quantizes to int32", "has type Int32"),
    ],
    "positive_scales": [
        (quantized(scale=0.0), "scale of quantizelinear is 0", "must all be positive"),
        (quantized(scale=-1.0), "scale of quantizelinear is -1", "must all be positive"),
        (quantized(scale=np.nan), "scale of quantizelinear is nan", "must all be positive"),
        (quantized(scale=np.inf), "scale of quantizelinear is inf", TAKEN),
        (quantized(weight_scale=0.0), r"of w is 0 \(8 of 8 values\)", "must all be positive"),
    ],
    "scales_by_channel": [
        (quantized(scale=EIGHTH), "quantizelinear has 8 scales for the activation x", TAKEN),
        (quantized(weight_axis=1), "w scales the weights of conv along axis 1", TAKEN),
    ],
    "scale_types": [
        (pair(HALF), "scale of it is float and its input float16", TAKEN),
    ],
    "int8_between_pairs": [
        (int8_relu(), "int8 tensor q is read by relu", TAKEN),
        (int8_relu(to_output=True), "int8 tensor y is read by an output", TAKEN),
    ],
}

KEPT = {
    "opset": [one("Relu", opset=9), one("Relu", opset=20)],
    "static_shapes": [one("Relu", shape=[1, 8])],
    "topk": [top(3840)],
    "bytes_are_cast": [
        cast(BYTES, FLOAT),
        cast(FLOAT, BYTES),
        cast(BYTES, BYTES, FLOAT),
        cast(BYTES, HALF),
        cast(HALF, BYTES),
        cast(TensorProto.INT32, FLOAT),
    ],
    "fp16_constants": [
        added([1.0, 65504.0] * 8),
        added([1.0, 6e-8] * 8),
        added(0.0),
        added(1e-12, FLOAT),
        cast_constant([1.0, 1e-12] * 8),
    ],
    "sums_in_fp32": [one("ReduceMean"), one("ReduceMax", kind=HALF)],
    "symmetric_int8": [quantized()],
    "positive_scales": [quantized(scale=1e-8)],
    "scales_by_channel": [quantized(weight_axis=0), quantized(weight_axis=-4)],
    "scale_types": [quantized(kind=HALF), quantized(kind=FLOAT)],
    "int8_between_pairs": [quantized()],
}
