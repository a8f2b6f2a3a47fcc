"""The view of an ONNX graph: reading, changing, and writing back."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto

from edgeseg.graph.graph import Graph, attribute, constant, dtype, input_of, operation, shape
from tests.kit.tiny import WEIGHT, conv, graph_of, node, types


@pytest.fixture
def model():
    nodes = [conv("x", "a", strides=[2, 2]), node("Relu", "a", "b"), node("Add", "b one", "y")]
    return graph_of(nodes, {"weight": WEIGHT, "one": np.float32(1)}, "y")


def test_graph_shows_types_shapes_producers_and_readers(model):
    del model.graph.value_info[:]
    graph = Graph(model)
    tensors = graph.tensors()
    assert (dtype(tensors["a"]), shape(tensors["a"])) == (ir.DataType.FLOAT, (1, 8, 3, 3))
    assert shape(tensors["weight"]) == (8, 8, 3, 3)
    assert (operation(tensors["a"]), operation(tensors["x"])) == ("Conv", "")
    assert [reader.name for reader in tensors["a"].consumers()] == ["relu:b"]
    assert constant(tensors["one"]) == 1.0 and constant(tensors["a"]) is None
    assert [n.name for n in graph.convolutions()] == ["conv:a"]
    assert attribute(graph.by_name["conv:a"], "strides", None) == (2, 2)
    assert attribute(graph.by_name["conv:a"], "group", 1) == 1
    assert graph.opset == 19


def test_an_absent_tensor_has_no_type_shape_or_value(model):
    absent = input_of(Graph(model).by_name["conv:a"], 2)
    assert (absent, shape(absent), constant(absent), operation(absent)) == (None, (), None, "")
    assert dtype(absent) == ir.DataType.UNDEFINED


def test_to_proto_returns_the_changes_and_leaves_the_model_alone(model):
    before = model.SerializeToString()
    graph = Graph(model)
    add = graph.by_name["add:y"]
    half = graph.add_node("Cast", [add.inputs[0]], "half", before=add, to=TensorProto.FLOAT16)
    two = graph.add_constant("two", np.float16(2))
    assert graph.add_constant("two", np.float16(3)) is two
    product = graph.add_node("Mul", [half, two], "product", before=add)
    add.replace_input_with(0, graph.add_node("Cast", [product], "back", before=add, to=1))
    add.replace_input_with(1, graph.tensors()["back"])
    changed = graph.to_proto()
    assert model.SerializeToString() == before
    kinds = types(changed)
    assert kinds["product"] == TensorProto.FLOAT16 and kinds["back"] == TensorProto.FLOAT
    assert {i.name for i in changed.graph.initializer} == {"weight", "two"}  # one has no reader
    assert [n.name for n in changed.graph.node][-2:] == ["back", "add:y"]
    assert changed.metadata_props == model.metadata_props


def test_nodes_that_share_a_name_are_refused(model):
    model.graph.node[1].name = "conv:a"
    with pytest.raises(AssertionError, match="share a name"):
        Graph(model)
