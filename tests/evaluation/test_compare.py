"""Parity: known differences give known figures."""

import dataclasses

import numpy as np
import pytest

from edgeseg.evaluation.compare import compare
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


def test_a_backend_agrees_with_itself(graph_card, frames):
    parity = compare(FakeBackend(graph_card), FakeBackend(graph_card), frames)
    assert parity.to_json() == {
        "max_abs_diff": 0.0,
        "mean_abs_diff": 0.0,
        "score_diff": 0.0,
        "mask_iou": 1.0,
        "marked_pixels": 48 * 64 + 24 * 64,
        "mask_errors": 0,
        "flipped_verdicts": 0,
        "frames": 3,
        "finite": True,
    }
    assert parity.line() == (
        "map within 0.0e+00, score within 0.0e+00, mask IoU 1.0000, "
        "0 flipped verdicts over 3 frames"
    )


def test_a_shift_is_measured(graph_card, frames):
    parity = compare(FakeBackend(graph_card), Shifted(graph_card, 0.125), frames)
    assert parity.max_abs_diff == pytest.approx(0.125)
    assert parity.mean_abs_diff == pytest.approx(0.125)
    assert parity.score_diff == pytest.approx(0.125)
    assert parity.flipped_verdicts == 0
    assert compare(FakeBackend(graph_card), Shifted(graph_card, 0.6), frames).flipped_verdicts == 1


def test_a_mask_cut_elsewhere_is_an_error_of_its_own(graph_card, frames):
    # The card's threshold is 0.25; 60 / 255 is 0.235. Cut 0.1 lower, the lower half is marked too.
    parity = compare(FakeBackend(graph_card), Shifted(graph_card, 0.0, cut=-0.1), frames)
    _, height, width, _ = graph_card.frame_shape
    assert parity.max_abs_diff == 0.0
    assert parity.mask_errors == height // 2 * width
    assert parity.mask_iou == pytest.approx(0.75)  # white: whole, half: 1 of 2 halves


def test_each_judges_by_its_own_thresholds(graph_card, frames):
    # 60 / 255 is 0.235 and white 1: the other card marks the lower half too, and rejects nothing.
    other = dataclasses.replace(graph_card, threshold=0.2, image_threshold=2.0)
    parity = compare(FakeBackend(graph_card), FakeBackend(other), frames)
    assert parity.max_abs_diff == 0.0
    assert parity.mask_iou == pytest.approx(0.75)
    assert parity.flipped_verdicts == 2


def test_pixels_at_the_threshold_may_fall_on_either_side(graph_card):
    frame = np.full(graph_card.frame_shape, 51, np.uint8)  # 0.2
    a, b = FakeBackend(graph_card), Shifted(graph_card, 0.0, cut=2e-5)
    parity = compare(a, b, [frame], threshold=0.19999)
    assert parity.mask_errors == 0
    assert parity.mask_iou == 0.0


def test_nan_is_not_finite(graph_card, frames):
    parity = compare(FakeBackend(graph_card), Shifted(graph_card, np.nan), frames)
    assert not parity.finite
    assert parity.line() == "NaN or infinity within 3 frames"
