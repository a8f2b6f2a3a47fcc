"""From a path to a backend, and which run or engine is taken when none is named."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgeseg.cards import (
    CARD,
    EngineCard,
    ModelCard,
    metadata_from,
    write_card,
)
from edgeseg.errors import ConfigError, EngineMismatch, ModelError
from edgeseg.loading import (
    find_model,
    newest_engine,
    newest_run,
    open_model,
    open_run,
)
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.teacher import Teacher
from edgeseg.runtime.base import Slot
from edgeseg.training.checkpoint import save_weights
from tests.kit.errors import fails


@pytest.fixture(scope="module")
def model_card():
    return ModelCard(
        name="screws",
        model="destseg",
        image_size=32,
        frame_size=None,
        config={"teacher": "resnet18", "top": 10},
        split={"train": {}, "holdout": {}},
        weights_sha256="",
        versions={},
        steps={},
        threshold=0.25,
        image_threshold=0.75,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, model_card):
    """A run with random weights, at 32 x 32."""
    folder = tmp_path_factory.mktemp("runs") / "screws"
    torch.manual_seed(0)
    digest = save_weights(folder, DeSTSeg(Teacher("resnet18")))
    write_card(folder / CARD, dataclasses.replace(model_card, weights_sha256=digest))
    return folder


@pytest.fixture
def graph(tmp_path, graph_card):
    """An .onnx file of edgeseg that answers with its threshold."""
    card = dataclasses.replace(graph_card, frame_shape=(1, 8, 8, 3), image_size=8)
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float", "last"], ["reds"], keepdims=0),
        helper.make_node("Where", ["no", "reds", "threshold"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "plane"], ["score"], keepdims=0),
        helper.make_node("Cast", ["reds"], ["mask"], to=TensorProto.UINT8),
    ]
    constants = {"last": np.array([3]), "plane": np.array([1, 2]), "no": np.array([False])}
    built = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 8, 8, 3]),
            helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, 8, 8]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [1, 8, 8]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    helper.set_model_props(model, metadata_from(card))
    path = tmp_path / "screws.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def write_engine(tmp_path, graph, graph_card):
    """Write an engine and its card to engines/, as old as told, in seconds."""

    def write(name, age=0, **changes):
        folder = tmp_path / "engines"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(graph.read_bytes())
        card = EngineCard(
            graph=graph_card,
            file=name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            bytes=path.stat().st_size,
            runtime="openvino",
            runtime_version="2026.4.1",
            precision="fp16",
            target="cpu",
            built_on={},
            source_sha256="",
            inputs={},
            outputs={},
        )
        write_card(path.with_suffix(".json"), dataclasses.replace(card, **changes))
        os.utime(path.with_suffix(".json"), (1e9 - age, 1e9 - age))
        return path

    return write


def test_a_run_is_opened_in_pytorch(run, said):
    with open_model(run) as backend:
        card = backend.card
        assert (card.frame_format, card.frame_shape) == ("rgb", (1, 32, 32, 3))
        assert (card.threshold, card.image_threshold) == (0.25, 0.75)
        assert card.training == {"teacher": "resnet18", "top": 10}
        slot = Slot.on_host(card)
        backend.bind(slot)
        backend.run()
        assert 0 < slot.score[0] < 1
    assert len(said) == 1
    assert said[0] == f"{run}: {backend.name}"


def test_a_run_may_take_other_frames(run):
    with open_run(run, frame_size=(20, 44), frame_format="gray", batch=2) as backend:
        assert backend.card.frame_shape == (2, 20, 44, 1)
        slot = Slot.on_host(backend.card)
        backend.bind(slot)
        backend.run()


def test_a_run_without_thresholds_opens_and_says_so(run, tmp_path, model_card, said):
    folder = tmp_path / "fresh"
    folder.mkdir()
    (folder / "model.safetensors").hardlink_to(run / "model.safetensors")
    digest = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    card = dataclasses.replace(model_card, threshold=None, weights_sha256=digest)
    write_card(folder / CARD, card)
    with open_model(folder) as backend:
        assert (backend.card.threshold, backend.card.image_threshold) == (0.5, 0.75)
    assert said[0].endswith("; thresholds not set, using 0.5 for both")


def test_a_graph_is_opened_in_onnx_runtime_or_openvino(graph, said):
    for runtime, expected in ((None, "onnxruntime"), ("openvino", "openvino")):
        for _ in range(2):
            said.clear()
            with open_model(graph, runtime=runtime, threads=1) as backend:
                assert backend.name.startswith(f"{expected} ")
                assert backend.name.endswith("CPU, 1 thread")
            assert f"{graph}: {backend.name}" in said
        assert len(said) == 1, "why no faster runtime was chosen is logged once"


def test_why_no_faster_runtime_was_chosen_is_logged(graph, said):
    with open_model(graph, runtime="openvino"):
        assert said[-1].startswith("not tensorrt: ")
    assert "not openvino" not in said[-1]


def test_what_openvino_compiled_of_a_graph_serves_its_engine(
    graph, write_engine, monkeypatch, said
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(graph.parent / "cache"))
    for path in (graph, write_engine("screws-fp32-openvino-cpu.onnx")):
        with open_model(path, runtime="openvino"):
            pass
    cached, *others = said
    assert cached.startswith("the compiled graph is cached in ")
    assert [line.split(":")[0] for line in others if " CPU, " in line] == [str(graph), str(path)]


def test_an_engine_is_opened_by_its_card(write_engine):
    path = write_engine("screws-fp16-openvino-cpu.onnx")
    for name in (path, path.with_suffix(".json")):
        with open_model(name) as backend:
            assert backend.name.startswith("openvino ")
    with open_model(path, runtime="openvino"):
        pass
    with fails(ConfigError, "config/runtime"):
        open_model(path, runtime="onnxruntime")


def test_an_edited_engine_is_refused(write_engine):
    path = write_engine("screws-fp16-openvino-cpu.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with fails(EngineMismatch, "engine/changed"):
        open_model(path)


def test_paths_that_are_no_model(tmp_path, graph):
    with fails(ModelError, "model/not-found"):
        open_model(tmp_path / "nothing.onnx")
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"")
    with fails(ModelError, "model/unknown-file"):
        open_model(photo)
    plan = tmp_path / "plan.engine"
    plan.write_bytes(b"ftrt")
    with fails(ModelError, "model/no-card"):
        open_model(plan)
    empty = tmp_path / "empty"
    empty.mkdir()
    with fails(ModelError, "model/not-a-run") as caught:
        open_model(empty)
    assert "edgeseg train DATA --name empty" in caught.value.remedy


def test_a_runtime_that_reads_no_graph(graph, run):
    with fails(ConfigError, "config/runtime"):
        open_model(graph, runtime="tensorrt")
    with fails(ConfigError, "config/runtime"):
        open_model(run, runtime="openvino")


def test_a_foreign_graph(tmp_path):
    path = tmp_path / "resnet.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "other", [], []), ir_version=9), path)
    with pytest.raises(ModelError, match=r"resnet\.onnx was not exported by edgeseg"):
        open_model(path, runtime="openvino")


def runs_in(folder, model_card, *names):
    for age, name in enumerate(names):
        write_card(folder / name / CARD, dataclasses.replace(model_card, name=name))
        os.utime(folder / name / CARD, (1e9 - age, 1e9 - age))
    return folder


def test_the_newest_run(tmp_path, model_card, said):
    runs = runs_in(tmp_path, model_card, "new", "old", "older")
    (runs / "unfinished").mkdir()
    assert newest_run(runs) == runs / "new"
    assert said == [f"model: {runs / 'new'}, the newest of 3 in {runs}"]
    with fails(ModelError, "model/no-runs") as caught:
        newest_run(tmp_path / "elsewhere")
    assert caught.value.remedy == "edgeseg train DATA"


def test_a_model_by_path_by_name_or_the_newest(tmp_path, model_card, graph):
    runs = runs_in(tmp_path / "runs", model_card, "new", "old")
    assert find_model(None, runs) == runs / "new"
    assert find_model(Path("old"), runs) == runs / "old"
    assert find_model(graph, runs) == graph
    with fails(ModelError, "model/not-found") as caught:
        find_model(Path("bolts"), runs)
    assert "new, old" in caught.value.problem


def test_the_newest_engine_that_fits(write_engine, tmp_path, said):
    write_engine("c.engine", age=0, target="sm86", runtime="tensorrt-rtx")
    edited = write_engine("b.onnx", age=1)
    edited.write_bytes(b"")
    expected = write_engine("a.onnx", age=2)
    assert newest_engine(tmp_path / "engines") == expected
    lines = "\n".join(said).splitlines()
    assert lines[0].startswith("skipped c: ")
    assert lines[1].startswith("skipped b: ") and "has 0 bytes" in lines[1]
    assert lines[2] == f"engine: {expected}"


def test_no_engine_fits(write_engine, tmp_path):
    write_engine("c.engine", target="sm86", runtime="tensorrt-rtx")
    with fails(ModelError, "model/no-engines") as e:
        newest_engine(tmp_path / "engines")
    assert e.value.remedy == "edgeseg build-engine"
    with fails(ModelError, "model/no-engines"):
        newest_engine(tmp_path / "nowhere")
