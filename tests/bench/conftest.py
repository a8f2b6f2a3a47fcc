"""A small graph to profile."""

from dataclasses import replace

import onnx
import pytest

from tests.kit.red_graph import CARD as SMALL
from tests.kit.red_graph import red_graph

SIDE = 256  # each layer takes microseconds, the resolution of OpenVINO's times
CARD = replace(SMALL, frame_shape=(1, SIDE, SIDE, 3), network_size=(SIDE, SIDE))


@pytest.fixture(scope="session")
def red(tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "plates.onnx"
    onnx.save(red_graph(card=CARD), path)
    return path
