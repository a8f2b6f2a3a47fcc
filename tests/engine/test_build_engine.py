"""build_engine: the file, its card, the parity, and the choice of a runtime."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgeseg.cards import EngineCard, read_card
from edgeseg.config import BuildConfig, ExportConfig
from edgeseg.data.images import read_image, write_png
from edgeseg.engine import build_engine as engine
from edgeseg.engine import typed
from edgeseg.engine.build_engine import build_engine
from edgeseg.engine.typed import EXACT, NO_GATE
from edgeseg.errors import ConfigError, GateFailed, ModelError, WriteError
from edgeseg.exporter.export import export_graph
from edgeseg.files import sha256
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.quantize.fp16 import to_fp16
from edgeseg.quantize.ranges import Peak
from edgeseg.runtime.base import Slot
from edgeseg.runtime.engine_files import check_engine, rebuild
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from tests.kit.deploy import toy_backend
from tests.kit.errors import fails
from tests.kit.red_graph import red_graph, write_plates


@pytest.fixture(scope="session")
def toy_graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.onnx"
    with toy_backend() as backend:
        export_graph(backend, path, ExportConfig())
    return path


def build(graph, tmp_path, **settings):
    return build_engine(graph, BuildConfig(**settings), out=tmp_path / "engines")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_build_engine_for_a_cpu_is_the_typed_graph(toy_graph, tmp_path, runtime, precision):
    built = build(toy_graph, tmp_path, runtime=runtime, precision=precision)
    assert built.path == tmp_path / "engines" / f"toy-{precision}-{runtime}-cpu.onnx"
    weights = {i.name: i.data_type for i in onnx.load(built.path).graph.initializer}
    halves = {name for name, kind in weights.items() if kind == TensorProto.FLOAT16}
    assert bool(halves) is (precision == "fp16")
    limit = 1e-4 if precision == "fp32" else 5e-3
    assert built.card.parity["max_abs_diff"] < limit
    assert ("largest_fp16" in built.card.parity) is (precision == "fp16")


@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
def test_build_engine_never_overwrites_its_graph(toy_graph, tmp_path, link):
    graph = tmp_path / "engines" / "toy-fp32-onnxruntime-cpu.onnx"
    graph.parent.mkdir()
    if link:
        source = tmp_path / "toy.onnx"
        source.write_bytes(toy_graph.read_bytes())
        getattr(graph, link)(source)
    else:
        source = graph
        source.write_bytes(toy_graph.read_bytes())
    with fails(ConfigError, "output/is-input"):
        build(source, tmp_path, runtime="onnxruntime", precision="fp32")
    assert source.read_bytes() == graph.read_bytes() == toy_graph.read_bytes()
    assert [path.name for path in graph.parent.iterdir()] == [graph.name]


def test_build_engine_refuses_a_folder_that_cannot_be_written_before_the_build(
    toy_graph, tmp_path, monkeypatch
):
    (tmp_path / "engines").touch()
    monkeypatch.setattr("edgeseg.engine.build_engine.typed_graph", None)
    with fails(WriteError, "write/failed"):
        build(toy_graph, tmp_path, runtime="onnxruntime", precision="fp32")


def test_build_engine_writes_a_card(toy_graph, tmp_path):
    built = build(toy_graph, tmp_path, runtime="openvino", precision="fp16")
    card = read_card(tmp_path / "engines" / "toy-fp16-openvino-cpu.json", EngineCard)
    assert card == dataclasses.replace(built.card, built_on=card.built_on)
    with OnnxRuntimeBackend(toy_graph) as graph:
        assert card.graph == graph.card
    assert card.file == built.path.name
    assert (card.sha256, card.bytes) == (sha256(built.path), built.path.stat().st_size)
    assert (card.runtime, card.precision, card.target) == ("openvino", "fp16", "cpu")
    assert card.quantization == {} and card.settings == {}
    assert card.runtime_version[0].isdigit()
    assert card.source_sha256 == sha256(toy_graph)
    assert card.built_on == json.loads(json.dumps(dataclasses.asdict(this_machine())))
    assert card.inputs == {"frame": ["uint8", [1, 48, 40, 3]], "threshold": ["float32", [1]]}
    assert card.outputs == {
        "mask": ["uint8", [1, 48, 40]],
        "score": ["float32", [1]],
        "anomaly_map": ["float32", [1, 32, 32]],
    }
    assert check_engine(built.path) == card


def test_build_engine_gives_the_outputs_of_its_graph(toy_graph, tmp_path, said):
    built = build(toy_graph, tmp_path, runtime="openvino", precision="fp32")
    with OnnxRuntimeBackend(toy_graph) as graph, open_model(built.path) as ours:
        slots = [Slot.on_host(graph.card) for _ in range(2)]
        for backend, slot in zip((graph, ours), slots, strict=True):
            slot.frame[:] = np.random.default_rng(0).integers(0, 256, slot.frame.shape)
            backend.bind(slot)
            backend.run()
    np.testing.assert_allclose(slots[0].anomaly_map, slots[1].anomaly_map, atol=1e-5)
    compiled, opened = said[:2]  # then, once in a process, why not TensorRT
    assert compiled.startswith("the compiled graph is cached in ")
    assert opened.startswith(f"{built.path}: openvino ")


def test_engine_summary(toy_graph, tmp_path):
    built = build(toy_graph, tmp_path, runtime="onnxruntime", precision="fp16")
    first, accuracy, last = built.summary().splitlines()
    assert first.startswith(f"{built.path}: 0.0 MB, onnxruntime ")
    assert last.startswith("parity: map difference ") and "largest FP16 value" in last
    assert accuracy == "accuracy: " + NO_GATE
    document = json.loads(json.dumps(built.to_json()))
    assert document["engine"] == str(built.path)
    assert document["card"] == str(built.path.with_suffix(".json"))


def test_build_engine_ahead_of_time(toy_graph, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    built = build(toy_graph, tmp_path, runtime="tensorrt-rtx", compute_capability="8.9")
    assert built.path.name == "toy-fp16-rtx-sm89.engine"
    card = built.card
    assert (card.target, card.typing, card.precision) == ("sm89", "strong", "fp16")
    assert card.layers == {
        "convolutions": 2,
        "convolutions_fp16": 2,
        "norms": 0,
        "products": 2,
        "products_fp16": 2,
    }
    assert card.parity["line"].startswith(
        "the engine was not run on a GPU; its graph on the CPU: map difference "
    )
    assert card.parity["on"].startswith("onnxruntime ")
    counts = "convolutions 2, norms 0, products 2, convolutions_fp16 2, products_fp16 2"
    assert f"layers: {counts}" in built.summary()


def test_build_engine_of_an_fp32_plan_has_no_parity(toy_graph, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    target = {"compute_capability": "8.6"}
    built = build(toy_graph, tmp_path, runtime="tensorrt-rtx", precision="fp32", **target)
    assert built.path.name == "toy-fp32-rtx-sm86.engine"
    assert built.card.parity == {"line": "the engine was not run on a GPU"}


def test_build_engine_chooses_the_best_runtime(toy_graph, tmp_path, monkeypatch, said):
    here = dataclasses.replace(
        this_machine(), gpu=None, compute_capability=None, gpu_note="no NVIDIA GPU"
    )
    monkeypatch.setattr(engine, "this_machine", lambda device=0: here)
    built = build_engine(toy_graph, BuildConfig(), out=tmp_path)
    assert built.card.runtime == "openvino"
    assert built.path.name == "toy-fp16-openvino-cpu.onnx"
    assert said[0].startswith("runtime: openvino ")
    assert said[1] == "not used: tensorrt and tensorrt-rtx (no NVIDIA GPU)"
    assert said[2].startswith("openvino computes FP16 layers in FP32")


def test_build_engine_for_a_cpu_refuses_compute_capability(toy_graph, tmp_path):
    with fails(ConfigError, "config/compute-capability") as caught:
        build(toy_graph, tmp_path, runtime="openvino", compute_capability="8.6")
    assert caught.value.remedy == "--runtime tensorrt-rtx --compute-capability 8.6"


def test_build_engine_refuses_a_foreign_graph(tmp_path):
    path = tmp_path / "foreign.onnx"
    graph = onnx.helper.make_graph([], "foreign", [], [])
    onnx.save(onnx.helper.make_model(graph), path)
    with pytest.raises(ModelError, match=r"foreign\.onnx"):
        build(path, tmp_path, runtime="openvino")


def test_build_engine_fails_where_a_value_overflows_fp16(toy_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "largest", lambda *_: Peak("student.layer1", 70000.0))
    with fails(GateFailed, "gate/overflow") as caught:
        build(toy_graph, tmp_path, runtime="openvino", precision="fp16")
    assert "student.layer1 overflows FP16: 7e+04" in caught.value.problem
    assert list((tmp_path / "engines").iterdir()) == []


def test_build_engine_does_not_write_an_fp32_engine_that_differs(toy_graph, tmp_path, monkeypatch):
    class Shifted(OnnxRuntimeBackend):
        def run(self):
            super().run()
            self._slot.anomaly_map[:] += 0.01

    monkeypatch.setitem(engine.GRAPH_RUNTIMES, "openvino", Shifted)
    with fails(GateFailed, "gate/parity") as caught:
        build(toy_graph, tmp_path, runtime="openvino", precision="fp32")
    assert "map difference 1.0e-02" in caught.value.problem
    assert list((tmp_path / "engines").iterdir()) == []


@pytest.fixture
def red(tmp_path):
    """A graph with one block that Half destroys, and a data set that shows it."""
    path = tmp_path / "red.onnx"
    onnx.save(red_graph(fragile=["student.layer1.0"]), path)
    return path, write_plates(tmp_path / "plates")


def test_build_engine_records_the_blocks_that_the_gate_leaves(red, tmp_path):
    graph, data = red
    built = build(graph, tmp_path, runtime="onnxruntime", data=data)
    account = built.card.accuracy
    assert account["kept"] == ["student.layer1.0"]
    assert account["before"]["pixel_ap"] == pytest.approx(1.0)
    assert account["after"]["pixel_ap"] == pytest.approx(1.0)
    assert (account["frames"], account["stands_in_for"]) == (12, None)
    assert read_card(built.path.with_suffix(".json"), EngineCard).accuracy == account
    weights = {i.name: i.data_type for i in onnx.load(built.path).graph.initializer}
    assert weights["split"] == TensorProto.FLOAT
    assert weights["head.blocks.0/one/fp16"] == TensorProto.FLOAT16
    line = built.summary().splitlines()[1]
    assert line.startswith("accuracy: pixel AP 1.0000 -> 1.0000, image AUROC 1.0000 -> 1.0000, ")
    assert line.endswith("; left in fp32: student.layer1.0")
    assert json.loads(json.dumps(built.to_json()))["accuracy"]["kept"] == ["student.layer1.0"]


def test_build_engine_without_data_runs_no_gate(red, tmp_path):
    built = build(red[0], tmp_path, runtime="onnxruntime")
    assert built.card.parity["max_abs_diff"] > 0.9
    assert built.card.accuracy == {"line": NO_GATE}


def test_build_engine_writes_nothing_where_the_gate_fails(red, tmp_path, monkeypatch):
    graph, data = red
    monkeypatch.setattr(typed, "to_fp16", lambda model, keep: to_fp16(model))
    with fails(GateFailed, "gate/accuracy") as caught:
        build(graph, tmp_path, runtime="onnxruntime", data=data)
    assert "pixel AP 1.0000 -> 0.0469" in caught.value.problem
    assert not (tmp_path / "engines").exists()


def test_build_engine_is_not_judged_on_images_without_content(red, tmp_path):
    graph, data = red
    for path in data.rglob("*.png"):
        if "ground_truth" not in path.parts:
            write_png(path, np.zeros_like(read_image(path)))
    with fails(GateFailed, "gate/images-alike"):
        build(graph, tmp_path, runtime="onnxruntime", data=data)
    assert not (tmp_path / "engines").exists()


def test_build_engine_in_fp32_needs_no_gate(red, tmp_path):
    built = build(red[0], tmp_path, runtime="onnxruntime", precision="fp32", data=red[1])
    assert built.card.accuracy == {"line": EXACT}


def test_the_card_has_the_settings_of_the_next_build(toy_graph, tmp_path):
    settings = {"runtime": "onnxruntime", "precision": "fp32", "workspace_mib": 512}
    built = build(toy_graph, tmp_path, **settings, max_drop=0.02)
    assert built.card.settings == {"workspace_mib": 512, "max_drop": 0.02}
    card = read_card(built.path.with_suffix(".json"), EngineCard)
    words = "--precision fp32 --runtime onnxruntime --workspace-mib 512 --max-drop 0.02"
    assert rebuild(card, this_machine()) == f"edgeseg build-engine {card.graph.name} {words}"
