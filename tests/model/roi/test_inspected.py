"""ROIs in the graph: map and mask are 0 outside, and the score is that of the inside."""

import dataclasses

import numpy as np
import pytest

from edgeseg.config import BuildConfig, ExportConfig
from edgeseg.errors import DataError
from edgeseg.exporter.export import export_graph
from edgeseg.graph.files import read_graph
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.model.fused import Fused
from edgeseg.runtime.base import Slot
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.runtime.pytorch import PyTorchBackend
from tests.kit.deploy import TOY_SIDE, Toy, toy_backend
from tests.kit.errors import fails
from tests.kit.plans import plan_of
from tests.kit.rois import make_roi

FRAME = (48, 40)
ROI = make_roi(FRAME, ignored=[(10, 10, 16, 16)], left=(0, 0, 20, 48), low=(20, 30, 40, 48))


def backend_of(roi, *, frame_size=FRAME, aspect="stretch", context=0.0, top=10):
    """A toy detector that inspects ROIs."""
    plain = toy_backend(frame_size=frame_size)
    module = Fused(
        Toy(),
        network_size=(TOY_SIDE, TOY_SIDE),
        frame_size=frame_size,
        frame_format="bgr",
        aspect=aspect,
        top=top,
        context=context,
        roi=roi,
    )
    card = dataclasses.replace(plain.card, roi=roi, aspect=aspect, context=context)
    return PyTorchBackend(module, card)


def outputs(backend, frame, threshold=0.0):
    slot = Slot.on_host(backend.card)
    slot.threshold[:] = threshold
    slot.frame[0] = frame
    backend.bind(slot)
    backend.run()
    return slot


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)


@pytest.mark.parametrize("context", [0.0, 3.0])
def test_map_and_mask_are_zero_outside_and_unchanged_inside(frame, context):
    whole, part = (outputs(backend_of(roi, context=context), frame) for roi in (None, ROI))
    on_map, on_frame = ROI.inside((TOY_SIDE, TOY_SIDE)), ROI.inside(FRAME)
    assert not part.anomaly_map[0][~on_map].any()
    if not context:
        np.testing.assert_array_equal(part.anomaly_map[0][on_map], whole.anomaly_map[0][on_map])
    np.testing.assert_array_equal(part.mask[0] > 0, on_frame, "the threshold is below each value")
    best = np.sort(part.anomaly_map[0][on_map])[-10:].mean()
    assert part.score[0] == pytest.approx(best, rel=1e-6)


def test_a_mask_reaches_the_border_and_what_is_outside_does_not_reach_in(frame):
    """At a threshold just below the lowest value inside, with higher values outside."""
    spoiled = frame.copy()
    spoiled[:, 20:] = 255
    roi = make_roi(FRAME, left=(0, 0, 18, 48))
    slot = outputs(backend_of(roi), spoiled)
    inside = slot.anomaly_map[0][roi.inside((TOY_SIDE, TOY_SIDE))]
    low = outputs(backend_of(roi), spoiled, inside.min() - 1e-4)
    np.testing.assert_array_equal(low.mask[0] > 0, roi.inside(FRAME))
    assert not outputs(backend_of(roi), spoiled, inside.max()).mask.any()


def test_a_score_averages_no_more_values_than_are_inside(frame):
    dot = make_roi(FRAME, dot=(10, 12, 13, 15))
    slot = outputs(backend_of(dot, top=100), frame)
    inside = dot.inside((TOY_SIDE, TOY_SIDE))
    assert 0 < inside.sum() < 10
    assert slot.score[0] == pytest.approx(slot.anomaly_map[0][inside].mean(), rel=1e-6)


def test_a_defect_outside_does_not_change_the_score(frame):
    backend = backend_of(make_roi(FRAME, left=(0, 0, 16, 48)))
    before = outputs(backend, frame).score[0]
    spoiled = frame.copy()
    spoiled[:, 30:] = 255 - spoiled[:, 30:]
    assert outputs(backend, spoiled).score[0] == pytest.approx(before, rel=1e-5)
    spoiled[:, :10] = 255 - spoiled[:, :10]
    assert outputs(backend, spoiled).score[0] != pytest.approx(before, rel=1e-5)


def test_a_letterboxed_picture_is_inspected_where_it_is():
    """A picture of 20 x 80 in frames of 48 x 40, in a network of 32 x 32."""
    roi = make_roi((20, 80), right=(40, 0, 80, 20))
    backend = backend_of(roi, aspect="keep")
    slot = outputs(backend, np.full((*FRAME, 3), 90, np.uint8))
    ys, xs = np.nonzero(slot.mask[0])
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (19, 28, 20, 39)
    assert backend.card.picture_place == (19, 0, 10, 40)


def test_a_roi_without_a_pixel_of_the_map_is_refused():
    with fails(DataError, "data/roi-empty"):
        backend_of(make_roi((480, 400), dot=(1, 1, 3, 3)))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_exported_graph_inspects_the_same(frame, tmp_path, runtime):
    path = tmp_path / "toy.onnx"
    with backend_of(ROI) as backend:
        export_graph(backend, path, ExportConfig())
        expected = outputs(backend, frame)
    assert read_onnx_card(path).roi == ROI
    with open_model(path, runtime=runtime) as graph:
        found = outputs(graph, frame)
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-5)
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-5)


def test_tensorrt_rtx_builds_it(tmp_path):
    pytest.importorskip("tensorrt_rtx")
    with backend_of(ROI) as backend:
        export_graph(backend, tmp_path / "toy.onnx", ExportConfig())
    model, _ = read_graph(tmp_path / "toy.onnx")
    config = BuildConfig(precision="fp16", runtime="tensorrt-rtx", compute_capability="8.6")
    assert plan_of("tensorrt-rtx", model, config, this_machine()).data
