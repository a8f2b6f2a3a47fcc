"""The six metrics compared with scikit-learn, their definitions and known values."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.metrics import average_precision_score, roc_auc_score

from edgeseg.errors import DataError
from edgeseg.evaluation.metrics import Scores, score_maps
from tests.kit.errors import fails

EXACT = {"abs": 1e-9}


def example(seed):
    """Eight small maps with many ties; one defect is connected by its corners only."""
    rng = np.random.RandomState(seed)  # a frozen sequence, unlike that of default_rng
    masks = np.zeros((8, 32, 32), bool)
    for mask in masks[3:]:
        for _ in range(3):
            top, left = rng.randint(0, 26, 2)
            height, width = rng.randint(1, 7, 2)
            mask[top : top + height, left : left + width] = True
    masks[3, :4, :4] = np.eye(4)
    maps = rng.random_sample(masks.shape) + masks * rng.random_sample((8, 1, 1))
    return np.round(maps / 2, 2).astype(np.float32), masks


def overlap_by_definition(maps, masks, limit=0.3):
    """AUPRO as in the papers, threshold by threshold."""
    regions = []
    for values, mask in zip(maps, masks, strict=True):
        numbers, count = label(mask, np.ones((3, 3)))
        regions += [values[numbers == number] for number in range(1, count + 1)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        rates.append((maps[~masks] >= threshold).mean())
        overlaps.append(np.mean([(region >= threshold).mean() for region in regions]))
    last = np.interp(limit, rates, overlaps)
    kept = [(x, y) for x, y in zip(rates, overlaps, strict=True) if x < limit] + [(limit, last)]
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(kept)) / limit


# Computed with the steps of the released DeSTSeg code, in FP32.
@pytest.mark.parametrize(
    "seed, iap, iap90",
    [
        (1, 0.49887233573411194, 0.06794141232967377),
        (2, 0.7454607199877501, 0.03517463430762291),
        (3, 0.8007602971047163, 0.1602373868227005),
    ],
)
def test_score_maps_agrees_with_the_references(seed, iap, iap90):
    maps, masks = example(seed)
    scores = score_maps(maps, masks, top=10)
    best = np.sort(maps.reshape(8, -1), axis=1)[:, -10:].mean(axis=1)
    assert scores.image_auroc == pytest.approx(roc_auc_score(masks.any((1, 2)), best), **EXACT)
    assert scores.pixel_auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), **EXACT)
    ap = average_precision_score(masks.ravel(), maps.ravel())
    assert scores.pixel_ap == pytest.approx(ap, **EXACT)
    assert scores.iap == pytest.approx(iap, abs=1e-6)
    assert scores.iap90 == pytest.approx(iap90, abs=1e-6)
    assert scores.aupro == pytest.approx(overlap_by_definition(maps, masks), **EXACT)


def test_score_maps_of_a_perfect_map_is_one():
    _, masks = example(1)
    scores = score_maps(masks.astype(np.float32), masks, top=1)
    assert list(scores.to_json().values()) == pytest.approx([1.0] * 6)


def test_score_maps_of_a_constant_map():
    masks = np.zeros((4, 8, 8), bool)
    masks[2:, :2] = True  # an eighth of all pixels
    scores = score_maps(np.full((4, 8, 8), 0.5, np.float32), masks, top=5)
    assert scores == Scores(
        image_auroc=0.5,
        pixel_auroc=0.5,
        pixel_ap=0.125,
        iap=0.125,
        iap90=0.125,
        aupro=pytest.approx(0.15),  # the area under the diagonal up to 0.3, over 0.3
    )


def test_iap_finds_a_defect_when_more_than_half_of_it_is_anomalous():
    maps = np.zeros((1, 4, 8), np.float32)
    maps[0, 0, :3] = 9, 8, 1  # found at 8, its second pixel of three
    maps[0, 3, :2] = 7, 2  # found at 2: one pixel of two is not more than half
    masks = maps > 0
    maps[0, 3, 7] = 8.5
    scores = score_maps(maps, masks, top=1)
    # At 8 the precision is 2/3; at 2 it is 4/5, the better one at the higher recall.
    assert scores.iap == pytest.approx(4 / 5)
    assert scores.iap90 == pytest.approx(4 / 5)


def test_iap90_is_the_precision_where_nine_of_ten_defects_are_found():
    maps = np.zeros((1, 20, 20), np.float32)
    masks = np.zeros((1, 20, 20), bool)
    masks[0, ::2, 0] = True  # ten defects of one pixel
    maps[0, ::2, 0] = np.arange(10, 0, -1)
    maps[0, 0, 10:13] = 2.5  # three good pixels above the ninth defect
    maps[0, 1, 10:17] = 1.5  # seven more above the tenth
    scores = score_maps(maps, masks, top=1)
    assert scores.iap90 == pytest.approx(9 / 12)
    assert scores.iap == pytest.approx((8 + 9 / 12 + 10 / 20) / 10)


def test_iap_separates_defects_of_different_images():
    maps = np.zeros((2, 4, 4), np.float32)
    masks = np.zeros((2, 4, 4), bool)
    masks[:, 1, 1] = True
    maps[0, 1, 1] = 1.0  # found first; the other only when all pixels are anomalous
    scores = score_maps(maps, masks, top=1)
    assert scores.iap == pytest.approx((1 + 2 / 32) / 2)


def test_image_score_is_the_mean_of_the_highest_values():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 0, 0] = 0.9  # good, one bright pixel
    maps[1, :2] = 0.6  # defective, many less bright ones
    masks = maps == np.float32(0.6)
    assert score_maps(maps, masks, top=1).image_auroc == 0.0
    assert score_maps(maps, masks, top=2).image_auroc == 1.0


def test_undefined_scores_are_nan_and_null_in_json():
    maps = np.random.RandomState(0).random_sample((2, 16, 16)).astype(np.float32)
    nothing = score_maps(maps, np.zeros(maps.shape, bool))
    assert all(math.isnan(value) for value in vars(nothing).values())
    assert json.dumps(nothing.to_json()).count("null") == 6
    masks = np.zeros(maps.shape, bool)
    masks[:, 3:5] = True
    only_defective = score_maps(maps, masks)
    assert math.isnan(only_defective.image_auroc)
    assert not math.isnan(only_defective.aupro)


def test_score_maps_does_not_modify_its_arguments():
    maps, masks = example(2)
    before = maps.copy(), masks.copy()
    score_maps(maps, masks)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(masks, before[1])


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda maps, masks: (maps, masks[:, :16]), "metrics/invalid-arrays"),
        (lambda maps, masks: (maps[0], masks[0]), "metrics/invalid-arrays"),
        (lambda maps, masks: (maps, masks.astype(np.uint8)), "metrics/invalid-arrays"),
        (lambda maps, masks: (maps[:0], masks[:0]), "metrics/invalid-arrays"),
        (lambda maps, masks: (np.where(masks, np.nan, maps), masks), "metrics/not-finite"),
        (lambda maps, masks: (maps[:, :8, :8], masks[:, :8, :8]), "metrics/invalid-top"),
    ],
)
def test_score_maps_refuses_invalid_arrays(change, code):
    maps, masks = change(*example(1))
    with fails(DataError, code):
        score_maps(maps, masks)


@pytest.mark.parametrize("seed", [1, 2])
def test_pixels_outside_of_the_image_do_not_count(seed):
    """Whatever the map has there: the metrics are those of the images without a margin."""
    maps, masks = example(seed)
    expected = score_maps(maps, masks, top=10)
    around = ((0, 0), (3, 5), (0, 2))
    inside = np.pad(np.ones_like(masks), around)
    for value in (0.0, 0.5, 9.0):
        wide = np.pad(maps, around, constant_values=value)
        found = score_maps(wide, np.pad(masks, around), inside, top=10)
        assert found == expected


def test_an_image_with_fewer_pixels_than_top_is_scored_by_all_of_them():
    maps = np.array([[[0.0, 0.0, 9.0]], [[0.2, 0.4, 9.0]]], np.float32)
    masks = np.array([[[False] * 3], [[True, False, False]]])
    inside = np.array([[[True, True, False]]] * 2)
    assert score_maps(maps, masks, inside, top=3).image_auroc == 1.0
