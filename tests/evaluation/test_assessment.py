"""What an evaluation is called, and what is proposed."""

import math

import numpy as np
import pytest

from edgeseg.evaluation.assessment import assess
from edgeseg.evaluation.operating_points import auroc


def judged(good, bad, threshold, **more):
    scores, is_good = (
        np.array([*good, *bad], float),
        np.array([True] * len(good) + [False] * len(bad)),
    )
    value = auroc(scores[~is_good], scores[is_good])
    return assess(scores, is_good, threshold, auroc=value, **more)


def normal(shift, good=200, bad=200):
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, good), rng.normal(shift, 1, bad)


@pytest.mark.parametrize(
    ("shift", "ranking"),
    [(0, "useless"), (0.9, "useless"), (1.7, "weak"), (2.8, "usable"), (5, "good")],
)
def test_the_ranking_follows_the_bounds(shift, ranking):
    found = judged(*normal(shift), 2.3)
    assert found.ranking == ranking
    assert ("do not deploy" in found.words[0]) == (ranking == "useless")
    assert ("no better than guessing" in found.words[0]) == (shift == 0)


def test_a_ranking_upside_down_is_named():
    found = judged(*normal(-2), 2.3)
    assert "defective parts score lower than good ones: do not deploy" in found.words[0]


def test_few_images_are_said_to_be_few_and_may_be_worse():
    found = judged(*normal(5, 40, 15), 2.3)
    assert found.ranking == "good"
    assert "40 good and 15 defective images (few)" in found.words[0]
    assert found.words[0].endswith("so it may be weak")
    assert "50 of each kind; few: good (40), defective (15)" in found.steps[-1]
    assert not judged(*normal(5), 2.3).steps


def test_too_few_images_to_tell():
    found = judged([0.1, 0.2], [0.9], 0.5)
    assert found.ranking == "unclear"
    assert "too few images" in found.words[0]


def test_the_rates_are_said_in_words():
    found = judged([0.1] * 40, [0.2] * 12 + [0.9] * 3, 0.5)
    assert "defective parts: 12 of 15 pass as good (80 %, 95 % interval 55 to 93 %)" in found.words
    assert "good parts: 0 of 40 are rejected (0 %, 95 % interval 0 to 8.8 %)" in found.words
    assert found.unfit


def test_a_good_ranking_with_a_high_threshold_gets_a_lower_threshold():
    found = judged(*normal(5), 6)
    assert found.unfit
    (step,) = found.steps
    assert "edgeseg threshold MODEL DATA --max-miss 0.1" in step
    assert "edgeseg threshold m d --max-miss" in found.lines("m d")[-1]


def test_a_good_ranking_with_a_low_threshold_gets_a_higher_one():
    (step,) = judged(*normal(5), 1).steps
    assert "--false-reject 0.01" in step


def test_a_bad_ranking_gets_no_threshold_but_a_better_training():
    found = judged(*normal(0), 9, image_size=128)
    assert "--minutes 60" in found.steps[0] and "--image-size 256" in found.steps[0]
    assert "edgeseg threshold" not in " ".join(found.steps)


def test_no_advice_to_use_defects_that_are_used_already():
    steps = [judged(*normal(0), 9, use_defects=used).steps[0] for used in (False, True)]
    assert ["--use-defects" in step for step in steps] == [True, False]


def test_the_images_of_a_figure_are_named():
    assert "200 held-out good and 200" in judged(*normal(5), 2, good_kind="held-out good").words[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9187, "0.919"),
        (0.9499, "0.949"),
        (0.9896, "0.989"),
        (0.9999, "0.999"),
        (1.0, "1.00"),
        (0.7951, "0.79"),
    ],
)
def test_an_auroc_is_rounded_as_in_the_table_but_to_no_bound(value, text):
    found = assess(np.zeros(20), np.arange(20) < 10, 0.5, auroc=value)
    assert found.words[0].startswith(f"image AUROC {text}:")


def test_thresholds_are_unfit_for_most_of_at_least_five():
    assert not judged([0.1] * 50, [0.2] * 4, 0.5).unfit
    assert judged([0.1] * 50, [0.2] * 5, 0.5).unfit
    assert judged([0.6] * 50, [0.7] * 5, 0.5).unfit
    assert not judged([0.1] * 50, [0.2] * 5 + [0.9] * 5, 0.5).unfit


@pytest.mark.parametrize(("value", "words"), [(0.1, "hardly"), (0.3, "roughly"), (0.7, "well")])
def test_the_masks_in_words(value, words):
    assert words in judged(*normal(5), 2.3, pixel_ap=value).words[-1]


def test_without_defective_images_only_the_false_rejects_are_judged():
    found = assess(np.zeros(20), np.ones(20, bool), 0.5, auroc=math.nan)
    assert found.ranking is None and not found.unfit
    (words,) = found.words
    assert words.startswith("good parts: 0 of 20 are rejected")
    assert found.interval == (0, 1)


def test_unknown_images_count_apart():
    scores, good = np.array([0.1, 0.9, 0.1, 0.9] * 10), np.array([True, True, False, False] * 10)
    reasons = ["too dark", "", "blurred", ""] + [""] * 36
    found = assess(scores, good, 0.5, auroc=0.5, reasons=reasons)
    assert "unknown: 1 good and 1 defective images (too dark: 1, blurred: 1)" in found.words
    assert any("9 of 20 pass" in line for line in found.words)
    assert any("10 of 20 are rejected" in line for line in found.words)
