"""From a runtime's layers to the graph's nodes, modules and MACs."""

import pytest

from edgeseg.graph.layers import LayerMap
from edgeseg.runtime.layer_times import LayerTime
from tests.kit.tiny import MACS, small_destseg


@pytest.fixture(scope="module")
def network():
    return LayerMap(small_destseg())


def layers(*pairs):
    return [LayerTime(name, "", seconds) for name, seconds in pairs]


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


def test_a_fused_layer_belongs_to_the_module_with_the_most_macs(network):
    names = ("node_matmul + teacher.conv1", "dequantize + head.last", "node_div + node_mul")
    first, second, third = network.place(layers(*((name, 1.0) for name in names)))
    assert (first.module, first.label) == ("teacher", "teacher.conv1")
    assert first.macs == MACS["node_matmul"] + MACS["teacher.conv1"]
    assert (second.module, second.macs) == ("head", MACS["head.last"])
    assert (third.module, third.macs, third.label) == ("similarity", 0, "node_div")


def test_a_convolution_without_a_layer_is_in_the_one_of_its_reader(network):
    relu, sigmoid = network.place(layers(("h_relu_nchwc", 2.0), ("map_nchwc", 1.0)))
    assert (relu.label, relu.macs) == ("head.blocks.0.conv1", MACS["head.blocks.0.conv1"])
    assert (sigmoid.label, sigmoid.module, sigmoid.macs) == ("head.last", "head", MACS["head.last"])


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
    assert (copy.module, copy.macs) == ("student", 0)
    assert (conv.module, conv.macs) == ("student", MACS["student.conv1"])


def test_the_runtimes_own_list_of_nodes_is_read(network):
    (layer,) = network.place([LayerTime("Multiply_9", "Subgraph", 1.0, ("node_div", "node_mul"))])
    assert (layer.module, layer.nodes) == ("similarity", ("node_div", "node_mul"))


def test_what_no_node_is_known_of_is_rest_under_its_own_name(network):
    (layer,) = network.place(layers(("ReorderInput", 1.0)))
    assert (layer.module, layer.nodes, layer.macs, layer.label) == ("rest", (), 0, "ReorderInput")
