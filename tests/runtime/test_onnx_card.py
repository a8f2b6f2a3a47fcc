"""The card of an ONNX file, read from its bytes."""

import onnx
import pytest
from onnx import helper

from edgeseg.errors import ModelError
from edgeseg.graph.files import read_graph
from edgeseg.runtime.onnx_card import read_onnx_card
from tests.kit.errors import fails


def test_the_card_is_the_one_that_onnx_reads(red_graph, red_card):
    assert read_onnx_card(red_graph) == read_graph(red_graph)[1] == red_card


def test_numbers_of_several_bytes_and_text_beyond_ascii(red_graph, red_card, tmp_path):
    model = onnx.load(red_graph)
    model.model_version = 2**62
    model.doc_string = "ü" * 300
    helper.set_model_props(
        model, {"ключ": "значение", **{p.key: p.value for p in model.metadata_props}}
    )
    onnx.save(model, tmp_path / "a.onnx")
    assert read_onnx_card(tmp_path / "a.onnx") == red_card


def test_of_a_file_that_was_cut_no_more_is_accepted_than_by_onnx(red_graph, tmp_path):
    data = red_graph.read_bytes()
    path = tmp_path / "cut.onnx"
    accepted = []
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            accepted.append(read_onnx_card(path))
        except ModelError as error:
            assert "cut.onnx" in error.problem
        else:
            assert accepted[-1] == read_graph(path)[1]
    assert len(accepted) < 10  # cut between two entries of the card, of which one has a default


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a" * 20, "unknown wire type 7"),
        (b"\x08" + b"\xff" * 20, "more than 10 bytes"),
        (b"\x3a\xff\x01ab", "truncated within field 7"),
        (b"\x09" + bytes(8) + b"\x0d" + bytes(3), "truncated within field 1"),
        (b"\x72\x03\x0a\x01\xff", "'utf-8' codec can't decode"),
        (b"\x08\x0a", ""),
        (b"", ""),
    ],
)
def test_a_file_that_is_no_graph_of_ours(tmp_path, data, words):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        read_onnx_card(path)
    assert words in caught.value.problem
    assert (caught.value.code == "model/not-onnx") is bool(words)
    assert "edgeseg export" in caught.value.remedy


def test_a_missing_file(tmp_path):
    with fails(ModelError, "model/not-onnx"):
        read_onnx_card(tmp_path / "a.onnx")
