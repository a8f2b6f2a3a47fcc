"""Graphs small enough to count by hand."""

import numpy as np
import onnxruntime
from onnx import helper

from tests.kit.graphs import FLOAT, make_graph

WEIGHT = np.random.default_rng(0).normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32)


def node(op, inputs, output, **attributes):
    """A node named after its operation and its output; inputs as words."""
    return helper.make_node(op, inputs.split(), [output], f"{op.lower()}:{output}", **attributes)


def conv(source, output, weight="weight", *, module="conv:", **attributes):
    """A 3x3 convolution, named `conv:output` or after its module: `head.output`."""
    made = node("Conv", f"{source} {weight}", output, **{"pads": [1, 1, 1, 1]} | attributes)
    made.name = f"{module}{output}"
    return made


def graph_of(nodes, constants, output, channels=8):
    """A graph of one input x [1, channels, 6, 6] and one output of any shape, both float."""
    inputs = {"x": (FLOAT, [1, channels, 6, 6])}
    model = make_graph(nodes, constants, inputs=inputs, outputs={output: (FLOAT, None)})
    helper.set_model_props(model, {"edgeseg.name": '"screws"'})
    return model


def types(model):
    """Tensor name -> its element type, by onnx's own inference."""
    tensors = (*model.graph.value_info, *model.graph.output, *model.graph.input)
    return {t.name: t.type.tensor_type.elem_type for t in tensors}


def run(model, x):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def two_levels(shallow=1.0):
    """DeSTSeg's middle in small: teacher and student, two levels of unit vectors, a head.

    shallow: how strongly the head reads the first level; products of the second are 20 times less.

    x -> t1, t2 | s1, s2 -> products p1, p2 (upsampled) -> cat of 8 + 8 channels -> block -> y
    """
    constants = {
        "weight": WEIGHT,
        "wide": np.concatenate([shallow * WEIGHT, WEIGHT[::-1]], axis=1, dtype=np.float32),
        "short": np.concatenate([shallow * WEIGHT, WEIGHT], axis=1, dtype=np.float32)[..., :1, :1],
        "last": WEIGHT[:1],
        "axes": np.array([1]),
        "eps": np.float32(1e-12),
        "small": np.float32(0.05),
        "sizes": np.array([1, 8, 6, 6]),
    }
    nodes = [
        conv("x", "t1", module="teacher."),
        conv("t1", "t2", module="teacher.", strides=[2, 2]),
        conv("x", "s1", module="student."),
        conv("s1", "s2", module="student.", strides=[2, 2]),
    ]
    for name in ("t1", "t2", "s1", "s2"):
        nodes += [
            node("ReduceL2", f"{name} axes", f"{name}_norm", keepdims=1),
            node("Clip", f"{name}_norm eps", f"{name}_safe"),
            node("Div", f"{name} {name}_safe", f"{name}_unit"),
        ]
    resize = ["p2s", "", "", "sizes"]
    nodes += [
        node("Mul", "t1_unit s1_unit", "p1"),
        node("Mul", "t2_unit s2_unit", "p2"),
        node("Mul", "p2 small", "p2s"),
        helper.make_node("Resize", resize, ["p2_large"], "resize:p2_large", mode="linear"),
        node("Concat", "p1 p2_large", "cat", axis=1),
        conv("cat", "b1", "wide", module="head."),
        node("Relu", "b1", "b2"),
        conv("b2", "b3", module="head."),
        conv("cat", "b4", "short", module="head.", pads=[0] * 4),
        node("Add", "b3 b4", "b5"),
        node("Relu", "b5", "b6"),
        conv("b6", "logits", "last", module="head."),
        node("Sigmoid", "logits", "y"),
    ]
    return graph_of(nodes, constants, "y")


def named(op, name, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name, **attributes)


def small_destseg():
    """x [1, 3, 8, 8] -> rows -> teacher | student -> similarity -> head -> sigmoid -> score.

    The student quantizes its second weight, whose nodes read constants alone.
    """
    rng = np.random.default_rng(0)

    def weights(*shape):
        return rng.normal(0, 0.1, shape).astype(np.float32)

    constants = {
        "rows": weights(8, 8),
        "teacher.w": weights(4, 3, 3, 3),
        "depthwise.w": weights(4, 1, 3, 3),
        "student.w": weights(4, 3, 1, 1),
        "student.w2": np.ones((4, 4, 1, 1), np.int8),
        "scale": np.float32(0.01),
        "head.w": weights(2, 4, 1, 1),
        "last.w": weights(1, 2, 1, 1),
        "axes": np.array([1]),
        "all": np.array([2, 3]),
        "flat": np.array([1, 64]),
        "gemm.w": weights(64, 5),
    }
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        named("MatMul", "node_matmul", "rows x", "small"),
        named("Conv", "teacher.conv1", "small teacher.w", "t", **pads),
        named("Relu", "node_relu", "t", "t_relu"),
        named("Conv", "teacher.conv2", "t_relu depthwise.w", "t_end", group=4, **pads),
        named("Conv", "student.conv1", "small student.w", "s"),
        named("Relu", "node_relu_1", "s", "s_relu"),
        named("DequantizeLinear", "dequantize", "student.w2 scale", "w2"),
        named("Conv", "student.conv2", "s_relu w2", "s_end"),
        named("ReduceL2", "node_norm", "t_end axes", "t_norm", keepdims=1),
        named("Div", "node_div", "t_end t_norm", "t_unit"),
        named("ReduceL2", "node_norm_1", "s_end axes", "s_norm", keepdims=1),
        named("Div", "node_div_1", "s_end s_norm", "s_unit"),
        named("Mul", "node_mul", "t_unit s_unit", "product"),
        named("Conv", "head.blocks.0.conv1", "product head.w", "h"),
        named("Relu", "node_relu_2", "h", "h_relu"),
        named("Conv", "head.last", "h_relu last.w", "logits"),
        named("Sigmoid", "node_sigmoid", "logits", "map"),
        named("Reshape", "node_view", "map flat", "row"),
        named("Gemm", "node_gemm", "row gemm.w", "score"),
    ]
    inputs, outputs = {"x": (FLOAT, [1, 3, 8, 8])}, {"score": (FLOAT, [1, 5])}
    return make_graph(nodes, constants, inputs=inputs, outputs=outputs)


MACS = {
    "node_matmul": 3 * 8 * 8 * 8,
    "teacher.conv1": 4 * 64 * 27,
    "teacher.conv2": 4 * 64 * 9,  # depthwise: each channel reads one
    "student.conv1": 4 * 64 * 3,
    "student.conv2": 4 * 64 * 4,
    "head.blocks.0.conv1": 2 * 64 * 4,
    "head.last": 64 * 2,
    "node_gemm": 5 * 64,
}
