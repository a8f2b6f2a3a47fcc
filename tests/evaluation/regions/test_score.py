"""Region scores: an image is anomalous exactly where its score is above the pixel threshold."""

import numpy as np
import pytest

from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.compare import Outputs, compare_outputs
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.regions.score import judges_alike, region_score, thresholds_of
from edgeseg.evaluation.threshold import fit_thresholds
from edgeseg.prediction import mask_of
from edgeseg.verdict.regions import find_regions
from edgeseg.verdict.rule import Rule
from tests.kit.cards import make_card
from tests.kit.red_backend import PlateBackend, write_image

REGION = Rule(by="region", min_area=20)
LARGE, SMALL = (slice(2, 8), slice(2, 8)), (slice(2, 5), slice(2, 5))


def hill():
    """A map that falls by 0.1 with each pixel from its center."""
    y, x = np.mgrid[:16, :16]
    return np.clip(0.9 - 0.1 * np.maximum(abs(y - 8), abs(x - 8)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("threshold", [0.05, 0.35, 0.65, 0.95])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(by="region"), 0.9),  # any pixel above the threshold
        (Rule(by="region", min_area=9), 0.8),  # three by three pixels
        (Rule(by="region", min_area=10), 0.7),
        (Rule(by="area", limit=25), 0.6),  # more than five by five
    ],
)
def test_the_score_is_the_threshold_from_which_on_the_regions_do_not_matter(
    rule, expected, threshold
):
    mask = mask_of(hill(), threshold, (16, 16))
    found = region_score(mask, hill(), threshold, rule, (1, 1))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_map_that_no_threshold_makes_anomalous_has_its_lowest_value():
    rule = Rule(by="region", min_peak=0.95)
    assert region_score(mask_of(hill(), 0.5, (16, 16)), hill(), 0.5, rule, (1, 1)) < 0.1001


def test_a_verdict_and_its_score_agree_at_the_present_threshold_also_for_counts():
    random = np.random.default_rng(0)
    rule = Rule(by="count", limit=2, min_area=2)
    for _ in range(20):
        anomaly_map = random.random((12, 12), np.float32)
        mask = mask_of(anomaly_map, 0.6, (24, 24))
        score = region_score(mask, anomaly_map, 0.6, rule, (1, 1))
        found = find_regions(mask, anomaly_map, rule)
        assert (score > 0.6) == rule.is_broken(found.most, found.area)


@pytest.fixture
def root(tmp_path):
    """Small red spots on good parts, large ones on defective ones, all at 200."""
    root = tmp_path / "plates"
    write_image(root / "train/good/0.png", 10)
    for place in range(4):
        write_image(root / f"test/good/{place}.png", 200 + place, SMALL)
        write_image(root / f"test/spot/{place}.png", 200 + place, LARGE)
    return root


def test_an_evaluation_judges_by_the_rule_and_measures_its_ranking(root):
    dataset = open_dataset(root)
    by_score = evaluate(PlateBackend(), dataset)
    assert (by_score.false_rejects, by_score.overall.missed) == (4, 0)
    assert by_score.overall.scores.image_auroc == pytest.approx(0.5)
    found = evaluate(PlateBackend(rule=REGION), dataset)
    assert (found.false_rejects, found.overall.missed) == (0, 0)
    assert found.overall.scores.image_auroc == 1
    assert REGION.words() in found.summary()
    document = found.to_json()
    assert document["thresholds"]["rule"] == REGION.words()
    assert document["rates"]["misses"]["count"] == 0
    assert {row.score <= 0.5 for row in found.images if row.good} == {True}


def test_a_stored_evaluation_holds_for_what_decides():
    card, other = make_card(rule=REGION), make_card(rule=REGION, image_threshold=9.0)
    assert judges_alike(thresholds_of(card), other)
    assert not judges_alike(thresholds_of(card), make_card())
    assert not judges_alike(thresholds_of(make_card()), card)
    assert judges_alike(thresholds_of(make_card()), make_card(threshold=9.0))
    assert not judges_alike(thresholds_of(card), make_card(rule=REGION, threshold=9.0))


def test_a_pixel_threshold_bounds_the_region_scores_of_good_images(root):
    paths = sorted((root / "test/good").glob("*.png"))
    plain = fit_thresholds(PlateBackend(), paths, 0.25)
    by_regions = fit_thresholds(PlateBackend(rule=REGION), paths, 0.25)
    assert plain.pixel == pytest.approx(203 / 255)
    assert by_regions.pixel < 0.01, "small spots do not count at any threshold"
    assert plain.image == by_regions.image


def test_flips_are_counted_by_the_rule():
    maps = np.zeros((2, 16, 16), np.float32)
    maps[0][LARGE], maps[1][SMALL] = 0.9, 0.9
    scores = np.full(2, 0.9, np.float32)

    def outputs(maps, rule):
        return Outputs(maps, scores, maps > 0.5, 0.5, 0.95, rule=rule)

    for rule, flips in ((Rule(), 0), (REGION, 2)):
        found = compare_outputs(outputs(maps, rule), outputs(maps[::-1], rule))
        assert found.flipped_verdicts == flips
