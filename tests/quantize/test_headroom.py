"""The ends of Half: the largest tensors of a graph, and its smallest constant."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.cards import metadata_from
from edgeseg.quantize.fp16 import to_fp16
from edgeseg.quantize.headroom import read_headroom
from tests.kit.graphs import BYTES, FLOAT, make_graph


@pytest.fixture
def save(tmp_path, graph_card):
    """Write a graph as edgeseg would: with a card of a frame of 4 x 4."""
    card = dataclasses.replace(graph_card, frame_shape=(1, 4, 4, 3))

    def write(model):
        helper.set_model_props(model, metadata_from(card))
        path = tmp_path / "graph.onnx"
        onnx.save(model, path)
        return path

    return write


def test_the_largest_few_of_an_fp32_graph_are_what_fp16_would_hold(tenfold, save):
    path = save(tenfold)
    room = read_headroom(path, [np.full((1, 1, 4, 4), 5, np.uint8)])
    assert (room.typed, room.tensors) == (False, 4)
    assert [(p.node, p.value) for p in room.peaks] == [
        ("conv3", 50000.0),
        ("conv2", 5000.0),
        ("conv1", 500.0),
    ]
    assert room.fits
    assert "1.31 times" in room.verdict()
    assert not read_headroom(path, [np.full((1, 1, 4, 4), 7, np.uint8)]).fits


def test_a_half_tensor_that_overflows_reads_infinity(tenfold, save):
    path = save(to_fp16(onnx.shape_inference.infer_shapes(tenfold)))
    room = read_headroom(path, [np.full((1, 1, 4, 4), 7, np.uint8)])
    assert room.typed
    assert (room.peaks[0].node, room.peaks[0].value) == ("conv3", np.inf)
    assert not room.fits and "conv3" in room.verdict()
    assert room.to_json()["peaks"][0]["value"] == "inf"


def test_the_constants_that_half_loses(tenfold, save):
    weight = np.array([-10, 1e-9, 2e-5, 0], np.float32).reshape(4, 1, 1, 1)
    tenfold.graph.initializer.append(numpy_helper.from_array(weight, "detector.student.w"))
    tenfold.graph.node[1].input[1] = "detector.student.w"
    tenfold.graph.node[2].input[1] = "wide"
    wide = np.ones((1, 4, 1, 1), np.float32)
    tenfold.graph.initializer.append(numpy_helper.from_array(wide, "wide"))
    constants = read_headroom(save(tenfold), [np.ones((1, 1, 4, 4), np.uint8)]).constants
    assert constants.name == "student.w"
    assert constants.smallest == pytest.approx(1e-9)
    assert (constants.subnormal, constants.zeroed, constants.count) == (2, 1, 9)


def test_a_graph_with_nothing_to_type_says_so(save):
    cast = helper.make_node("Cast", ["frame"], ["y"], "cast", to=TensorProto.FLOAT)
    shape = [1, 1, 4, 4]
    model = make_graph([cast], inputs={"frame": (BYTES, shape)}, outputs={"y": (FLOAT, shape)})
    room = read_headroom(save(model), [np.ones((1, 1, 4, 4), np.uint8)])
    assert (room.tensors, room.peaks, room.fits) == (0, (), True)
