"""For each rule of the lint, graphs that break it and nothing else, and graphs that keep it.

The third word is what TensorRT-RTX 1.7.1 does with the broken graph: a phrase of its refusal, or
TAKEN where it builds the graph and the rule knows better. The rules' docstrings say the same.
"""

import numpy as np
from onnx import TensorProto

from tests.kit.hand_made import BYTES, FLOAT, HALF, INT8, SHAPE, graph, node, one, quantized
from tests.kit.hand_made import sampled as resize

TAKEN = ""
ALIKE = np.ones((16, 16), np.float32)
KERNEL = np.ones((8, 8, 3, 3), np.float32)
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
    """A Float constant that a Cast takes to Half."""
    nodes = [node("Cast", ["c"], "h", to=HALF), node(op, ["x", "h"], "y")]
    half = {"x": (HALF, SHAPE)}, {"y": (HALF, None)}
    constants = {"c": np.array(value, np.float32)}
    return graph(nodes, inputs=half[0], outputs=half[1], constants=constants)


def reduced(axes):
    inputs = {"x": (FLOAT, SHAPE)} | ({} if axes else {"axes": (TensorProto.INT64, [1])})
    constants = {"axes": np.array(axes)} if axes else {}
    return graph([node("ReduceL2", ["x", "axes"], "y", "it")], inputs=inputs, constants=constants)


def pair(kind=FLOAT, *, scale=1.0):
    """x, quantized and dequantized by Float scales; the first of them an input if it is None."""
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], "q", "it"),
        node("DequantizeLinear", ["q", "one", "zero"], "y"),
    ]
    inputs = {"x": (kind, SHAPE)} | ({"scale": (FLOAT, [])} if scale is None else {})
    constants = {"zero": np.int8(0), "one": np.float32(1)}
    constants |= {} if scale is None else {"scale": np.float32(scale)}
    return graph(nodes, inputs=inputs, constants=constants)


def int8_relu(*, to_output=False):
    scales = ["scale", "zero"]
    nodes = [node("QuantizeLinear", ["x", *scales], "y" if to_output else "q", "it")]
    if not to_output:
        nodes += [node("Relu", ["q"], "r"), node("DequantizeLinear", ["r", *scales], "y")]
    outputs = {"y": (INT8 if to_output else FLOAT, None)}
    constants = {"scale": np.float32(0.1), "zero": np.int8(0)}
    return graph(nodes, outputs=outputs, constants=constants)


def mixed(kind):
    constants = {"w": KERNEL.astype(np.float16 if kind == HALF else np.float32)}
    return one("Conv", inputs=("x", "w"), kind=HALF, constants=constants)


def constant_bytes():
    nodes = [node("Cast", ["c"], "f", to=FLOAT), node("Add", ["x", "f"], "y")]
    return graph(nodes, constants={"c": np.arange(16, dtype=np.uint8)})


def pool(**attributes):
    return one("MaxPool", kernel_shape=[2, 2], **attributes)


def product(op="MatMul", **attributes):
    shape = [16, 16] if op != "MatMul" else SHAPE
    return one(op, inputs=("x", "w"), shape=shape, constants={"w": ALIKE}, **attributes)


# rule -> [(broken graph, words of our message, words of TensorRT-RTX's)]
BROKEN = {
    "opset": [
        (one("Relu", opset=7), "opset 7; tensorrt 10.3.0 documents 9 to 20", TAKEN),
        (one("Relu", opset=22), "opset 22; tensorrt 10.3.0 documents 9 to 20", TAKEN),
    ],
    "domains": [(one("Gelu", domain="com.microsoft"), "it is com.microsoft.Gelu", TAKEN)],
    "supported": [(one("Det", shape=[1, 8, 8]), "has no Det, which it is", "false")],
    "topk": [
        (top(3841), "k is 3841; a constant up to 3840 was", "K exceeds the maximum value allowed"),
        (top(None), "k is computed; a constant", "no optimization profile"),
        (top(9, sorted=0), "it has sorted = 0; 1 was expected", TAKEN),
        (top(2, [4, 2, 2, 2, 2], axis=0), "it works on axis 0 of 5; the last 4 do", TAKEN),
    ],
    "resize": [
        (resize(mode="linear", antialias=1), "antialias = 1; 0 was", "Antialiasing is not supp"),
        (resize(mode="cubic"), "mode = cubic; nearest or linear was expected", TAKEN),
        (
            resize(mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
            "coordinate_transformation_mode = half_pixel_symmetric; half_pixel or",
            "TensorRT only supports half_pixel",
        ),
        (
            resize(mode="linear", keep_aspect_ratio_policy="not_larger"),
            "keep_aspect_ratio_policy = not_larger; stretch was expected",
            "Only `stretch` is supported",
        ),
        (
            resize(size=[2, 8, 32, 32], mode="linear"),
            "it resizes axis 0 of 4; linear sampling takes the last 3 at most",
            "Linear resize mode only supports resize up to last 3 dimensions",
        ),
    ],
    "pools": [
        (pool(dilations=[2, 2]), r"it has dilations \[2, 2\]; 1 was", "does not support dilations"),
        (pool(outputs=["y", "places"]), "it returns indices; one output was", "1 outputs"),
    ],
    "constant_axes": [(reduced(None), "axes of it are computed", "Axis input must resolve to")],
    "static_shapes": [
        (one("Relu", shape=["n", 8]), r"x has the size \['\?', 8\]; a", "no optimization prof"),
    ],
    "float_products": [
        (product(), "it is a MatMul in float, which tensorrt-rtx 1.7.1 does", "FP32 GEMM is not"),
        (product("Gemm"), "it is a Gemm in float", "FP32 GEMM is not supported"),
        (product("Einsum", equation="ab,bc->ac"), "it is a Einsum", "FP32 GEMM is not supported"),
        (
            one(
                "Conv",
                inputs=("x", "w"),
                shape=[1, 8, 5, 5, 5],
                constants={"w": np.ones((8, 8, 3, 3, 3), np.float32)},
            ),
            "it is a Conv in float",
            "FP32 3D convolution is not supported",
        ),
    ],
    "bytes_are_cast": [
        (
            graph(
                [node("Transpose", ["x"], "y", "it", perm=[0, 2, 3, 1])],
                inputs={"x": (BYTES, SHAPE)},
                outputs={"y": (BYTES, None)},
            ),
            r"it \(Transpose\) works on the uint8 tensor x; a Cast was expected",
            "first input has type UInt8 but must have type",
        ),
    ],
    "bytes_at_the_ends": [
        (cast(FLOAT, FLOAT, BYTES), "tensor m inside the graph is uint8", "intermediate tensors"),
        (constant_bytes(), "tensor c inside the graph is uint8; uint8 was expected at", TAKEN),
    ],
    "bytes_from_floats": [
        (cast(BYTES, TensorProto.INT32), "it casts between uint8 and int32; float or", TAKEN),
        (cast(TensorProto.INT32, BYTES), "it casts between uint8 and int32; float or", TAKEN),
    ],
    "known_types": [
        (cast(TensorProto.UINT16, FLOAT), "the tensor x is uint16; float was", "data type"),
        (one("Relu", kind=TensorProto.DOUBLE), "the tensor x is double; float was", TAKEN),
    ],
    "one_float_type": [
        (mixed(FLOAT), r"it \(Conv\) reads float and float16; one type", "must be of same type"),
    ],
    "half_constants": [
        (added([1, np.inf] * 8), r"c is inf \(8 of 16 values\) in float16; sizes", TAKEN),
        (added(np.nan), "c is nan in float16", TAKEN),
        (added(6e-8), "c is 5.96046e-08 in float16", TAKEN),
        (cast_constant(1e-12), "h is 1e-12 in float16; sizes from 6.1e-05 to 65504", TAKEN),
        (cast_constant([1, 70000.0] * 8), r"h is 70000 \(8 of 16 values\)", TAKEN),
        (cast_constant([1, 0] * 8, "Div"), r"h is 0 \(8 of 16 values\) in float16", TAKEN),
    ],
    "sums_in_float": [
        (one("ReduceMean", kind=HALF), r"it \(ReduceMean\) sums in float16, which ends at", TAKEN),
    ],
    "int8_only": [
        (quantized(zero_type=np.uint8), "quantizelinear quantizes to uint8; int8 was", TAKEN),
    ],
    "symmetric": [
        (quantized(zero=3), "zero point of quantizelinear is 3; a", "Non-zero zero point"),
    ],
    "no_quantized_bias": [
        (quantized(bias=True), "b dequantizes the int32 tensor bias, a bias; a", "has type Int32"),
    ],
    "positive_scales": [
        (quantized(scale=0.0), "scale of quantizelinear is 0; positive", "must all be positive"),
        (quantized(scale=-1.0), "scale of quantizelinear is -1; positive", "must all be positive"),
        (quantized(scale=np.nan), "scale of quantizelinear is nan", "must all be positive"),
        (quantized(scale=np.inf), "scale of quantizelinear is inf", TAKEN),
        (quantized(weight_scale=0.0), r"of w is 0 \(8 of 8 values\)", "must all be positive"),
    ],
    "constant_scales": [(pair(scale=None), "scale of it is computed; tensorrt 10.3.0 exp", TAKEN)],
    "per_tensor_activations": [
        (quantized(scale=EIGHTH), "quantizelinear has 8 scales for the activation x; one", TAKEN),
    ],
    "weights_by_output_channel": [
        (quantized(weight_axis=1), "w scales the weights of conv along axis 1; axis 0, the", TAKEN),
    ],
    "scale_types": [
        (pair(HALF), "scale of it is float and x is float16; tensorrt 10.3.0 expects o", TAKEN),
    ],
    "int8_between_pairs": [
        (int8_relu(), "quantized tensor q goes to relu; DequantizeLinear alone was expec", TAKEN),
        (int8_relu(to_output=True), "quantized tensor y goes to the graph's output", TAKEN),
    ],
}

KEPT = {
    "opset": [one("Relu", opset=9), one("Relu", opset=20)],
    "domains": [one("Relu")],
    "supported": [one("Relu")],
    "topk": [top(3840), top(2, [4, 2, 2, 2, 2], axis=1)],
    "resize": [resize(mode="linear"), resize(), resize(size=[1, 16, 32, 32], mode="linear")],
    "pools": [pool(), pool(dilations=[1, 1])],
    "constant_axes": [reduced([1])],
    "static_shapes": [one("Relu", shape=[1, 8])],
    "float_products": [
        one("Conv", inputs=("x", "w"), constants={"w": KERNEL}),
        one("MatMul", inputs=("x", "w"), kind=HALF, constants={"w": ALIKE.astype(np.float16)}),
    ],
    "bytes_are_cast": [cast(BYTES, FLOAT), cast(FLOAT, BYTES)],
    "bytes_at_the_ends": [cast(BYTES, BYTES, FLOAT)],
    "bytes_from_floats": [cast(BYTES, HALF), cast(HALF, BYTES), cast(TensorProto.INT32, FLOAT)],
    "known_types": [cast(TensorProto.INT32, FLOAT), one("Relu", kind=HALF)],
    "one_float_type": [mixed(HALF)],
    "half_constants": [
        added([1.0, 65504.0] * 8),
        added([1.0, 6e-8] * 8),
        added(0.0),
        added(1e-12, FLOAT),
        cast_constant([1.0, 1e-12] * 8),
    ],
    "sums_in_float": [one("ReduceMean"), one("ReduceMax", kind=HALF)],
    "int8_only": [quantized()],
    "symmetric": [quantized(zero=0)],
    "no_quantized_bias": [quantized()],
    "positive_scales": [quantized(scale=1e-8)],
    "constant_scales": [quantized()],
    "per_tensor_activations": [quantized(scale=0.1)],
    "weights_by_output_channel": [quantized(weight_axis=0), quantized(weight_axis=-4)],
    "scale_types": [quantized(kind=HALF), quantized(kind=FLOAT)],
    "int8_between_pairs": [quantized()],
}
