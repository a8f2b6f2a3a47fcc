"""Times of layers: their statistics, and what ONNX Runtime and OpenVINO report."""

import tempfile
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgeseg.errors import MissingExtra, ModelError
from edgeseg.runtime.fake import FakeBackend
from edgeseg.runtime.layer_times import (
    Layered,
    LayerTime,
    average,
    time_each,
    without,
)
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.openvino import OpenVinoBackend
from tests.kit.errors import fails
from tests.kit.red_graph import CARD, red_graph


def run_of(*seconds, names="abc"):
    return [LayerTime(n, "Conv", s) for n, s in zip(names, seconds, strict=False)]


def test_each_layer_has_its_own_mean():
    runs = [run_of(1, 20, 300), run_of(3, 10, 200), run_of(2, 90, 100)]
    assert [(layer.name, layer.seconds) for layer in average(runs)] == [
        ("a", 2),
        ("b", 40),
        ("c", 200),
    ]


@pytest.mark.parametrize("other", [run_of(1, 2), run_of(1, 2, 3, names="acb")])
def test_runs_of_different_layers_are_refused(other):
    with fails(ModelError, "model/layers-differ"):
        average([run_of(1, 2, 3), other])


@pytest.mark.parametrize("runs", [[], [[]]])
def test_no_times_are_no_profile(runs):
    with fails(ModelError, "model/no-layer-times"):
        average(runs)


def test_the_warm_up_is_taken_out_of_an_average():
    # Two runs of 9 s and 1 s, then three of 2, 3 and 4 s: averages 5 s and 19 / 5 s.
    (layer,) = without(run_of(5.0), 2, run_of(19 / 5), 5)
    assert layer.seconds == pytest.approx(3.0)
    (layer,) = without([], 0, run_of(4.0), 3)
    assert layer.seconds == 4.0
    (layer,) = without(run_of(5.0), 2, run_of(1.9), 5)
    assert layer.seconds == 0.0, "rounding must not make time run backwards"


def test_only_the_run_is_timed(monkeypatch):
    now = [0]
    monkeypatch.setattr("time.perf_counter_ns", lambda: now[0])
    prepared = []

    def passes(ms):
        now[0] += round(ms * 1e6)

    def prepare(i):
        prepared.append(i)
        passes(100)

    durations = iter([5, 7])
    assert time_each(lambda: passes(next(durations)), prepare, 2) == pytest.approx((0.005, 0.007))
    assert prepared == [0, 1]


@pytest.fixture(scope="module")
def large_red(tmp_path_factory):
    """The red graph at 256 x 256: each layer takes microseconds, which is what OpenVINO counts."""
    path = tmp_path_factory.mktemp("graphs") / "red.onnx"
    onnx.save(
        red_graph(card=replace(CARD, frame_shape=(1, 256, 256, 3), network_size=(256, 256))), path
    )
    return path


@pytest.mark.parametrize("kind", [OnnxRuntimeBackend, OpenVinoBackend])
def test_a_runtime_times_the_layers_of_the_graph(kind, large_red, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        backend = kind(large_red, threads=1)
    except MissingExtra as missing:
        pytest.skip(missing.problem)
    slot = backend.new_slot()
    backend.bind(slot)
    reds = []

    def prepare(i):
        reds.append(len(reds))
        slot.frame[..., 0] = reds[-1]

    times = backend.layer_times(prepare, warmup=2, iterations=3)
    assert isinstance(backend, Layered)
    assert len(reds) == 5 and len(times.seconds) == 3
    assert slot.score.tolist() == pytest.approx([4 / 255]), "the last prepared frame ran"
    kinds = {layer.kind for layer in times.layers}
    assert kinds & {"Conv", "Convolution"} and "Transpose" in kinds
    assert all(0 <= layer.seconds < max(times.seconds) for layer in times.layers)
    assert list(tmp_path.iterdir()) == [], "the trace is gone"
    slot.frame[..., 0] = 51
    backend.run()
    np.testing.assert_allclose(slot.score, 0.2, atol=1e-6)


def test_a_backend_without_the_method_is_not_layered(red_card):
    assert not isinstance(FakeBackend(red_card), Layered)
