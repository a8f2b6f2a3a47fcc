"""Rates with intervals, and thresholds for a miss rate or for a price."""

import math

import numpy as np
import pytest

from edgeseg.evaluation.operating_points import (
    Rate,
    auroc,
    auroc_interval,
    below_misses,
    cheapest,
    expected_cost,
    matching_pixel_threshold,
    rates,
)

GOOD, BAD = [0.1, 0.2, 0.3, 0.4], [0.25, 0.5, 0.6]
SCORES, IS_GOOD = [*GOOD, *BAD], [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    "count, total, low, high",  # of R: binom::binom.wilson
    [(0, 15, 0.0, 0.2039), (12, 15, 0.5481, 0.9295), (1, 40, 0.0044, 0.1288), (5, 5, 0.5655, 1.0)],
)
def test_the_interval_of_a_rate_is_wilsons(count, total, low, high):
    assert Rate(count, total).interval == pytest.approx((low, high), abs=1e-4)


def test_a_rate_in_words_and_without_images():
    assert Rate(12, 15).words() == "12 of 15 (80 %, 95 % interval 55 to 93 %)"
    nothing = Rate(0, 0)
    assert (nothing.words(), nothing.interval, nothing.to_json()["rate"]) == (
        "0 of 0",
        (0, 1),
        None,
    )


def test_rates_count_what_is_above_the_threshold_and_what_is_not():
    point = rates(SCORES, IS_GOOD, 0.3)
    assert (point.false_rejects, point.misses) == (Rate(1, 4), Rate(1, 3))
    assert rates([math.nan, math.nan], [True, False], 0.3).misses == Rate(0, 1)  # never good


@pytest.mark.parametrize(("rate", "passing"), [(0.1, 0), (0.25, 0), (0.5, 1), (0.8, 2)])
def test_the_threshold_for_a_miss_rate_is_below_a_rank_of_the_defective(rate, passing):
    found = below_misses(BAD, rate, SCORES)
    assert rates(SCORES, IS_GOOD, found).misses.count == passing
    assert found not in SCORES


def test_a_miss_rate_is_bounded():
    rng = np.random.default_rng(0)
    missed = [rng.random() <= below_misses(rng.random(39), 0.1) for _ in range(4000)]
    assert np.mean(missed) == pytest.approx(0.1, abs=0.019)  # four standard errors


def test_a_threshold_below_equal_scores_is_the_next_lower_number():
    assert below_misses([0.5, 0.5], 0.1, [0.5, 0.5]) == math.nextafter(0.5, 0)


@pytest.mark.parametrize(
    ("prices", "share", "counts"),
    [
        ((1, 1), 0.5, (0, 1)),
        ((1, 100), 0.5, (2, 0)),
        ((100, 1), 0.5, (0, 1)),
        ((1, 100), 1e-4, (0, 1)),  # defects are rare
        ((1, 0), 0.5, (0, 1)),  # the lowest of equals
    ],
)
def test_the_cheapest_threshold(prices, share, counts):
    point = rates(SCORES, IS_GOOD, cheapest(SCORES, IS_GOOD, prices, share))
    assert (point.false_rejects.count, point.misses.count) == counts


def test_the_cheapest_threshold_is_never_dearer_than_any_other():
    rng = np.random.default_rng(1)
    for _ in range(30):
        scores, good = rng.integers(0, 9, 20) / 9, rng.random(20) < 0.6
        good[:2] = True, False
        prices, share = (1.0, float(rng.integers(1, 99))), float(rng.random())

        costs = [
            expected_cost(point.false_rejects.value, point.misses.value, prices, share)
            for point in (
                rates(scores, good, threshold)
                for threshold in (cheapest(scores, good, prices, share), *np.linspace(-0.1, 1, 100))
            )
        ]
        assert costs[0] == pytest.approx(min(costs))


def test_the_pixel_threshold_marks_as_many_good_images_as_are_rejected():
    peaks = [0.4, 0.1, 0.9, 0.7]
    for rejected in range(5):
        assert sum(np.array(peaks) > matching_pixel_threshold(peaks, rejected)) == rejected


def test_an_auroc_counts_ties_half():
    assert auroc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 7 / 8
    assert math.isnan(auroc(np.array([1.0]), np.array([])))


def test_the_interval_of_an_auroc_covers_it_as_often_as_promised():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        good, bad = rng.random(40), rng.random(15)
        low, high = auroc_interval((bad[:, None] > good).mean(), 40, 15)
        inside += low <= 0.5 <= high
    assert inside / 600 == pytest.approx(0.95, abs=0.036)


def test_the_interval_of_a_perfect_auroc_and_of_none():
    low, high = auroc_interval(1.0, 40, 15)
    assert 0.85 < low < 0.95 and high == pytest.approx(1)
    assert auroc_interval(1.0, 400, 150)[0] > low
    assert auroc_interval(math.nan, 0, 15) == (0, 1)
