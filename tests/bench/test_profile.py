"""profile: modules, shares, files, and the errors of models that cannot be profiled."""

import json
import re
from dataclasses import replace

import onnx
import pytest

from edgeseg.bench.profile import profile
from edgeseg.bench.profile_report import LayerRow, by_module
from edgeseg.config import ProfileConfig
from edgeseg.data.frames import load_frames
from edgeseg.errors import ConfigError, ModelError
from edgeseg.graph.files import graph_file
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import module_macs
from edgeseg.runtime.layer_times import LayerTime, LayerTimes
from tests.bench.conftest import CARD, SIDE
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend


def row(module, ms, *, gmac=0.0, known=True, name="layer", kind="Conv"):
    return LayerRow(label=name, name=name, kind=kind, module=module, ms=ms, gmac=gmac, known=known)


class Timed(RedBackend):
    """Fixed layer times: 3 ms of teacher, 5 of student, 1 of head, 1 without a node."""

    layers = (
        LayerTime("teacher.layer1.0.conv1 + relu_5", "fused", 3e-3),
        LayerTime("student.layer1.0.conv1", "conv", 5e-3),
        LayerTime("head.aspp.4.conv1", "conv", 1e-3),
        LayerTime("Reorder_7", "Reorder", 1e-3),
    )

    def layer_times(self, prepare, *, warmup, iterations):
        for i in range(warmup + iterations):
            prepare(i)
            self.run()
        return LayerTimes(self.layers, (0.02,) * iterations)


def run_profile(backend, path, tmp_path, **settings):
    config = ProfileConfig(
        **{"iterations": 3, "warmup": 1, "out": tmp_path / "profiles"} | settings
    )
    return profile(backend, path, load_frames(backend.card, None), config)


def test_by_module_adds_up_to_one():
    rows = [row("teacher", 1.0), row("head", 2.0), row("teacher", 5.0)]
    teacher, head, rest = by_module(rows, {"teacher": 1.0, "head": 3.0, "rest": 0.0})
    assert (teacher.layers, teacher.ms, teacher.time_share) == (2, 6.0, 0.75)
    assert (head.time_share, head.gmac_share) == (0.25, 0.75)
    assert (rest.layers, rest.ms, rest.time_share, rest.gmac_share) == (0, 0.0, 0.0, 0.0)


def test_planned_layers_are_placed_and_written(red, tmp_path):
    backend = Timed(CARD)
    report = run_profile(backend, red, tmp_path)
    shares = {row.module: row.time_share for row in report.modules}
    assert shares == pytest.approx(
        {"teacher": 0.3, "student": 0.5, "similarity": 0.0, "head": 0.1, "rest": 0.1}
    )
    assert backend.runs == 3 + 4 + 3, (
        "half of the plain iterations before, half after, with warm-up"
    )
    document = json.loads((tmp_path / "profiles" / "plates-fake.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    assert document["layers"][1] == {
        "label": "student.layer1.0.conv1",
        "name": "student.layer1.0.conv1",
        "kind": "conv",
        "module": "student",
        "ms": pytest.approx(5.0),
        "gmac": pytest.approx(SIDE * SIDE / 1e9),
        "known": True,
    }
    assert document["trace"] == str(tmp_path / "profiles" / "plates-fake.trace.json")


def test_the_summary_names_the_conditions(red, tmp_path):
    report = run_profile(Timed(CARD), red, tmp_path, threads=2, slowest=2)
    report = replace(report, latency=replace(report.latency, p50_ms=16.0), halves=(16.0, 16.0))
    text = report.summary()
    for part in (
        "n 3: 1.25 times the latency",
        "4, means of 3 iterations; sum 10.00 ms of 20.00",
        "threads     2",
        report.machine,
        "1.00 ms (10.0%) in 1 layers of the runtime without a node in the graph: Reorder",
        "slowest 2 layers",
        "teacher.layer1.0.conv1  (teacher.layer1.0.conv1 + relu_5)",
    ):
        assert part in text, part
    assert re.search(r"student +1 +5\.00 +50\.0%.*  #{15}\n", text)
    assert "head.aspp.4" not in text, "the third slowest"
    assert text.index("student.layer1.0.conv1") < text.index("teacher.layer1.0.conv1")
    assert "UNSTEADY" not in text
    unsteady = replace(report, halves=(16.0, 8.0))
    assert "16.00 ms before, 8.00 ms after" in unsteady.summary()
    assert not unsteady.to_json()["steady"] and report.to_json()["steady"]


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_a_real_runtime(kind, red, tmp_path):
    pytest.importorskip(kind)
    from edgeseg.loading import open_model

    with open_model(red, runtime=kind, threads=1) as backend:
        report = run_profile(backend, red, tmp_path)
    work = module_macs(Graph(onnx.load(red)))
    assert sum(row.time_share for row in report.modules) == pytest.approx(1.0)
    assert sum(row.gmac_share for row in report.modules) == pytest.approx(1.0)
    assert {row.module: row.gmac for row in report.modules} == {k: v / 1e9 for k, v in work.items()}
    layers = {row.module: row.layers for row in report.modules}
    assert layers["teacher"] >= 1 and layers["student"] >= 1 and layers["head"] >= 1
    assert sum(layer.gmac for layer in report.layers) == pytest.approx(sum(work.values()) / 1e9)
    assert report.engine.startswith(kind) and report.slowdown > 0
    assert report.trace.is_file() and report.trace.name == f"plates-{kind}.trace.json"


def test_a_runtime_without_layer_times_is_refused(tmp_path):
    with fails(ConfigError, "config/no-layer-times") as caught:
        run_profile(RedBackend(), tmp_path / "runs" / "red", tmp_path)
    assert caught.value.remedy.endswith("runs/red/red.onnx")


def test_a_plan_needs_its_graph(red, tmp_path):
    plan = tmp_path / "plates-fp16-rtx-sm86.engine"
    with pytest.raises(ModelError) as caught:
        run_profile(Timed(CARD), plan, tmp_path)
    assert "--graph" in caught.value.remedy
    assert run_profile(Timed(CARD), plan, tmp_path, graph=red).modules[0].layers == 1
    assert graph_file(red) == red


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
    timed = ["layer times", "frame"]
    assert seen == ["frame", "run", *timed, "frame", "run"]
