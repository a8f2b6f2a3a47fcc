"""The frames of the gate: which are chosen, their ground truth, and comparisons on them."""

import dataclasses
import json
import math

import cv2
import numpy as np
import onnx
import pytest

from edgeseg.accuracy.cases import Cases, open_cases, spread
from edgeseg.accuracy.gate import Allowance, gate
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.errors import DataError
from edgeseg.evaluation.compare import Outputs
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from tests.kit.red_graph import CARD, SIDE, red_graph, write_plates


def test_labeled_images_with_the_truth_of_their_masks(tmp_path):
    cases = open_cases(write_plates(tmp_path / "plates", good=2, bad=3), CARD, 400)
    assert len(cases) == 5
    root = tmp_path / "plates"
    assert cases.origin == (f"5 labeled images of {root}: 2 good, 3 defective, 3 with a mask")
    assert cases.good.sum() == 2 and cases.judged.all()
    for read, truth, good in zip(cases.read, cases.truth, cases.good, strict=True):
        np.testing.assert_array_equal(read()[..., 0] == 250, truth)
        assert truth.sum() == (0 if good else 24)


def test_a_defect_without_a_mask_is_not_judged_by_its_pixels(tmp_path, said):
    cases = open_cases(write_plates(tmp_path / "plates", good=2, bad=3, masks=False), CARD, 400)
    np.testing.assert_array_equal(cases.judged, cases.good)
    assert cases.origin.endswith("2 good, 3 defective, 0 with a mask")
    assert len(said) == 1 and "mask" in said[0]


def test_a_large_set_is_thinned_evenly(tmp_path):
    cases = open_cases(write_plates(tmp_path / "plates", good=8, bad=4), CARD, 6)
    assert (len(cases), cases.good.sum()) == (6, 4)
    assert cases.origin.startswith("6 of 12 labeled images of ")


@pytest.mark.parametrize(
    ("good", "bad", "most", "expected"),
    [
        (8, 4, 6, (4, 2)),
        (99, 1, 4, (3, 1)),
        (1, 99, 4, (1, 3)),
        (2, 2, 4, (2, 2)),
        (1, 1, 2, (1, 1)),
    ],
)
def test_both_kinds_keep_their_share_and_at_least_one(good, bad, most, expected):
    flags = np.arange(good + bad) < good
    places = spread(flags, most)
    assert (flags[places].sum(), (~flags[places]).sum()) == expected
    assert list(places) == sorted(set(places))


def test_the_ends_of_a_set_are_among_the_chosen():
    places = spread(np.arange(20) < 10, 4)
    np.testing.assert_array_equal(places, [0, 9, 10, 19])


def test_good_images_get_anomalies_that_a_seed_repeats(tmp_path):
    root = write_parts(tmp_path / "parts", train=3, good=0, bad=0)
    cases = open_cases(root, CARD, 400)
    assert len(cases) == 6
    np.testing.assert_array_equal(cases.good, [True] * 3 + [False] * 3)
    assert cases.origin == f"3 good images of {root}, with and without a drawn anomaly"
    again = open_cases(root, CARD, 400)
    for clean, drawn, truth, other in zip(
        cases.read[:3], cases.read[3:], cases.truth[3:], again.read[3:], strict=True
    ):
        assert clean().shape == drawn().shape == (SIDE, SIDE, 3)
        changed = (clean() != drawn()).any(axis=2)
        assert changed.any() and not (changed & ~truth).any()  # nothing outside of the mask
        np.testing.assert_array_equal(drawn(), other())
    assert not cases.truth[:3].any()


def test_a_test_set_without_defects_is_not_labeled(tmp_path):
    root = write_plates(tmp_path / "plates", good=3, bad=0)
    assert "without a drawn anomaly" in open_cases(root, CARD, 400).origin


def test_a_folder_of_bad_parts_alone_is_refused(tmp_path):
    write_png(tmp_path / "bad/1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError):
        open_cases(tmp_path, CARD, 400)


def test_a_mask_of_another_size_is_refused(tmp_path):
    root = write_plates(tmp_path / "plates", good=1, bad=1)
    write_png(root / "ground_truth/dent/01_mask.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match="01_mask"):
        open_cases(root, CARD, 400)


@pytest.fixture
def pair():
    """One good case, and one with its four left pixels of the first row anomalous."""
    truth = np.zeros((2, SIDE, SIDE), np.bool_)
    truth[1, 0, :4] = True
    good = np.array([True, False])
    return Cases(
        read=[],
        truth=truth,
        boxes=np.array([[0, 0, SIDE, SIDE]] * 2),
        good=good,
        judged=np.ones(2, np.bool_),
        top=4,
        origin="two cases",
    )


def outputs(defect, background=0.1):
    """The good map is the background; the four pixels of the defective one are given."""
    maps = np.full((2, SIDE, SIDE), background, np.float32)
    maps[1, 0, :4] = defect
    return Outputs(maps, maps.max(axis=(1, 2)), maps > 0.5, 0.5, 0.7)


def test_compare_of_equal_outputs(pair):
    found = pair.compare(outputs(0.9), outputs(0.9))
    assert (found.drop, found.mask_iou, found.flipped_verdicts) == (0.0, 1.0, 0)
    assert found.line() == (
        "pixel AP 1.0000 -> 1.0000, image AUROC 1.0000 -> 1.0000, mask IoU 1.0000, "
        "0 of 2 verdicts flipped"
    )


def test_compare_of_a_faint_defect_finds_the_verdict_and_the_mask(pair):
    found = pair.compare(outputs(0.9), outputs(0.4))
    assert (found.drop, found.mask_iou, found.flipped_verdicts) == (0.0, 0.0, 1)


def test_compare_of_a_lost_defect_finds_the_drop(pair):
    found = pair.compare(outputs(0.9), outputs(0.1))
    assert found.after.image_auroc == 0.5
    assert found.after.pixel_ap == pytest.approx(4 / (2 * SIDE * SIDE))
    assert found.drop == pytest.approx(1 - 4 / (2 * SIDE * SIDE))
    assert pair.compare(outputs(0.1), outputs(0.9)).drop == pytest.approx(-0.5)


def test_compare_without_masks_has_the_image_auroc_alone(pair):
    unknown = dataclasses.replace(pair, judged=pair.good)
    found = unknown.compare(outputs(0.9), outputs(0.1))
    assert math.isnan(found.before.pixel_ap)
    assert found.drop == 0.5
    assert found.judged == ("image AUROC",)
    assert found.to_json()["judged"] == ["image AUROC"]
    assert found.line().startswith(
        "pixel AP not judged, image AUROC 1.0000 -> 0.5000, mask IoU 0.0000"
    )


def test_compare_of_one_kind_of_frames_judges_nothing_and_passes_no_gate(pair):
    good = dataclasses.replace(pair, read=[None, None]).subset(np.array([0]))
    one = outputs(0.9).subset(np.array([0]))
    found = good.compare(one, one)
    assert (found.judged, found.drop) == ((), math.inf)
    assert not Allowance(1.0, 1.0).covers(found)


def test_compare_of_nan_has_an_infinite_drop(pair):
    found = pair.compare(outputs(0.9), outputs(math.nan))
    assert found.drop == math.inf
    assert found.line() == "NaN or infinity within 2 frames"
    assert found.mean_abs_diff == pytest.approx(4 / (2 * SIDE * SIDE))
    assert json.loads(json.dumps(found.to_json()))["after"]["pixel_ap"] is None


def test_compare_has_the_metrics_of_evaluate(tmp_path):
    root = write_plates(tmp_path / "plates", good=5, bad=5)
    good = cv2.imread(str(root / "test/good/00.png"))
    for path in sorted((root / "test/dent").iterdir())[:2]:  # two defects that do not show
        cv2.imwrite(str(path), good, [cv2.IMWRITE_PNG_COMPRESSION, 0])  # another file: no copy
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
