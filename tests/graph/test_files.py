"""Reading ONNX files as messages."""

import onnx
import pytest

from edgeseg.errors import ModelError
from edgeseg.graph.files import read_graph


def test_a_graph_and_its_card(red_graph, red_card):
    model, card = read_graph(red_graph)
    assert card == red_card
    assert [n.op_type for n in model.graph.node][:2] == ["Cast", "Gather"]


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
