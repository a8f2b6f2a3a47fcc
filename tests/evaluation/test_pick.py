"""The choice of thresholds by a rate or by prices."""

import numpy as np
import pytest

from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.pick import Pick, ScoredSet, choose, cost_of
from tests.kit.errors import fails

GOOD, BAD = [0.1, 0.2, 0.3, 0.4], [0.25, 0.5, 0.6]
MEASURED = ScoredSet(
    np.array([*GOOD, *BAD]),
    np.array([0.15, 0.35, 0.25, 0.45, 0.9, 0.9, 0.9]),
    np.array([True] * 4 + [False] * 3),
)


def test_a_false_reject_rate_is_chosen_from_good_images_alone():
    found = choose(MEASURED, Pick(false_reject=0.4))
    assert (found.image, found.pixel, found.images) == (0.3, 0.35, 4)
    assert found.point.misses.count == 1
    assert found.note()["false_reject_rate"] == 0.4
    assert found.warning is None
    assert "needs 99" in choose(MEASURED, Pick(false_reject=0.01)).warning


def test_a_miss_rate_is_chosen_from_defective_images():
    found = choose(MEASURED, Pick(max_miss=0.5))
    assert found.image == pytest.approx(0.45)  # half-way between 0.4 and 0.5
    assert found.pixel == 0.45  # no good image is rejected, none is marked
    assert found.note()["by"] == "--max-miss 0.5"
    low = choose(MEASURED, Pick(max_miss=0.1))
    assert (low.point.misses.count, low.point.false_rejects.count) == (0, 2)
    assert low.pixel == 0.25  # two good images have a higher peak
    assert "3 defective images support a miss rate of 25 %" in low.warning


def test_prices_choose_the_lowest_cost():
    pick = Pick(cost="1:50", defect_rate=0.5)
    found = choose(MEASURED, pick)
    assert (found.point.misses.count, found.point.false_rejects.count) == (0, 2)
    assert found.cost == cost_of(found.point, pick) == pytest.approx(1000 * 0.5 * 2 / 4)
    rare = choose(MEASURED, Pick(cost="1:50", defect_rate=0.001))
    assert (rare.point.misses.count, rare.point.false_rejects.count) == (1, 0)
    assert rare.by == "--cost 1:50 --defect-rate 0.001"


@pytest.mark.parametrize("pick", [Pick(max_miss=0.1), Pick(cost="1:50")])
def test_both_need_defective_images(pick):
    only = ScoredSet(MEASURED.scores[:4], MEASURED.peaks[:4], MEASURED.good[:4])
    with fails(DataError, "threshold/no-defective-images"):
        choose(only, pick)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "config/conflict"),
        ({"max_miss": 0.1, "cost": "1:5"}, "config/conflict"),
        ({"max_miss": 1.0}, "config/out-of-range"),
        ({"false_reject": 0.0}, "config/out-of-range"),
        ({"cost": "1:5", "defect_rate": 0.0}, "config/out-of-range"),
        *(({"cost": text}, "config/cost") for text in ("50", "0:5", "1:0", "a:b", "-1:5", "1:5:6")),
    ],
)
def test_what_makes_no_choice_is_refused(values, code):
    with fails(ConfigError, code):
        Pick(**values)
