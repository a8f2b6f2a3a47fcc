"""Regions of drawn masks, whose boxes, areas, lengths and widths are known."""

import json
import math

import cv2
import numpy as np
import pytest

from edgeseg.verdict.regions import MOST, NONE, Region, find_regions, outline
from edgeseg.verdict.rule import Rule

ANY = Rule()


def drawn(height=120, width=160):
    return np.zeros((height, width), np.uint8)


def found(mask, anomaly_map=None, rule=ANY, scale=(1.0, 1.0)):
    if anomaly_map is None:
        anomaly_map = mask.astype(np.float32) / 255
    return find_regions(mask, anomaly_map, rule, scale)


def polygon(*points):
    mask = drawn()
    cv2.fillPoly(mask, [np.array(points, np.int32)], 255)
    return mask


def test_rectangles_have_exact_boxes_areas_lengths_and_centroids():
    mask = drawn()
    mask[10:20, 30:70] = 255
    mask[50:53, 5:8] = 255
    mask[119, 159] = 255
    regions = found(mask)
    assert (regions.count, regions.area, regions.finite) == (3, 410, True)
    first, second, third = regions.largest
    assert first == Region((30, 10, 40, 10), 400, 40.0, 10.0, 0.0, (49.5, 14.5), 1.0, 1.0, (30, 10))
    assert (second.box, second.area, second.centroid) == ((5, 50, 3, 3), 9, (6, 51))
    assert (third.box, third.area, third.length, third.width) == ((159, 119, 1, 1), 1, 1, 1)


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 110, 160])
def test_a_scratch_has_its_length_width_and_angle_however_it_lies(angle):
    mask, turn = drawn(), math.radians(angle)
    along = np.array([math.cos(turn), math.sin(turn)])
    across = np.array([-along[1], along[0]])
    corners = [
        (80, 60) + one * 39.5 * along + other * 2.5 * across
        for one, other in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    cv2.fillPoly(mask, [np.rint(np.array(corners) * 16).astype(np.int32)], 255, shift=4)
    (region,) = found(mask).largest
    assert region.length == pytest.approx(80, abs=1.5)
    assert region.width == pytest.approx(6, abs=1.5)
    assert min(abs(region.angle - angle), 180 - abs(region.angle - angle)) < 2
    assert region.centroid == pytest.approx((80, 60), abs=0.6)


def test_a_diagonal_of_single_pixels_is_one_region_one_pixel_wide():
    mask = drawn()
    mask[np.arange(10, 31), np.arange(10, 31)] = 255
    (region,) = found(mask).largest
    assert (region.box, region.area) == ((10, 10, 21, 21), 21)
    assert region.length == pytest.approx(20 * math.sqrt(2) + 1, abs=0.01)
    assert (region.width, region.angle) == (pytest.approx(1), pytest.approx(45))


def test_holes_are_no_area_and_what_lies_in_them_is_a_region_of_its_own():
    mask = drawn()
    mask[20:60, 20:60] = 255
    mask[30:50, 30:50] = 0
    mask[38:42, 38:42] = 255
    ring, inner = found(mask).largest
    assert (ring.box, ring.area, ring.centroid) == ((20, 20, 40, 40), 1200, (39.5, 39.5))
    assert (inner.box, inner.area) == ((38, 38, 4, 4), 16)
    assert mask[ring.pixel[::-1]] and mask[inner.pixel[::-1]]
    assert not mask[31, 31], "the centroid of the ring is outside of it"


def test_boxes_and_areas_are_those_of_connected_components_in_noise():
    random = np.random.default_rng(0)
    for _ in range(60):
        size = random.integers(1, 40, 2)
        mask = np.where(random.random(size) < random.uniform(0.05, 0.95), 255, 0).astype(np.uint8)
        _, _, stats, centers = cv2.connectedComponentsWithStats(mask, connectivity=8)
        regions = found(mask)
        assert regions.count == len(stats) - 1 and regions.area == np.count_nonzero(mask)
        if regions.count <= MOST:
            ours = sorted((*region.box, region.area) for region in regions.largest)
            assert ours == sorted(map(tuple, stats[1:].tolist()))
            places = sorted(region.centroid for region in regions.largest)
            np.testing.assert_allclose(places, sorted(map(tuple, centers[1:].tolist())))


def test_the_largest_are_described_and_all_are_counted():
    mask = drawn(200, 200)
    mask[::4, ::4] = 255
    mask[100:102, 0:2] = 255
    regions = found(mask)
    assert (len(regions.largest), regions.count) == (MOST, 2500)
    assert [region.area for region in regions.largest[:3]] == [4, 1, 1]


def test_peak_and_mean_are_those_of_the_map_below_the_region():
    anomaly_map = np.zeros((12, 16), np.float32)
    anomaly_map[3, 4:8] = 0.6, 0.9, 0.7, 0.6
    anomaly_map[9, 9] = 0.8
    mask = cv2.resize(anomaly_map, (160, 120)) > 0.5
    first, second = found(mask.astype(np.uint8) * 255, anomaly_map).largest
    assert (first.peak, first.mean) == (pytest.approx(0.9), pytest.approx(0.7))
    assert (second.peak, second.mean) == (pytest.approx(0.8), pytest.approx(0.8))


def test_peaks_of_regions_in_one_box_are_their_own():
    mask = drawn(64, 64)
    mask[0, :] = mask[:, 0] = 255
    mask[30:40, 30:40] = 255
    anomaly_map = np.full((64, 64), 0.1, np.float32)
    anomaly_map[mask > 0] = 0.5
    anomaly_map[35, 35] = 0.75
    corner, square = sorted(found(mask, anomaly_map).largest, key=lambda region: region.box)
    assert (corner.area, corner.peak) == (127, 0.5)
    assert (square.area, square.peak) == (100, 0.75)


def test_a_region_between_the_values_of_the_map_has_the_peak_around_it():
    mask = drawn(100, 100)
    mask[0, 0] = 255
    anomaly_map = np.full((10, 10), 0.25, np.float32)
    anomaly_map[0, 0] = 0.5
    (region,) = found(mask, anomaly_map).largest
    assert (region.peak, region.mean) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("rule", "areas"),
    [
        (ANY, [400, 100, 4]),
        (Rule(min_area=100), [400, 100]),
        (Rule(min_area=100.5), [400]),
        (Rule(min_peak=0.65), [400, 4]),
        (Rule(min_area=5, min_peak=0.95), []),
    ],
)
def test_regions_count_from_an_area_and_a_peak_on(rule, areas):
    mask = drawn()
    mask[0:20, 0:20] = mask[40:50, 40:50] = mask[60:62, 60:62] = 255
    anomaly_map = np.zeros(mask.shape, np.float32)
    anomaly_map[0:20, 0:20], anomaly_map[40:50, 40:50], anomaly_map[60:62, 60:62] = 0.7, 0.6, 0.95
    regions = found(mask, anomaly_map, rule)
    assert [region.area for region in regions.largest] == areas
    assert (regions.count, regions.area, regions.most) == (len(areas), sum(areas), len(areas))


def test_an_area_counts_in_pixels_of_the_picture():
    mask = drawn()
    mask[0:10, 0:10] = 255
    assert found(mask, rule=Rule(min_area=400), scale=(2, 2)).count == 1
    assert found(mask, rule=Rule(min_area=401), scale=(2, 2)).count == 0
    assert found(mask, scale=(2, 1.5)).area == 300


def test_millimeters():
    mask = drawn()
    mask[10:20, 30:70] = 255
    assert found(mask).largest[0].length_mm is None
    (region,) = found(mask, rule=Rule(mm_per_px=0.1)).largest
    assert region.area_mm2 == pytest.approx(4)
    assert (region.length_mm, region.width_mm) == (pytest.approx(4), pytest.approx(1))
    (region,) = found(mask, rule=Rule(mm_per_px=0.1), scale=(2, 4)).largest
    assert region.area_mm2 == pytest.approx(32)
    assert (region.length_mm, region.width_mm) == (pytest.approx(8), pytest.approx(4))


def test_no_anomalous_pixel_is_no_region():
    assert found(drawn()) is NONE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("marked", [0, 255])
def test_a_map_that_is_not_finite_is_told(value, marked):
    mask, anomaly_map = drawn(), np.zeros((12, 16), np.float32)
    mask[50, 50], anomaly_map[3, 3] = marked, value
    assert not found(mask, anomaly_map).finite


def test_json_has_no_nan_and_no_infinity():
    mask = drawn()
    mask[40:60, 40:60] = 255
    (region,) = found(mask, np.full((12, 16), math.nan, np.float32)).largest
    text = json.dumps(region._replace(peak=math.inf).to_json(), allow_nan=False)
    assert (json.loads(text)["peak"], json.loads(text)["mean"]) == (None, None)


def test_the_json_of_a_region_has_what_is_known_and_is_rounded():
    mask = polygon((10, 10), (90, 40), (30, 70))
    (region,) = found(mask, rule=Rule(mm_per_px=0.1)).largest
    document = region.to_json()
    assert list(document) == [
        *("box", "area", "length", "width", "angle", "centroid", "peak", "mean"),
        *("area_mm2", "length_mm", "width_mm"),
    ]
    assert document["centroid"] == [round(number, 2) for number in region.centroid]
    assert list(found(mask).largest[0].to_json())[-1] == "mean"


@pytest.mark.parametrize("place", [(0, 0), (40, 50)])
def test_an_outline_runs_around_the_pixels(place):
    y, x = place
    mask = drawn()
    mask[y : y + 3, x : x + 5] = 255
    mask[y + 3, x] = 255
    mask[20, 100] = 255
    first, second = found(mask).largest
    points = outline(mask, first)
    assert cv2.contourArea(points.astype(np.int32)) == first.area == 16
    assert set(map(tuple, (points - (x, y)).tolist())) >= {(0, 0), (5, 0), (5, 3), (0, 4)}
    square = {(100, 20), (101, 20), (101, 21), (100, 21)}
    assert set(map(tuple, outline(mask, second).tolist())) == square
