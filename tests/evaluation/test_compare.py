"""compare: known differences give known figures."""

import dataclasses
import math

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.evaluation.compare import Limits, compare, compare_frames, total
from edgeseg.runtime.fake import FakeBackend


class Shifted(FakeBackend):
    """The fake, with every map value and score moved, and the mask cut at another threshold."""

    def __init__(self, card, shift, cut=0.0):
        super().__init__(card)
        self.shift, self.cut = np.float32(shift), np.float32(cut)

    def run(self):
        slot = self._slot
        threshold = slot.threshold.copy()
        slot.threshold[:] += self.cut
        super().run()
        slot.threshold[:] = threshold
        slot.anomaly_map[:] += self.shift
        slot.score[:] += self.shift


@pytest.fixture
def frames(graph_card):
    """Black, white, and one whose upper half is as red as the threshold allows (0.25 and 0.2)."""
    black = np.zeros(graph_card.frame_shape, np.uint8)
    half = black.copy()
    half[:, :24] = 200
    half[:, 24:] = 60
    return [black, np.full_like(black, 255), half]


def test_compare_of_a_backend_with_itself(graph_card, frames):
    found = compare(FakeBackend(graph_card), FakeBackend(graph_card), frames)
    assert found.to_json() == {
        "max_abs_diff": 0.0,
        "mean_abs_diff": 0.0,
        "score_diff": 0.0,
        "mask_iou": 1.0,
        "anomalous_pixels": 48 * 64 + 24 * 64,
        "mask_errors": 0,
        "check_diff": 0.0,
        "flipped_verdicts": 0,
        "borderline_flips": 0,
        "margin": found.margin,
        "frames": 3,
        "finite": True,
    }
    assert found.line() == (
        "map difference 0.0e+00, score difference 0.0e+00, mask IoU 1.0000, 0 of 3 verdicts flipped"
    )


def test_compare_measures_a_shift(graph_card, frames):
    found = compare(FakeBackend(graph_card), Shifted(graph_card, 0.125), frames)
    assert found.max_abs_diff == pytest.approx(0.125)
    assert found.mean_abs_diff == pytest.approx(0.125)
    assert found.score_diff == pytest.approx(0.125)
    assert found.flipped_verdicts == 0
    assert compare(FakeBackend(graph_card), Shifted(graph_card, 0.6), frames).flipped_verdicts == 1


def test_compare_counts_mask_errors(graph_card, frames):
    # The card's threshold is 0.25; 60 / 255 is 0.235. Cut 0.1 lower, the lower half is marked too.
    found = compare(FakeBackend(graph_card), Shifted(graph_card, 0.0, cut=-0.1), frames)
    _, height, width, _ = graph_card.frame_shape
    assert found.max_abs_diff == 0.0
    assert found.mask_errors == height // 2 * width
    assert found.mask_iou == pytest.approx(0.75)  # white: whole, half: 1 of 2 halves


def test_compare_judges_each_by_the_thresholds_of_its_card(graph_card, frames):
    # 60 / 255 is 0.235 and white 1: the other card marks the lower half too, and rejects nothing.
    other = dataclasses.replace(graph_card, threshold=0.2, image_threshold=2.0)
    found = compare(FakeBackend(graph_card), FakeBackend(other), frames)
    assert found.max_abs_diff == 0.0
    assert found.mask_iou == pytest.approx(0.75)
    assert found.flipped_verdicts == 2


def test_compare_ignores_mask_pixels_at_the_threshold(graph_card):
    frame = np.full(graph_card.frame_shape, 51, np.uint8)  # 0.2
    a, b = FakeBackend(graph_card), Shifted(graph_card, 0.0, cut=2e-5)
    found = compare(a, b, [frame], threshold=0.19999)
    assert found.mask_errors == 0
    assert found.mask_iou == 0.0


def test_compare_finds_nan(graph_card, frames):
    found = compare(FakeBackend(graph_card), Shifted(graph_card, np.nan), frames)
    assert not found.finite
    assert (found.max_abs_diff, found.mean_abs_diff, found.drop) == (1.0, 1.0, math.inf)
    assert found.line() == "NaN or infinity within 3 frames"


def test_compare_frames_adds_up_to_compare(graph_card, frames):
    a, b = FakeBackend(graph_card), Shifted(graph_card, 0.6, cut=-0.1)
    each = list(compare_frames(a, b, frames))
    assert [one.frames for one in each] == [1, 1, 1]
    assert [one.flipped_verdicts for one in each] == [1, 0, 0]
    assert total(each) == compare(a, b, frames)


@pytest.mark.parametrize(("shift", "borderline"), [(0.0015, 1), (0.0025, 0)])
def test_borderline_flips_have_both_scores_near_the_threshold(graph_card, shift, borderline):
    # The score is 60 / 255; the threshold lies 0.0008 above it.
    card = dataclasses.replace(graph_card, image_threshold=60 / 255 + 0.0008)
    frame = np.full(card.frame_shape, 60, np.uint8)
    found = compare(FakeBackend(card), Shifted(card, shift), [frame])
    assert (found.flipped_verdicts, found.borderline_flips) == (1, borderline)
    assert found.line().endswith("1 of 1 verdicts flipped" + " (1 borderline)" * borderline)
    problems = Limits(max_flips=0).problems(found)
    assert problems == ([] if borderline else ["verdicts flipped: 1"])


@pytest.mark.parametrize(("level", "borderline"), [(103, 1), (108, 0)])
def test_the_margin_is_a_share_of_what_good_frames_are_below_the_threshold(
    graph_card, level, borderline
):
    # Good frames score 20 / 255, the threshold is 100 / 255: a margin of 0.05 * 80 / 255.
    card = dataclasses.replace(graph_card, image_threshold=100 / 255)
    frames = [np.full(card.frame_shape, value, np.uint8) for value in (20, 20, 20, level)]
    other = dataclasses.replace(card, image_threshold=(level + 1) / 255)
    found = total(list(compare_frames(FakeBackend(card), FakeBackend(other), frames)))
    assert found.margin == pytest.approx(0.05 * 80 / 255)
    assert (found.flipped_verdicts, found.borderline_flips) == (1, borderline)
    assert found.counted_flips == 1 - borderline


def checked(card, low=0.2, high=0.6):
    """The card with two columns; the fake has the mean of the map, red / 255, in both."""
    limits = InputLimit(name="brightness", low=low, high=high), InputLimit(name="features", high=9)
    return dataclasses.replace(card, image_threshold=0.9, input_check=limits)


class Bright(FakeBackend):
    """The fake, with its input checks moved."""

    def __init__(self, card, shift):
        super().__init__(card)
        self.shift = np.float32(shift)

    def run(self):
        super().run()
        self._slot.input_check[:] += self.shift


def reds(card, *levels):
    return [np.full(card.frame_shape, red, np.uint8) for red in levels]


def test_input_checks_differ_as_a_share_of_their_limits(graph_card):
    card = checked(graph_card)
    found = compare(FakeBackend(card), Bright(card, 0.04), reds(card, 102, 77))  # 0.4, 0.3
    assert found.check_diff == pytest.approx(0.1) and found.has_check
    assert (found.flipped_verdicts, found.borderline_flips) == (0, 0)
    assert "input check difference 1.0e-01" in found.line()
    problems = Limits(max_check_diff=0.09).problems(found)
    assert problems == ["the input checks differ by 0.1 of their limits"]
    assert Limits(max_check_diff=0.11).problems(found) == []
    moved = dataclasses.replace(card, input_check=checked(card, 0.24, 0.64).input_check[:1])
    other = dataclasses.replace(card, input_check=card.input_check[:1])
    found = compare(FakeBackend(other), Bright(moved, 0.04), reds(card, 102))
    assert found.check_diff == pytest.approx(0, abs=1e-6), "the limits moved with the values"


@pytest.mark.parametrize(
    ("red", "shift", "flipped", "borderline"),
    [
        (150, 0.01, 0, 0),  # 0.588 and 0.598
        (150, 0.02, 1, 1),  # 0.588 and 0.608: 0.03 and 0.02 of the limits
        (150, 0.08, 1, 0),  # 0.588 and 0.668
        (150, np.nan, 1, 0),
        (51, -0.01, 1, 1),  # 0.2 is within
        (255, 0.01, 0, 0),  # unknown for both, although the score is above the threshold of one
    ],
)
def test_a_frame_that_is_unknown_for_one_has_another_verdict(
    graph_card, red, shift, flipped, borderline
):
    card = checked(graph_card)
    other = dataclasses.replace(card, image_threshold=2.0)
    found = total(list(compare_frames(FakeBackend(card), Bright(other, shift), reds(card, red))))
    assert (found.flipped_verdicts, found.borderline_flips) == (flipped, borderline)


def test_a_model_without_a_check_knows_every_frame(graph_card):
    card = checked(graph_card)
    found = compare(FakeBackend(card), FakeBackend(graph_card), reds(card, 255, 102))
    assert (found.check_diff, found.has_check, found.flipped_verdicts) == (0.0, False, 1)
    assert "input check" not in found.line()


def test_limits_judge_the_iou_of_enough_pixels_only(graph_card, frames):
    found = compare(FakeBackend(graph_card), Shifted(graph_card, 0.0, cut=-0.1), frames)
    limits = Limits(max_map_diff=0.0, min_iou=0.95)
    assert limits.problems(found) == ["the mask IoU is 0.7500"]
    assert limits.problems(dataclasses.replace(found, anomalous_pixels=99)) == []
