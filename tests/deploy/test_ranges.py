"""How large the numbers get that FP16 has to hold."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.deploy.ranges import Peak, largest


@pytest.fixture
def doubling():
    """frame -> Cast -> four convolutions that multiply by 10 each: 1e4 times the frame."""
    nodes = [helper.make_node("Cast", ["frame"], ["t0"], "cast", to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("Conv", [f"t{k}", "ten"], [f"t{k + 1}"], f"conv{k}") for k in range(4)
    ]
    nodes.append(helper.make_node("Add", ["t4", "threshold"], ["y"], "end"))
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 1, 4, 4]),
            helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(np.full((1, 1, 1, 1), -10, np.float32), "ten")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def test_the_largest_magnitude_of_any_frame_and_node(doubling, graph_card):
    card = dataclasses.replace(graph_card, frame_shape=(1, 1, 4, 4))
    frames = [np.full((1, 1, 4, 4), level, np.uint8) for level in (1, 7, 3)]
    assert largest(doubling, card, frozenset({"conv0", "conv1"}), frames) == Peak("conv1", 700.0)
    peak = largest(doubling, card, frozenset({"conv0", "conv3"}), frames)
    assert peak == Peak("conv3", 70000.0)
    assert not peak.fits
    assert [o.name for o in doubling.graph.output] == ["y"]


@pytest.mark.parametrize(
    ("value", "fits"), [(65504.0, True), (65505.0, False), (np.inf, False), (np.nan, False)]
)
def test_half_ends_at_65504(value, fits):
    assert Peak("node", value).fits is fits


def test_the_graphs_own_outputs_may_be_watched_too(doubling, graph_card):
    model = onnx.ModelProto()
    model.CopyFrom(doubling)
    frames = [np.ones((1, 1, 4, 4), np.uint8)]
    assert largest(model, graph_card, frozenset({"conv0"}), frames).value == 10.0
