"""A graph with known results: the red channel / 255 is the anomaly map."""

import onnx
import pytest
import torch
from torch import nn

from edgeseg.cards import InputLimit
from tests.kit.cards import make_card
from tests.kit.red_graph import red_graph as red_graph_of

SIDE = 8


@pytest.fixture(scope="session")
def red_card():
    check = (InputLimit(name="brightness", low=0.1, high=0.9), InputLimit(name="contrast"))
    size = {"batch": 2, "frame_format": "rgb", "side": SIDE}
    return make_card(SIDE, SIDE, **size, image_threshold=0.5, input_check=check)


@pytest.fixture(scope="session")
def red_graph(tmp_path_factory, red_card):
    path = tmp_path_factory.mktemp("graphs") / "red.onnx"
    onnx.save(red_graph_of(chain=(), card=red_card), path)
    return path


class Red(nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("white", torch.tensor(255.0))

    def forward(self, frame, threshold):
        anomaly_map = frame[..., 0] / self.white
        mask = torch.where(anomaly_map > threshold, self.white, 0.0).to(torch.uint8)
        check = anomaly_map.mean((1, 2))[:, None].expand(-1, 2)
        return mask, anomaly_map.amax((1, 2)), anomaly_map, check


@pytest.fixture(scope="session")
def red_module():
    return Red()


@pytest.fixture(params=["mapped", "copy"])
def io(request):
    """How frames reach a GPU."""
    return request.param
