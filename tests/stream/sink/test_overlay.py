"""Overlays, pixel by pixel."""

import numpy as np
import pytest

from edgeseg.heat import ANOMALOUS, GOOD, OUTLINE, UNKNOWN
from edgeseg.stream.sink.overlay import draw, enlarge, write_verdict, zoom
from edgeseg.verdict.regions import find_regions
from edgeseg.verdict.rule import Rule
from tests.stream.sink.results import written_in


def gray(height=64, width=64):
    return np.full((height, width, 3), 128, np.uint8)


def test_a_map_of_zeros_leaves_the_image_unchanged():
    result = draw(gray(), np.zeros((64, 64), np.uint8), np.zeros((16, 16), np.float32), 0.5)
    np.testing.assert_array_equal(result, gray())


def test_high_values_color_the_image_and_low_values_do_not():
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[:, 8:] = 1.0
    changed = (draw(gray(), np.zeros((64, 64), np.uint8), anomaly_map, 0.5) != gray()).any(axis=2)
    assert changed[:, 40:].all()
    assert not changed[:, :28].any()


def test_the_outline_follows_the_mask():
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:30] = 255
    image = gray()
    result = draw(image, mask, np.zeros((16, 16), np.float32), 0.5)
    outline = (result == OUTLINE).all(axis=2)
    assert outline[20, 10:30].all() and outline[20:40, 29].all()
    assert not outline[25:35, 15:25].any(), "the part stays visible inside"
    assert mask[30, 20] == 255
    np.testing.assert_array_equal(image, gray())


def test_regions_get_their_numbers_above_their_boxes_also_at_the_border():
    mask = np.zeros((240, 240), np.uint8)
    mask[100:140, 50:90] = mask[0:10, 200:240] = 255
    none = np.zeros((16, 16), np.float32)
    regions = find_regions(mask, none, Rule()).largest
    changed = (draw(gray(240, 240), mask, none, 0.5, regions) != OUTLINE).any(axis=2)
    changed &= (draw(gray(240, 240), mask, none, 0.5, regions) != 128).any(axis=2)
    ys, xs = np.nonzero(changed)
    assert ((ys < 100) & (ys > 80) & (xs > 55) & (xs < 85)).any(), "1, above the large one"
    assert ((ys < 25) & (xs > 205)).any(), "2, inside of the image"
    assert not changed[150:].any()


COLORS = {"good": GOOD, "anomalous": ANOMALOUS, "unknown": UNKNOWN}


@pytest.mark.parametrize("verdict", COLORS)
def test_the_verdict_has_its_color(verdict):
    image = gray(480, 640)
    write_verdict(image, f"{verdict}  0.913  12.3 ms", verdict)
    found = [name for name, color in COLORS.items() if written_in(image, color)]
    assert found == [verdict]


def test_the_verdicts_differ_without_color_and_without_words():
    shapes = []
    for verdict in COLORS:
        image = gray(480, 640)
        write_verdict(image, "x", verdict)
        shapes.append((image.min(axis=2) != 128) & (image.max(axis=2) > 0))  # neither part nor box
    good, anomalous, unknown = (shape[:60, :60] for shape in shapes)
    for one, other in ((good, anomalous), (good, unknown), (anomalous, unknown)):
        assert (one ^ other).sum() > 30
    good, anomalous, unknown = (shape[-1].mean() for shape in shapes)
    assert good == 0 and anomalous == 1 and 0.4 < unknown < 0.6, "border: none, whole, dashed"


def test_the_verdict_fits_into_a_narrow_image():
    image = gray(400, 100)
    write_verdict(image, "anomalous  0.913  12.3 ms", "good")
    assert written_in(image, GOOD) and not written_in(image[:, -1:], GOOD)


def test_a_long_reason_has_lines_in_place_of_tiny_letters():
    image = gray(480, 640)
    reason = "unknown: 3 of the last 10 frames had no picture in them, the line was stopped "
    write_verdict(image, 2 * reason, "good")
    box = (image == 0).all(axis=2)
    assert box[: 480 // 8, 40:].any(axis=1).all() and not box[480 // 4 :].any()
    assert written_in(image, GOOD) and not written_in(image[:, -1:], GOOD)


def test_small_images_are_enlarged_by_an_integer_factor():
    assert [zoom(h, w) for h, w in ((96, 128), (240, 999), (480, 640), (100, 30))] == [3, 1, 1, 8]
    small = np.arange(4, dtype=np.uint8).reshape(2, 2)
    np.testing.assert_array_equal(enlarge(small, 2)[0], [0, 0, 1, 1])
    assert enlarge(small, 1) is small


@pytest.mark.parametrize("name", ["", "cap"])
@pytest.mark.parametrize("value", [0, 150, 255])
def test_outlines_of_areas_are_seen_on_every_background(name, value):
    image = np.full((64, 64, 3), value, np.uint8)
    ring = np.array([[20.0, 20.0], [44.0, 20.0], [44.0, 44.0], [20.0, 44.0]])
    none = np.zeros((16, 16), np.float32)
    result = draw(image, np.zeros((64, 64), np.uint8), none, 0.5, outlines=[(name, ring)])
    near = result[28:36, 17:24].astype(int)  # across the left side
    assert (np.ptp(near, axis=1) >= 100).all()
    np.testing.assert_array_equal(result[24:40, 24:40], image[24:40, 24:40])
