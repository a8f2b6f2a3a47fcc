"""How large the numbers get that FP16 has to hold."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.cards import metadata_from
from edgeseg.deploy.precision import to_fp16
from edgeseg.deploy.ranges import Peak, largest, read_ranges


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


@pytest.fixture
def save(tmp_path, graph_card):
    """Write a graph as edgeseg would: with a card of a frame of 4 x 4."""
    card = dataclasses.replace(graph_card, frame_shape=(1, 1, 4, 4))

    def write(model):
        helper.set_model_props(model, metadata_from(card))
        path = tmp_path / "graph.onnx"
        onnx.save(model, path)
        return path

    return write


def test_the_largest_few_of_an_fp32_graph_are_what_fp16_would_hold(doubling, save):
    path = save(doubling)
    ranges = read_ranges(path, [np.full((1, 1, 4, 4), 5, np.uint8)])
    assert (ranges.typed, ranges.tensors) == (False, 4)
    assert [(p.node, p.value) for p in ranges.peaks] == [
        ("conv3", 50000.0),
        ("conv2", 5000.0),
        ("conv1", 500.0),
        ("conv0", 50.0),
    ]
    assert ranges.fits
    assert ranges.lines()[-1] == "  fits: the largest is 1 times below the end"
    assert not read_ranges(path, [np.full((1, 1, 4, 4), 7, np.uint8)]).fits


def test_a_half_tensor_that_overflows_reads_infinity(doubling, save):
    path = save(to_fp16(onnx.shape_inference.infer_shapes(doubling)))
    ranges = read_ranges(path, [np.full((1, 1, 4, 4), 7, np.uint8)])
    assert ranges.typed
    assert (ranges.peaks[0].node, ranges.peaks[0].value) == ("conv3", np.inf)
    assert ranges.verdict() == "does not fit: conv3 overflows Half, which ends at 65504"
    assert ranges.to_json()["peaks"][0]["value"] == "inf"


def test_the_constants_that_half_loses(doubling, save):
    weight = np.array([-10, 1e-9, 2e-5, 0], np.float32).reshape(4, 1, 1, 1)
    doubling.graph.initializer.append(numpy_helper.from_array(weight, "detector.student.w"))
    doubling.graph.node[1].input[1] = "detector.student.w"
    doubling.graph.node[2].input[1] = "wide"
    wide = np.ones((1, 4, 1, 1), np.float32)
    doubling.graph.initializer.append(numpy_helper.from_array(wide, "wide"))
    constants = read_ranges(save(doubling), [np.ones((1, 1, 4, 4), np.uint8)]).constants
    assert constants.name == "student.w"
    assert constants.smallest == pytest.approx(1e-9)
    assert (constants.subnormal, constants.zeroed, constants.count) == (2, 1, 9)


def test_a_graph_with_nothing_to_type_says_so(save):
    cast = helper.make_node("Cast", ["frame"], ["y"], "cast", to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [cast],
        "test",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
    )
    path = save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9))
    ranges = read_ranges(path, [np.ones((1, 1, 4, 4), np.uint8)])
    assert (ranges.tensors, ranges.verdict()) == (0, "nothing is Half")
