"""A graph with known results: the red channel / 255 is the anomaly map."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeseg.cards import metadata_from
from tests.kit.cards import make_card

SIDE = 8


@pytest.fixture(scope="session")
def red_card():
    return make_card(SIDE, SIDE, batch=2, frame_format="rgb", side=SIDE, image_threshold=0.5)


@pytest.fixture(scope="session")
def red_graph(tmp_path_factory, red_card):
    """red.onnx: frame -> Cast, Gather, Div -> anomaly_map -> score and mask."""
    constants = {
        "zero": np.float32(0),
        "white": np.float32(255),
        "red": np.int64(0),
        "axes": np.array([1, 2]),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["float", "red"], ["reds"], axis=3),
        helper.make_node("Div", ["reds", "white"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["score"], keepdims=0),
        helper.make_node("Greater", ["anomaly_map", "threshold"], ["above"]),
        helper.make_node("Where", ["above", "white", "zero"], ["bytes"]),
        helper.make_node("Cast", ["bytes"], ["mask"], to=TensorProto.UINT8),
    ]
    square = [2, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "red",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [*square, 3]),
            helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, square),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, square),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    helper.set_model_props(model, metadata_from(red_card))
    path = tmp_path_factory.mktemp("graphs") / "red.onnx"
    onnx.save(model, path)
    return path


class Red(nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("white", torch.tensor(255.0))

    def forward(self, frame, threshold):
        anomaly_map = frame[..., 0] / self.white
        mask = torch.where(anomaly_map > threshold, self.white, 0.0).to(torch.uint8)
        return mask, anomaly_map.amax((1, 2)), anomaly_map


@pytest.fixture(scope="session")
def red_module():
    return Red()
