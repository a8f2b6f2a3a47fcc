"""Thresholds in runs, ONNX files and engines, without an export or a build."""

import dataclasses

import numpy as np
import onnx
import pytest

from edgeseg.cards import CARD, EngineCard, ModelCard, read_card, write_card
from edgeseg.evaluation.operating_points import rates
from edgeseg.evaluation.pick import Chosen
from edgeseg.exporter.store_thresholds import store_thresholds
from edgeseg.graph.files import graph_bytes, graph_digest, read_graph
from edgeseg.loading import open_model
from edgeseg.runtime.onnx_card import read_onnx_card
from tests.kit.cards import make_run_card, write_engine
from tests.kit.red_graph import red_graph

CHOSEN = Chosen(
    pixel=0.125, image=0.25, by="--max-miss 0.1", point=rates([0.1, 0.9], [1, 0], 0.25), images=1
)


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "runs" / "red" / "red.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(red_graph(), path)
    return path


def test_an_onnx_file_gets_them_as_metadata_and_as_the_default_of_its_input(graph, said):
    before, digest = read_graph(graph), graph_digest(graph)
    store_thresholds(graph, CHOSEN)
    after = read_graph(graph)
    assert after[1] == dataclasses.replace(before[1], threshold=0.125, image_threshold=0.25)
    assert read_onnx_card(graph) == after[1]
    assert (after[0].graph, graph_digest(graph)) == (before[0].graph, digest)
    (default,) = (i for i in onnx.load(graph).graph.initializer if i.name == "threshold")
    assert onnx.numpy_helper.to_array(default) == np.float32([0.125])
    assert [path.name for path in graph.parent.iterdir()] == ["red.onnx"]
    with open_model(graph) as backend:
        assert backend.new_slot().threshold[0] == np.float32(0.125)
        assert backend.card.image_threshold == 0.25


def test_an_engine_gets_them_in_its_card_and_keeps_its_file(graph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, card = read_graph(graph)
    engine = tmp_path / "engines" / "red-fp32-onnxruntime-cpu.onnx"
    data = graph.read_bytes()
    write_engine(engine, data, card, runtime="onnxruntime", runtime_version="1")
    before = read_card(engine.with_suffix(".json"), EngineCard)
    store_thresholds(engine, CHOSEN)
    after = read_card(engine.with_suffix(".json"), EngineCard)
    limits = dataclasses.replace(card, threshold=0.125, image_threshold=0.25)
    assert after == dataclasses.replace(before, graph=limits)
    assert engine.read_bytes() == data
    with open_model(engine) as backend:  # its SHA-256 is still that of the card
        assert (backend.card.threshold, backend.card.image_threshold) == (0.125, 0.25)


def test_a_run_gets_them_in_its_card_and_in_its_graphs(graph, tmp_path, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, card = graph.parent, read_onnx_card(graph)
    values = {"weights_sha256": card.weights_sha256, "metrics": {"image_auroc": 0.9}}
    write_card(run / CARD, make_run_card(name="red", context=card.context, **values))
    other = run / "other.onnx"
    changed = dataclasses.replace(card, weights_sha256="9" * 64)
    model, _ = read_graph(graph)
    other.write_bytes(graph_bytes(model, changed))
    write_engine(tmp_path / "engines" / "red-int8-openvino-cpu.onnx", graph=card)
    store_thresholds(run, CHOSEN)
    found = read_card(run / CARD, ModelCard)
    assert (found.threshold, found.image_threshold) == (0.125, 0.25)
    assert (found.threshold_note["by"], found.metrics) == ("--max-miss 0.1", values["metrics"])
    assert read_onnx_card(graph).image_threshold == 0.25
    assert read_onnx_card(other) == changed
    text = "\n".join(said)
    assert "other.onnx has the old thresholds" in text and "red.onnx has the old" not in text
    assert "edgeseg threshold engines/red-int8-openvino-cpu.onnx DATA --false-reject" in text


def test_another_blur_outdates_graphs_and_metrics(graph, said):
    run, card = graph.parent, read_onnx_card(graph)
    values = {"weights_sha256": card.weights_sha256, "metrics": {"image_auroc": 0.9}}
    write_card(run / CARD, make_run_card(name="red", **values))
    store_thresholds(run, CHOSEN, context=4.0)
    found = read_card(run / CARD, ModelCard)
    assert (found.context, found.metrics) == (4.0, {})
    assert read_onnx_card(graph) == card
    assert any("edgeseg export" in line for line in said)
