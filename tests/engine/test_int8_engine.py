"""build_engine in INT8: the calibration file, the card, and the engine that runs."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from edgeseg.cards import EngineCard, read_card
from edgeseg.config import BuildConfig
from edgeseg.data.images import write_png
from edgeseg.engine.build_engine import build_engine
from edgeseg.errors import GateFailed, ModelError
from edgeseg.evaluation.compare import Limits
from edgeseg.files import sha256
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.loading import open_model
from edgeseg.quantize.calibration_file import Range, Ranges, ranges_path, write_ranges
from edgeseg.quantize.placement import measured, place
from edgeseg.quantize.ranges import watch
from edgeseg.runtime.base import Slot
from tests.kit.errors import fails


@pytest.fixture(scope="session")
def ranges(exported):
    """The largest magnitudes on three frames of noise."""
    model, card = read_graph(exported.graph)
    tensors = list(measured(Graph(model)))
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, card.frame_shape, np.uint8) for _ in range(3)]
    peaks = np.max(
        [[np.abs(v).max() for v in values] for values in watch(model, card, tensors, frames)],
        axis=0,
    )
    return Ranges(
        graph=exported.graph.name,
        graph_sha256=sha256(exported.graph),
        tensors={t: Range(float(p)) for t, p in zip(tensors, peaks, strict=True)},
    )


@pytest.fixture
def folder(ranges, tmp_path, monkeypatch):
    """A working folder with calibration/screws.ranges.json."""
    monkeypatch.chdir(tmp_path)
    write_ranges(ranges_path("screws"), ranges)
    return tmp_path


def build(graph, **settings):
    return build_engine(graph, BuildConfig(precision="int8", **settings))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_build_engine_in_int8_for_a_cpu(exported, folder, runtime):
    built = build(exported.graph, runtime=runtime)
    assert built.path.name == f"screws-int8-{runtime}-cpu.onnx"
    model = onnx.load(built.path)
    kinds = [n.op_type for n in model.graph.node]
    card = read_card(built.path.with_suffix(".json"), EngineCard)
    found = card.quantization
    path = folder / "calibration" / "screws.ranges.json"
    assert (found["ranges"], found["ranges_sha256"]) == (path.name, sha256(path))
    assert kinds.count("QuantizeLinear") == found["activations"]
    assert found["similarity"] == "equalized"
    assert found["convolutions"] == 68 and len(found["left"]) == 2
    assert 1e-6 < card.parity["max_abs_diff"] < 0.05
    assert "largest_fp16" not in card.parity
    with open_model(built.path) as engine:
        slot = Slot.on_host(engine.card)
        engine.bind(slot)
        engine.run()
        assert np.isfinite(slot.anomaly_map).all()
    assert "int8: 68 convolutions and " in built.summary()
    assert json.loads(json.dumps(built.to_json()))["quantization"] == found


def test_build_engine_in_int8_ahead_of_time(exported, folder):
    pytest.importorskip("tensorrt_rtx")
    built = build(exported.graph, runtime="tensorrt-rtx")
    assert built.path.name == "screws-int8-rtx-sm86.engine"
    assert built.card.quantization["similarity"] == "kept"
    assert built.card.layers["convolutions_int8"] == 60
    assert built.card.parity["line"].startswith("the engine was not run on a GPU; its graph on")
    assert built.card.parity["largest_fp16"] > 0
    assert built.card.quantization["activations"] == 59


def test_build_engine_in_int8_with_another_calibration_file_and_similarity_kept(
    exported, ranges, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_ranges(tmp_path / "mine.json", ranges)
    settings = {"ranges": tmp_path / "mine.json", "similarity": "kept"}
    found = build(exported.graph, runtime="onnxruntime", **settings).card.quantization
    assert (found["ranges"], found["similarity"]) == ("mine.json", "kept")
    assert found["convolutions"] == 62
    assert found["left"] == place(Graph(read_graph(exported.graph)[0]), processor="cpu").left


def test_build_engine_in_int8_without_a_calibration_file(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"screws\.ranges\.json") as caught:
        build(exported.graph, runtime="openvino")
    assert caught.value.remedy == f"edgeseg calibrate {exported.graph} DATA"
    assert not (tmp_path / "engines").exists()


def test_build_engine_in_int8_refuses_stale_ranges(exported, ranges, folder):
    write_ranges(ranges_path("screws"), dataclasses.replace(ranges, graph_sha256="0" * 64))
    with pytest.raises(ModelError) as caught:
        build(exported.graph, runtime="openvino")
    assert caught.value.remedy == f"edgeseg calibrate {exported.graph} DATA"


@pytest.fixture
def photos(tmp_path):
    """Four pictures of noise, and their hashes as a calibration file has them."""
    rng = np.random.default_rng(1)
    paths = [tmp_path / "photos" / f"{number}.png" for number in range(4)]
    for path in paths:
        write_png(path, rng.integers(0, 256, (48, 80, 3), np.uint8))
    return {"data": str(tmp_path / "photos"), "frames": {p.name: sha256(p)[:16] for p in paths}}


def test_an_engine_that_disagrees_on_photos_of_the_calibration_is_not_written(
    exported, ranges, folder, photos, monkeypatch
):
    write_ranges(ranges_path("screws"), dataclasses.replace(ranges, **photos))
    judged = []

    def strict(config, frames, *, int8):
        judged.append((frames, int8))
        return Limits(max_map_diff=1e-9)

    monkeypatch.setattr("edgeseg.engine.build_engine.limits_of", strict)
    with fails(GateFailed, "gate/parity") as caught:
        build(exported.graph, runtime="onnxruntime")
    assert caught.value.exit_code == 3 and "the maps differ by" in caught.value.problem
    assert judged == [(4, True)]  # the photos, without black, white and noise
    assert not list(folder.glob("engines/*"))


def test_an_engine_without_photos_to_judge_it_is_a_warning(exported, folder, said):
    build(exported.graph, runtime="onnxruntime")
    assert any("not judged on photos" in line for line in said)
