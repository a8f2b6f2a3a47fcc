"""Layers and the graph's parts, on a network whose work can be counted by hand."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.errors import ModelError
from edgeseg.graph.modules import PARTS, Network, node_macs, node_parts
from edgeseg.runtime.layer_times import LayerTime


def named(op, name, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name, **attributes)


def small_destseg():
    """x [1, 3, 8, 8] -> rows -> teacher | student -> product -> head -> sigmoid -> score.

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
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


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


@pytest.fixture(scope="module")
def network():
    return Network(small_destseg())


def layers(*pairs):
    return [LayerTime(name, "", seconds) for name, seconds in pairs]


def test_the_work_of_each_node():
    assert node_macs(small_destseg()) == MACS


def test_a_turned_gemm_adds_along_its_first_axis():
    graph = helper.make_graph(
        [named("Gemm", "gemm", "a b", "y", transA=1)],
        "turned",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [7, 2]),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [7, 3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    assert node_macs(helper.make_model(graph)) == {"gemm": 2 * 3 * 7}


def test_unknown_shapes_are_refused():
    model = small_destseg()
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    with pytest.raises(ModelError, match=r"shapes of node_matmul \(MatMul\) are not known"):
        node_macs(model)


def test_the_part_of_each_node():
    parts = node_parts(small_destseg())
    found = {part: {name for name in parts if parts[name] == part} for part in PARTS}
    assert found == {
        "teacher": {"teacher.conv1", "node_relu", "teacher.conv2"},
        "student": {"student.conv1", "node_relu_1", "dequantize", "student.conv2"},
        "product": {"node_norm", "node_div", "node_norm_1", "node_div_1", "node_mul"},
        "head": {"head.blocks.0.conv1", "node_relu_2", "head.last"},
        "rest": {"node_matmul", "node_sigmoid", "node_view", "node_gemm"},
    }


def test_the_parts_work_adds_up(network):
    work = network.part_macs()
    assert work == {
        "teacher": MACS["teacher.conv1"] + MACS["teacher.conv2"],
        "student": MACS["student.conv1"] + MACS["student.conv2"],
        "product": 0,
        "head": MACS["head.blocks.0.conv1"] + MACS["head.last"],
        "rest": MACS["node_matmul"] + MACS["node_gemm"],
    }
    assert sum(work.values()) == sum(MACS.values())


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("student.conv1", ["student.conv1"]),
        ("student.conv1/WithoutBiases", ["student.conv1"]),  # OpenVINO
        ("t_relu_nchwc", ["node_relu"]),  # ONNX Runtime: the tensor that is written
        ("InsertedPrecisionFreeCast_t_relu_nchwc", ["node_relu"]),
        ("student.conv2_token_29", ["student.conv2"]),
        ("t_end/dequantized/duplicated", ["teacher.conv2"]),
        ("head.last_myl0_4", ["head.last"]),  # TensorRT-RTX
        ("teacher.conv1 + node_relu", ["teacher.conv1", "node_relu"]),  # TensorRT
        ("PWN(PWN(node_sigmoid), node_mul)", ["node_sigmoid", "node_mul"]),
        ("{ForeignNode[node_norm...node_mul]}", ["node_norm", "node_mul"]),
        ("head.blocks.0.conv1 || head.last", ["head.blocks.0.conv1", "head.last"]),
        ("node_relu_7", []),  # another node, and not node_relu
        ("ReorderOutput_token_203", []),
        ("Multiply_9317", []),
        ("", []),
    ],
)
def test_what_a_runtimes_name_stands_for(network, name, nodes):
    assert network.nodes_of([name]) == nodes


def test_a_fused_layer_belongs_to_the_part_with_the_most_work(network):
    names = ("node_matmul + teacher.conv1", "dequantize + head.last", "node_div + node_mul")
    first, second, third = network.place(layers(*((name, 1.0) for name in names)))
    assert (first.part, first.label) == ("teacher", "teacher.conv1")
    assert first.macs == MACS["node_matmul"] + MACS["teacher.conv1"]
    assert (second.part, second.macs) == ("head", MACS["head.last"])
    assert (third.part, third.macs, third.label) == ("product", 0, "node_div")


def test_a_convolution_without_a_layer_is_in_the_one_of_its_reader(network):
    relu, sigmoid = network.place(layers(("h_relu_nchwc", 2.0), ("map_nchwc", 1.0)))
    assert (relu.label, relu.macs) == ("head.blocks.0.conv1", MACS["head.blocks.0.conv1"])
    assert (sigmoid.label, sigmoid.part, sigmoid.macs) == ("head.last", "head", MACS["head.last"])


@pytest.mark.parametrize(
    ("layer", "lost"), [("head.last", "head.blocks.0.conv1"), ("node_div", "teacher.conv2")]
)
def test_what_no_runtime_fuses_ends_the_search_for_the_reader(network, layer, lost):
    (placed,) = network.place(layers((layer, 1.0)))
    assert placed.nodes == (layer,), f"{lost} is in no layer"


def test_work_that_two_layers_name_is_the_slower_ones(network):
    copy, conv = network.place(
        layers(("Reformatting CopyNode for Input Tensor 0 to student.conv1", 0.1), ("s", 2.0))
    )
    assert (copy.part, copy.macs) == ("student", 0)
    assert (conv.part, conv.macs) == ("student", MACS["student.conv1"])


def test_the_runtimes_own_list_of_nodes_is_read(network):
    (layer,) = network.place([LayerTime("Multiply_9", "Subgraph", 1.0, ("node_div", "node_mul"))])
    assert (layer.part, layer.nodes) == ("product", ("node_div", "node_mul"))


def test_what_no_node_is_known_of_is_rest_under_its_own_name(network):
    (layer,) = network.place(layers(("ReorderInput", 1.0)))
    assert (layer.part, layer.nodes, layer.macs, layer.label) == ("rest", (), 0, "ReorderInput")
