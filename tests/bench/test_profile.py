"""The profile of a model: parts, shares, files, and what is said when it cannot be had."""

import json
from dataclasses import replace

import cv2
import onnx
import pytest

from edgeseg.bench.frames import load_frames
from edgeseg.bench.profile import profile
from edgeseg.bench.profile_report import LayerRow, by_part
from edgeseg.config import ProfileConfig
from edgeseg.errors import ConfigError, ModelError
from edgeseg.graph.files import graph_file
from edgeseg.graph.modules import Network
from edgeseg.runtime.layer_times import LayerTime, LayerTimes
from tests.kit.fakes import RedBackend
from tests.kit.red_graph import CARD as SMALL
from tests.kit.red_graph import red_graph

SIDE = 256  # each layer takes microseconds, which is what OpenVINO counts
CARD = replace(SMALL, frame_shape=(1, SIDE, SIDE, 3), image_size=SIDE)


def row(part, ms, *, gmac=0.0, known=True, name="layer", kind="Conv"):
    return LayerRow(label=name, name=name, kind=kind, part=part, ms=ms, gmac=gmac, known=known)


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "plates.onnx"
    onnx.save(red_graph(card=CARD), path)
    return path


class Timed(RedBackend):
    """A backend of planned layers: 3 ms of teacher, 5 of student, 1 of head, 1 of its own."""

    layers = (
        LayerTime("teacher.layer1.0.conv1 + relu_5", "fused", 3e-3),
        LayerTime("student.layer1.0.conv1", "conv", 5e-3),
        LayerTime("head.aspp.4.conv1", "conv", 1e-3),
        LayerTime("Reorder_7", "Reorder", 1e-3),
    )

    def layer_times(self, prepare, *, warmup, runs):
        for i in range(warmup + runs):
            prepare(i)
            self.run()
        return LayerTimes(self.layers, (0.02,) * runs)


def run_profile(backend, path, tmp_path, **settings):
    config = ProfileConfig(
        **{"iterations": 3, "warmup": 1, "out": tmp_path / "profiles"} | settings
    )
    return profile(backend, path, load_frames(backend.card, None), config)


def test_parts_add_up_to_one():
    rows = [row("teacher", 1.0), row("head", 2.0), row("teacher", 5.0)]
    teacher, head, rest = by_part(rows, {"teacher": 1.0, "head": 3.0, "rest": 0.0})
    assert (teacher.layers, teacher.ms, teacher.time_share) == (2, 6.0, 0.75)
    assert (head.time_share, head.gmac_share) == (0.25, 0.75)
    assert (rest.layers, rest.ms, rest.time_share, rest.gmac_share) == (0, 0.0, 0.0, 0.0)


def test_planned_layers_are_placed_and_written(red, tmp_path):
    backend = Timed(CARD)
    report = run_profile(backend, red, tmp_path)
    shares = {part.part: part.time_share for part in report.parts}
    assert shares == pytest.approx(
        {"teacher": 0.3, "student": 0.5, "product": 0.0, "head": 0.1, "rest": 0.1}
    )
    assert backend.runs == 3 + 4 + 3, "half of the plain runs before, half behind, with warm-up"
    document = json.loads((tmp_path / "profiles" / "plates-fake.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    assert document["layers"][1] == {
        "label": "student.layer1.0.conv1",
        "name": "student.layer1.0.conv1",
        "kind": "conv",
        "part": "student",
        "ms": pytest.approx(5.0),
        "gmac": pytest.approx(SIDE * SIDE / 1e9),
        "known": True,
    }
    picture = cv2.imread(document["picture"])
    assert picture is not None and picture.shape[1] == 1800


def test_the_text_says_what_the_figures_hold_for(red, tmp_path):
    report = run_profile(Timed(CARD), red, tmp_path, threads=2, slowest=2)
    report = replace(report, latency=replace(report.latency, p50_ms=16.0), halves=(16.0, 16.0))
    text = report.summary()
    for part in (
        "n 3: 1.25 times as long",
        "4, each with its mean over these 3 runs; together 10.00 ms of 20.00",
        "threads     2",
        report.machine,
        "student          1      5.00   50.0%",
        "of rest, 1.00 ms (10.0%) in 1 layers of which no node of the graph is known: Reorder",
        "the slowest 2 layers",
        "teacher.layer1.0.conv1  (teacher.layer1.0.conv1 + relu_5)",
    ):
        assert part in text, part
    assert "head.aspp.4" not in text, "the third slowest"
    assert text.index("student.layer1.0.conv1") < text.index("teacher.layer1.0.conv1")
    assert "UNSTEADY" not in text
    unsteady = replace(report, halves=(16.0, 8.0))
    assert "took 16.00 ms (p50) before and 8.00 ms behind" in unsteady.summary()
    assert not unsteady.to_json()["steady"] and report.to_json()["steady"]


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_a_real_runtime(kind, red, tmp_path):
    pytest.importorskip(kind)
    from edgeseg.loading import open_model

    with open_model(red, runtime=kind, threads=1) as backend:
        report = run_profile(backend, red, tmp_path)
    work = Network(onnx.load(red)).part_macs()
    assert sum(part.time_share for part in report.parts) == pytest.approx(1.0)
    assert sum(part.gmac_share for part in report.parts) == pytest.approx(1.0)
    assert {p.part: p.gmac for p in report.parts} == {k: v / 1e9 for k, v in work.items()}
    layers = {part.part: part.layers for part in report.parts}
    assert layers["teacher"] >= 1 and layers["student"] >= 1 and layers["head"] >= 1
    assert sum(layer.gmac for layer in report.layers) == pytest.approx(sum(work.values()) / 1e9)
    assert report.engine.startswith(kind) and report.slowdown > 0
    assert report.picture.is_file() and report.picture.stem == f"plates-{kind}"


def test_a_runtime_without_layers_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ConfigError) as caught:
        run_profile(RedBackend(), tmp_path / "runs" / "red", tmp_path)
    assert "gives no times of single layers" in caught.value.problem
    assert caught.value.remedy.endswith("runs/red/red.onnx")


def test_a_plan_needs_its_graph(red, tmp_path):
    plan = tmp_path / "plates-fp16-rtx-sm86.engine"
    with pytest.raises(ModelError) as caught:
        run_profile(Timed(CARD), plan, tmp_path)
    assert "--graph" in caught.value.remedy
    assert run_profile(Timed(CARD), plan, tmp_path, graph=red).parts[0].layers == 1
    assert graph_file(red) == red


@pytest.mark.parametrize(
    "setting",
    [{"iterations": 0}, {"iterations": 1001}, {"warmup": -1}, {"slowest": -1}, {"threads": 0}],
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ConfigError):
        ProfileConfig(**setting)


def test_the_marks_enclose_every_plain_run(red, tmp_path, monkeypatch):
    seen = []

    class Mark:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(self.name)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr("edgeseg.bench.profile.marker", lambda *, on: Mark)
    run_profile(Timed(CARD), red, tmp_path, iterations=1, warmup=0, nvtx=True)
    timed = ["runs with their layers timed", "frame"]
    assert seen == ["frame", "run", *timed, "frame", "run"]
