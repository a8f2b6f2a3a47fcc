"""The network module and the MACs of each node, on a network small enough to count by hand."""

from edgeseg.errors import ModelError
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import MODULES, module_macs, node_macs, node_modules
from tests.kit.errors import fails
from tests.kit.graphs import FLOAT, make_graph
from tests.kit.tiny import MACS, named, small_destseg, two_levels


def test_node_macs():
    assert node_macs(Graph(small_destseg())) == MACS


def test_a_turned_gemm_adds_along_its_first_axis():
    nodes = [named("Gemm", "gemm", "a b", "y", transA=1)]
    inputs = {"a": (FLOAT, [7, 2]), "b": (FLOAT, [7, 3])}
    model = make_graph(nodes, inputs=inputs, outputs={"y": (FLOAT, [2, 3])})
    assert node_macs(Graph(model)) == {"gemm": 2 * 3 * 7}


def test_unknown_shapes_are_refused():
    model = small_destseg()
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    with fails(ModelError, "model/unknown-shapes") as caught:
        node_macs(Graph(model))
    assert "node_matmul" in caught.value.problem


def by_module(model):
    modules = node_modules(Graph(model))
    return {m: {name for name in modules if modules[name] == m} for m in MODULES}


def test_node_modules():
    assert by_module(small_destseg()) == {
        "teacher": {"teacher.conv1", "node_relu", "teacher.conv2"},
        "student": {"student.conv1", "node_relu_1", "dequantize", "student.conv2"},
        "similarity": {"node_norm", "node_div", "node_norm_1", "node_div_1", "node_mul"},
        "head": {"head.blocks.0.conv1", "node_relu_2", "head.last"},
        "rest": {"node_matmul", "node_sigmoid", "node_view", "node_gemm"},
    }


def test_node_modules_without_a_head():
    model = two_levels()
    del model.graph.node[-9:]
    found = by_module(model)
    assert found["teacher"] == {"teacher.t1", "teacher.t2"}
    assert {"reducel2:t1_norm", "mul:p1", "resize:p2_large"} < found["similarity"]
    assert not found["head"] and not found["rest"]


def test_module_macs_add_up():
    macs = module_macs(Graph(small_destseg()))
    assert macs == {
        "teacher": MACS["teacher.conv1"] + MACS["teacher.conv2"],
        "student": MACS["student.conv1"] + MACS["student.conv2"],
        "similarity": 0,
        "head": MACS["head.blocks.0.conv1"] + MACS["head.last"],
        "rest": MACS["node_matmul"] + MACS["node_gemm"],
    }
    assert sum(macs.values()) == sum(MACS.values())
