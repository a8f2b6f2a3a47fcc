"""Before and after: known maps give known falls."""

import dataclasses
import json
import math

import numpy as np
import onnx
import pytest

from edgeseg.accuracy.cases import Cases, open_cases
from edgeseg.accuracy.gate import gate
from edgeseg.accuracy.measure import Accuracy, Allowance, Answers, measure
from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.metrics import UNDEFINED
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from tests.kit.red_graph import CARD, SIDE, red_graph, write_plates


@pytest.fixture
def cases():
    """One good case, and one with its four left pixels of the first row anomalous."""
    truth = np.zeros((2, SIDE, SIDE), np.bool_)
    truth[1, 0, :4] = True
    flags = np.ones(2, np.bool_)
    return Cases([], truth, np.array([True, False]), flags, "two cases")


def answers(defect, background=0.1):
    """The good map is the background; of the defective one, the four pixels are given."""
    maps = np.full((2, SIDE, SIDE), background, np.float32)
    maps[1, 0, :4] = defect
    return Answers(maps, maps.max(axis=(1, 2)))


def test_nothing_falls(cases):
    found = measure(answers(0.9), answers(0.9), cases, CARD)
    assert (found.drop, found.mask_iou, found.flipped_verdicts) == (0.0, 1.0, 0)
    assert found.line() == (
        "pixel AP 1.0000 -> 1.0000, image AUROC 1.0000 -> 1.0000, mask IoU 1.0000, "
        "0 flipped verdicts over 2 frames"
    )


def test_a_faint_defect_flips_its_verdict_and_loses_its_mask(cases):
    found = measure(answers(0.9), answers(0.4), cases, CARD)
    assert (found.drop, found.mask_iou, found.flipped_verdicts) == (0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("flips", "frames", "passes"), [(1, 2, True), (2, 2, False), (3, 300, True), (4, 300, False)]
)
def test_one_verdict_or_a_share_of_them_may_flip(flips, frames, passes):
    same = dataclasses.replace(UNDEFINED, image_auroc=0.5)
    found = Accuracy(
        before=same,
        after=same,
        finite=True,
        mask_iou=1.0,
        flipped_verdicts=flips,
        frames=frames,
    )
    assert Allowance(drop=0.0, flips=0.01).covers(found) is passes
    assert Allowance(drop=0.0, flips=1.0).covers(found)
    assert not Allowance(drop=-0.1, flips=1.0).covers(found)


def test_a_lost_defect_falls(cases):
    found = measure(answers(0.9), answers(0.1), cases, CARD)
    assert found.after.image_auroc == 0.5
    assert found.after.pixel_ap == pytest.approx(4 / (2 * SIDE * SIDE))
    assert found.drop == pytest.approx(1 - 4 / (2 * SIDE * SIDE))


def test_a_metric_that_rises_is_no_fall(cases):
    assert measure(answers(0.1), answers(0.9), cases, CARD).drop == pytest.approx(-0.5)


def test_without_a_mask_the_verdicts_decide_alone(cases):
    unknown = Cases([], cases.truth, cases.good, cases.good, "no masks")
    found = measure(answers(0.9), answers(0.1), unknown, CARD)
    assert math.isnan(found.before.pixel_ap)
    assert found.drop == 0.5
    assert found.line().startswith("image AUROC 1.0000 -> 0.5000, mask IoU 0.0000")


def test_no_number_is_no_accuracy(cases):
    found = measure(answers(0.9), answers(math.nan), cases, CARD)
    assert found.drop == math.inf
    assert found.line() == "NaN or infinity within 2 frames"
    assert json.loads(json.dumps(found.to_json()))["after"]["pixel_ap"] is None


def test_the_distance_of_a_value_that_is_no_number_is_one():
    assert answers(0.9).distance(answers(0.4)) == pytest.approx(0.5 * 4 / (2 * SIDE * SIDE))
    assert answers(0.9).distance(answers(math.nan)) == pytest.approx(4 / (2 * SIDE * SIDE))


def test_the_metrics_are_those_of_evaluate(tmp_path):
    root = write_plates(tmp_path / "plates", good=5, bad=5)
    for path in sorted((root / "test/dent").iterdir())[:2]:
        path.write_bytes((root / "test/good/00.png").read_bytes())  # two defects that do not show
    source = red_graph()
    onnx.save(source, tmp_path / "red.onnx")
    with OnnxRuntimeBackend(tmp_path / "red.onnx", threads=1) as backend:
        expected = evaluate(backend, open_dataset(root)).overall.scores
    passed = gate(
        source,
        lambda keep: source,
        (),
        open_cases(root, CARD, 400),
        card=CARD,
        open_graph=OnnxRuntimeBackend,
        allowed=Allowance(0.0, 1.0),
        higher="fp32",
    )
    assert 0.5 < expected.image_auroc < 1.0
    assert passed.accuracy.before == passed.accuracy.after == expected
