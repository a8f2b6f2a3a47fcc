"""ROIs: which pixels are inside, at any size, and under which name."""

import cv2
import numpy as np
import pytest

from edgeseg.data.roi.drawn import rings_of
from edgeseg.frame import raster
from edgeseg.frame.geometry import Box
from edgeseg.frame.raster import filled
from edgeseg.frame.roi import Area, Roi
from tests.kit.rois import make_roi, rectangle


def test_a_pixel_is_inside_if_its_center_is():
    ring = np.array(rectangle(1.4, 0.6, 3.6, 2.5))
    expected = np.zeros((4, 5), bool)
    expected[1:2, 1:4] = True
    np.testing.assert_array_equal(filled([ring], (4, 5)), expected)


def test_what_leaves_the_picture_is_cut_off():
    np.testing.assert_array_equal(
        filled([np.array(rectangle(-9, -9, 2, 99))], (2, 3)), [[1, 1, 0]] * 2
    )


def test_many_crossings_are_computed_in_parts(monkeypatch):
    ring = np.array([(k % 7, k % 5) for k in range(35)], float)
    expected = filled([ring], (5, 7))
    assert expected.any()
    monkeypatch.setattr(raster, "AT_ONCE", 3)
    np.testing.assert_array_equal(filled([ring], (5, 7)), expected)


def test_masks_come_back_exactly_with_holes_and_islands():
    random = np.random.default_rng(0)
    for _ in range(100):
        size = tuple(random.integers(1, 25, 2))
        mask = random.random(size) < random.uniform(0.1, 0.9)
        rings = [np.array(ring) for ring in rings_of(mask)]
        np.testing.assert_array_equal(filled(rings, size), mask)


def test_a_circle_at_half_the_size_is_a_circle_of_half_the_size():
    mask = np.zeros((200, 200), np.uint8)
    cv2.circle(mask, (100, 100), 80, 1, -1)
    roi = Roi(picture=(200, 200), areas=(Area(name="cap", rings=rings_of(mask > 0)),))
    half = roi.inside((100, 100))
    assert half.sum() == pytest.approx(mask.sum() / 4, rel=0.01)
    assert half[50, 50] and not half[5, 5]


def test_areas_add_up_and_ignored_ones_are_in_none():
    roi = make_roi((10, 10), ignored=[(4, 0, 6, 10)], left=(0, 0, 5, 10), right=(5, 5, 10, 10))
    assert roi.names == ("left", "right")
    expected = np.zeros((10, 10), np.uint8)
    expected[:, :4], expected[5:, 6:] = 1, 2
    np.testing.assert_array_equal(roi.labels((10, 10)), expected)
    np.testing.assert_array_equal(roi.inside((10, 10)), expected > 0)


def test_where_areas_overlap_the_first_has_the_pixels():
    roi = make_roi((4, 4), first=(0, 0, 3, 4), second=(1, 0, 4, 4))
    np.testing.assert_array_equal(roi.labels((4, 4)), [[1, 1, 1, 2]] * 4)


def test_without_an_area_all_but_the_ignored_is_inspected():
    roi = make_roi((4, 4), ignored=[(0, 0, 4, 2)])
    assert not roi.inside((4, 4))[:2].any() and roi.inside((4, 4))[2:].all()
    assert roi.names == () and not roi.labels((4, 4)).any()


def test_a_frame_that_shows_the_picture_in_a_part_is_inspected_there():
    roi = make_roi((10, 20), cap=(10, 0, 20, 10))
    inside = roi.inside((20, 20), Box(5, 0, 10, 20))
    expected = np.zeros((20, 20), bool)
    expected[5:15, 10:] = True
    np.testing.assert_array_equal(inside, expected)
    ((name, ring),) = roi.outlines(Box(5, 0, 10, 20))
    assert name == "cap" and ring.tolist() == [[10, 5], [20, 5], [20, 15], [10, 15]]


def test_labels_of_the_last_sizes_are_kept():
    roi = make_roi((4, 4), a=(0, 0, 2, 2))
    assert roi.labeled((8, 8)) is roi.labeled((8, 8))
    for side in range(9, 20):
        roi.labeled((side, side))
    assert len(roi.kept) <= 4


@pytest.mark.parametrize(
    ("size", "fits"),
    [((480, 640), True), ((960, 1280), True), ((481, 640), True), ((480, 480), False)],
)
def test_a_picture_of_the_same_shape_fits(size, fits):
    assert make_roi((480, 640)).fits(size) is fits


def test_the_digest_tells_areas_apart():
    one, other = make_roi(a=(0, 0, 9, 9)), make_roi(a=(0, 0, 9, 8))
    assert one.digest == make_roi(a=(0, 0, 9, 9)).digest != other.digest
