"""The calibration file: sorted, one tensor per line, for one graph."""

import dataclasses
import json

import onnx
import pytest

from edgeseg.errors import GateFailed, ModelError
from edgeseg.files import sha256
from edgeseg.graph.files import graph_bytes, graph_digest, read_graph
from edgeseg.quantize.calibration_file import Range, Ranges, ranges_path, read_ranges, write_ranges
from tests.kit.errors import fails
from tests.kit.red_graph import red_graph


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "screws.onnx"
    onnx.save(red_graph(), path)
    return path


@pytest.fixture
def ranges(graph):
    return Ranges(
        graph="screws.onnx",
        graph_sha256=graph_digest(graph),
        settings={"frames": 2, "backbone": "relative"},
        versions={"onnxruntime": "1.18.0"},
        tensors={
            "relu_2": Range(1.0, "max", 1.0, "head.conv"),
            "add": Range(0.123456789, "relative", 12.3456789),
        },
        frames={"train/good/002.png": "beef", "train/good/001.png": "cafe"},
    )


def test_one_tensor_and_one_frame_a_line_sorted_in_five_digits(ranges, tmp_path):
    path = ranges_path("screws", tmp_path)
    write_ranges(path, ranges)
    assert path == tmp_path / "screws.ranges.json"
    assert path.read_text().splitlines()[7:] == [
        ' "tensors": {',
        '  "add": {"limit": 0.12346, "method": "relative", "peak": 12.346},',
        '  "relu_2": {"limit": 1.0, "method": "max", "peak": 1.0, "reader": "head.conv"}',
        " },",
        ' "frames": {',
        '  "train/good/001.png": "cafe",',
        '  "train/good/002.png": "beef"',
        " }",
        "}",
    ]
    assert json.loads(path.read_text())["settings"] == {"frames": 2, "backbone": "relative"}


def test_what_was_written_is_read(ranges, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    read = read_ranges(path, graph)
    assert read.frames == ranges.frames and read.settings == ranges.settings
    assert read.limit("add") == 0.12346
    assert read.tensors["relu_2"] == ranges.tensors["relu_2"]
    write_ranges(path, read)
    assert read_ranges(path, graph) == read


def test_missing_ranges_name_the_command(graph, tmp_path):
    with fails(ModelError, "model/no-calibration") as caught:
        read_ranges(tmp_path / "screws.ranges.json", graph)
    assert caught.value.remedy == f"edgeseg calibrate {graph} DATA"


def test_ranges_of_another_graph_are_refused(ranges, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    again = red_graph()
    again.graph.name = "trained again"
    onnx.save(again, graph)
    with fails(ModelError, "model/other-calibration") as caught:
        read_ranges(path, graph)
    assert caught.value.remedy == f"edgeseg calibrate {graph} DATA"


def test_ranges_belong_to_a_graph_whatever_its_thresholds(ranges, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    before = read_ranges(path, graph)
    model, card = read_graph(graph)
    graph.write_bytes(graph_bytes(model, dataclasses.replace(card, threshold=0.123)))
    assert read_ranges(path, graph) == before
    # An older file has the hash of the whole file.
    write_ranges(path, dataclasses.replace(ranges, graph_sha256=sha256(graph)))
    assert read_ranges(path, graph).tensors == before.tensors


DAMAGED = [
    "{",
    "[]",
    "{}",
    '{"graph": "g", "graph_sha256": "0"}',
    '{"graph": "g", "graph_sha256": "0", "tensors": {"add": {"size": 1}}}',
    '{"graph": "g", "graph_sha256": "0", "tensors": {"add": 1}}',
    '{"graph": "g", "graph_sha256": "0", "tensors": {"add": {"limit": -1}}}',
    '{"graph": "g", "graph_sha256": "0", "tensors": {"add": {"limit": "wide"}}}',
    '{"graph": "g", "graph_sha256": "0", "tensors": {"add": {"limit": 1e40}}}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_read_ranges_refuses_a_damaged_file(text, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    path.write_text(text)
    with fails(ModelError, "model/damaged-calibration") as caught:
        read_ranges(path, graph)
    assert "edgeseg calibrate" in caught.value.remedy


@pytest.mark.parametrize("limit", ["0", "0.0", "NaN", "Infinity", "1e999"])
def test_ranges_that_no_value_fits_in_fail_the_gate(ranges, limit, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    path.write_text(path.read_text().replace("0.12346", limit))
    with fails(GateFailed, "gate/ranges") as caught:
        read_ranges(path, graph)
    assert caught.value.exit_code == 3 and "edgeseg calibrate" in caught.value.remedy


def test_a_file_without_ranges_fails_the_gate(ranges):
    with fails(GateFailed, "gate/ranges"):
        dataclasses.replace(ranges, tensors={}).check("calibrate again")


def test_a_file_of_a_newer_version_is_refused(ranges, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"zero_points": {}}))
    with fails(ModelError, "model/newer-calibration") as caught:
        read_ranges(path, graph)
    assert "update edgeseg" in caught.value.remedy


def test_a_file_of_version_0_2_is_read(ranges, graph, tmp_path):
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges)
    document = json.loads(path.read_text())
    del document["data"], document["file_version"]
    path.write_text(json.dumps(document))
    assert read_ranges(path, graph).limit("add") == 0.12346


def test_the_images_of_a_calibration_that_are_still_there(ranges, tmp_path):
    names = [f"good/{number}.png" for number in range(6)]
    (tmp_path / "good").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    frames = {name: sha256(tmp_path / name)[:16] for name in names} | {"0.png with anomaly 0": "1"}
    found = dataclasses.replace(ranges, data=str(tmp_path), frames=frames)
    (tmp_path / names[0]).write_text("changed")
    assert found.images(9) == [tmp_path / name for name in names[1:]]
    assert found.images(2) == [tmp_path / names[4]]
    assert dataclasses.replace(found, data="").images(9) == []


def test_a_tensor_that_was_not_measured(ranges):
    with fails(ModelError, "model/no-range"):
        ranges.limit("mul_7")
