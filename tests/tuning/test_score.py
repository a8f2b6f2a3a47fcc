"""Scores and gains on numbers with known answers."""

import numpy as np
import pytest

from edgeseg.tuning.score import TrialScores, average_precision


def scores(good, bad, aps, groups=None):
    groups = groups or ["spot"] * len(bad)
    return TrialScores(tuple(good), tuple(bad), tuple(groups), tuple(aps))


def test_the_verdict_counts_twice_as_much_as_the_mask():
    found = scores([0.1, 0.2], [0.3, 0.15], [0.5, 0.1])
    assert found.image_auroc == 0.75 and found.pixel_ap == pytest.approx(0.3)
    assert found.score == pytest.approx((2 * 0.75 + 0.3) / 3)


def test_groups_weigh_the_same_whatever_their_number():
    found = scores([0.5], [1, 1, 1, 0], [1, 1, 1, 0], ["a", "a", "a", "b"])
    assert found.image_auroc == 0.5 and found.pixel_ap == 0.5 and found.score == 0.5


def test_a_defect_without_a_mask_is_judged_by_its_verdict_alone():
    found = scores([0.5], [1.0, 1.0], [0.5, None], ["drawn", "real scratch"])
    assert found.pixel_ap == 0.5 and found.score == pytest.approx((2.5 / 3 + 1) / 2)


def test_equal_scores_are_half_a_win():
    assert scores([0.5, 0.5], [0.5], [1.0]).image_auroc == 0.5


def test_a_recipe_gains_nothing_over_itself():
    rng = np.random.default_rng(0)
    one = scores(rng.normal(0, 1, 40), rng.normal(1, 1, 30), rng.random(30))
    assert one.gain_over(one) == (0.0, 0.0)


def test_the_standard_error_is_that_of_drawing_other_images():
    """Of 300 sets of images the gains deviate as much as each of them says."""
    rng = np.random.default_rng(0)
    gains, errors = [], []
    for _ in range(300):
        easy, hard = rng.normal(0, 1, 40), rng.normal(1.2, 1, 72)
        noise = [rng.normal(0, 0.7, n) for n in (40, 72)]
        groups = [f"f{k % 6}" for k in range(72)]
        aps = rng.random(72)
        one = scores(easy, hard, aps, groups)
        two = scores(easy + noise[0], hard + noise[1], aps + rng.normal(0, 0.1, 72), groups)
        gain, error = one.gain_over(two)
        gains.append(gain)
        errors.append(error)
    assert np.mean(gains) > 0
    assert np.std(gains) == pytest.approx(np.mean(errors), rel=0.15)


def test_average_precision_of_a_perfect_a_useless_and_a_mixed_map():
    assert average_precision(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1.0
    assert average_precision(np.array([1.0]), np.array([1.0, 1.0, 1.0])) == 0.25
    assert average_precision(np.array([3.0, 1.0]), np.array([2.0])) == pytest.approx(5 / 6)
