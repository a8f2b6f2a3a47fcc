"""Graphs small enough to count by hand."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

WEIGHT = np.random.default_rng(0).normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32)


def node(op, inputs, output, **attributes):
    """A node named after its operation and its output; inputs as words."""
    return helper.make_node(op, inputs.split(), [output], f"{op.lower()}:{output}", **attributes)


def conv(source, output, weight="weight", **attributes):
    return node("Conv", f"{source} {weight}", output, pads=[1, 1, 1, 1], **attributes)


def graph_of(nodes, constants, output, channels=8):
    """A graph of one input x [1, channels, 6, 6] and one output of any shape, both float."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 6, 6])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    helper.set_model_props(model, {"edgeseg.name": '"screws"'})
    return onnx.shape_inference.infer_shapes(model)


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
        conv("x", "t1"),
        conv("t1", "t2", strides=[2, 2]),
        conv("x", "s1"),
        conv("s1", "s2", strides=[2, 2]),
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
        conv("cat", "b1", "wide"),
        node("Relu", "b1", "b2"),
        conv("b2", "b3"),
        node("Conv", "cat short", "b4"),
        node("Add", "b3 b4", "b5"),
        node("Relu", "b5", "b6"),
        conv("b6", "logits", "last"),
        node("Sigmoid", "logits", "y"),
    ]
    return graph_of(nodes, constants, "y")
