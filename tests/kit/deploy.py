"""One small run, exported once, and toys where the network or TensorRT does not matter."""

import dataclasses

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgeseg.cards import CARD, write_card
from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_run
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.training.checkpoint import save_weights
from tests.kit.cards import make_card, make_run_card
from tests.kit.graphs import BYTES, FLOAT, make_graph
from tests.kit.old_tensorrt import library

TOY_SIDE = 32


@pytest.fixture(scope="session")
def run_card():
    return make_run_card(
        frame_size=(48, 80), versions={"edgeseg": "0.1.0"}, threshold=0.5, image_threshold=0.6
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory, run_card):
    """runs/screws: DeSTSeg at 64 x 64 with random weights, and thresholds."""
    folder = tmp_path_factory.mktemp("runs") / "screws"
    torch.manual_seed(0)
    detector = DeSTSeg(Teacher("resnet18"))
    for norm in (m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)):
        if not norm.weight.any():  # timm starts the last one of a block at 0: tensors of zeros
            nn.init.constant_(norm.weight, 0.5)
    digest = save_weights(folder, detector)
    write_card(folder / CARD, dataclasses.replace(run_card, weights_sha256=digest))
    return folder


@pytest.fixture(scope="session")
def exported(run):
    """What `edgeseg export` makes of the run: frames of 80 x 48, bgr."""
    return export_run(run, ExportConfig())


class Toy(nn.Module):
    """A detector of three layers: [B, 3, S, S] -> [B, 1, S / 4, S / 4] in (0, 1)."""

    map_stride = 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 8, 4, stride=4, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.end = nn.Conv2d(8, 1, 3, padding=1)

    def normalize(self, rgb):
        return rgb / 255

    def forward(self, x):
        return self.end(torch.relu(self.bn(self.conv(x)))).sigmoid()


def toy_backend(detector=None, *, frame_format="bgr", frame_size=(48, 40), batch=1, side=TOY_SIDE):
    """A toy detector as an opened run."""
    module = Fused(
        detector or Toy(),
        network_size=(side, side),
        frame_size=frame_size,
        frame_format=frame_format,
        aspect="stretch",
        top=10,
    )
    card = make_card(
        *frame_size,
        batch=batch,
        frame_format=frame_format,
        side=side,
        name="toy",
        image_threshold=0.5,
        training={"teacher": "resnet18", "top": 100},
    )
    return PyTorchBackend(module, card)


@pytest.fixture
def tenfold():
    """frame -> Cast -> four convolutions that multiply by -10 each -> y."""
    nodes = [helper.make_node("Cast", ["frame"], ["t0"], "cast", to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("Conv", [f"t{k}", "ten"], [f"t{k + 1}"], f"conv{k}") for k in range(4)
    ]
    nodes.append(helper.make_node("Add", ["t4", "threshold"], ["y"], "end"))
    return make_graph(
        nodes,
        {"ten": np.full((1, 1, 1, 1), -10, np.float32)},
        inputs={"frame": (BYTES, [1, 1, 4, 4]), "threshold": (FLOAT, [1])},
        outputs={"y": (FLOAT, [1, 1, 4, 4])},
    )


@pytest.fixture
def install(monkeypatch):
    """Pretend that a TensorRT of the recorder's kind is installed."""

    def pretend(version, **options):
        recorder = library(version, **options)
        api = trt.Api(trt.FLAVORS["tensorrt"], recorder)
        monkeypatch.setattr(trt, "load", lambda runtime, **lean: api)
        return recorder

    return pretend
