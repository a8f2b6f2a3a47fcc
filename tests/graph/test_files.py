"""Reading and writing the ONNX files of edgeseg."""

import numpy as np
import onnx
import onnxruntime as ort

from edgeseg.errors import ModelError
from edgeseg.graph.files import graph_bytes, read_graph
from tests.kit.errors import fails
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
    with fails(ModelError, "model/unreadable"):
        read_graph(path)


def test_a_graph_of_somebody_else(tmp_path):
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "other", [], [])), path)
    with fails(ModelError, "model/foreign-graph"):
        read_graph(path)


def test_graph_bytes_give_the_threshold_a_default_that_read_graph_takes_out(exported, tmp_path):
    model, card = read_graph(exported.graph)
    path = tmp_path / "with.onnx"
    path.write_bytes(graph_bytes(model, card))
    session = ort.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == ["frame"]
    frame = np.random.default_rng(0).integers(0, 256, card.frame_shape, np.uint8)
    default, own, low = (
        session.run(["mask"], {"frame": frame} | given)[0]
        for given in (
            {},
            {"threshold": np.array([card.threshold], np.float32)},
            {"threshold": np.array([-1], np.float32)},
        )
    )
    np.testing.assert_array_equal(default, own)
    assert low.min() == 255
    again, same = read_graph(path)
    assert same == card
    assert again.graph == model.graph
