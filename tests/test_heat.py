"""The color scale: anchored at the threshold, told apart by everybody, the same everywhere."""

import cv2
import numpy as np
import pytest

from edgeseg import heat

# Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.0; they act on linear RGB.
SEEN_WITH = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def colors(values, gray=128, threshold=0.5):
    """The colors, BGR int [N, 3], of map values on a gray picture."""
    row = np.array([values], np.float32)
    image = np.full((1, len(values), 3), gray, np.uint8)
    return heat.blend(image, heat.levels(row, threshold))[0].astype(int)


def linear(bgr):
    return (np.asarray(bgr, np.float64)[..., ::-1] / 255) ** 2.2


def test_a_level_is_on_the_side_of_the_threshold_where_the_mask_is():
    threshold = 0.1379
    close = np.float32(threshold)
    values = [close, np.nextafter(close, np.float32(1)), np.nextafter(close, np.float32(0))]
    values = np.array([[*values, 0, 1e9, -1e9]], np.float32)
    found = heat.levels(values, threshold)
    np.testing.assert_array_equal(found >= heat.ANCHOR, values > threshold)
    assert found[0, 3] == 0 and found[0, 4] == 255 and found[0, 5] == 0


@pytest.mark.parametrize("threshold", [0.0, -0.3])
def test_a_threshold_without_a_scale_still_has_two_sides(threshold):
    values = np.array([[threshold - 0.1, threshold + 0.1]], np.float32)
    assert list(heat.levels(values, threshold)[0] >= heat.ANCHOR) == [False, True]


def test_values_that_are_no_numbers_are_not_drawn_as_anomalous():
    values = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    assert list(heat.levels(values, 0.5)[0]) == [0, 255, 0]


def test_a_picture_without_high_values_is_copied_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    found = heat.blend(image[:, :, ::-1], heat.levels(np.full((4, 4), 0.2, np.float32), 0.5))
    np.testing.assert_array_equal(found, image[:, :, ::-1])
    assert not np.shares_memory(found, image)


def test_no_color_below_the_threshold_is_warm_and_every_color_above_is():
    blue, _, red = colors(np.linspace(0, 0.5, 100)).T
    assert (blue >= red).all()
    blue, _, red = colors(np.linspace(0.501, 2, 100)).T
    assert (red > blue + 20).all()


def test_the_scale_only_gets_lighter_above_the_threshold():
    found = linear(colors(np.linspace(0.503, 1.0, 60))) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(found) >= -1e-3).all() and found[-1] > 2 * found[0]


@pytest.mark.parametrize("sight", SEEN_WITH)
def test_both_sides_and_all_verdicts_differ_for_every_sight(sight):
    def seen(bgr):
        return np.clip(linear(bgr) @ np.array(SEEN_WITH[sight]).T, 0, 1) ** (1 / 2.2)

    below, above = seen(colors([0.499])), seen(colors([0.505, 1.0]))
    assert np.abs(below - above).max(axis=1).min() > 0.2
    good, anomalous, unknown = map(seen, (heat.GOOD, heat.ANOMALOUS, heat.UNKNOWN))
    for one, other in ((good, anomalous), (good, unknown), (anomalous, unknown)):
        assert np.abs(one - other).max() > 0.2


def test_the_colored_area_ends_where_the_mask_ends():
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[6:9, 5:12] = 1.0
    enlarged = cv2.resize(anomaly_map, (128, 128), interpolation=cv2.INTER_LINEAR)
    image = np.full((128, 128, 3), 128, np.uint8)
    blue, _, red = heat.blend(image, heat.levels(anomaly_map, 0.5)).astype(int).transpose(2, 0, 1)
    warm, mask = red > blue + 20, enlarged > 0.5
    assert (warm ^ mask).sum() < 0.02 * mask.sum()


def test_only_good_is_neutral():
    assert np.ptp(heat.verdict_color("good")) == 0
    others = [heat.verdict_color(verdict) for verdict in ("anomalous", "unknown", "anything else")]
    assert others == [heat.ANOMALOUS, heat.UNKNOWN, heat.ANOMALOUS]
