"""Reading ONNX files as messages."""

import onnx
import pytest

from edgeseg.errors import ModelError
from edgeseg.graph.files import read_graph
from tests.kit.red_graph import CARD, red_graph


def test_read_graph_returns_the_graph_and_its_card(tmp_path):
    path = tmp_path / "plates.onnx"
    onnx.save(red_graph(), path)
    model, card = read_graph(path)
    assert card == CARD
    assert model == red_graph()


def test_a_file_that_is_no_graph(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"PK\x03\x04" * 9)
    with pytest.raises(ModelError, match=r"a\.onnx is no ONNX file"):
        read_graph(path)


def test_a_graph_of_somebody_else(tmp_path):
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "other", [], [])), path)
    with pytest.raises(ModelError, match=r"a\.onnx was not exported by edgeseg"):
        read_graph(path)
