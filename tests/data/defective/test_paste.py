"""Pasted defects: only the mask and its margin change, and the light is that of the place."""

import cv2
import numpy as np
import pytest

from edgeseg.data.defective.mix import AS_IS, PASTED, DefectMixer
from edgeseg.data.defective.paste import Cutout, content_of, cut_out, paste, reach
from edgeseg.data.defective.read import KnownDefect

SIDE = 64


@pytest.fixture
def defect():
    """A dark square of 8 x 8 pixels on a background of 100."""
    image = np.full((SIDE, SIDE, 3), 100, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[28:36, 20:28] = True
    image[mask] = 20
    return KnownDefect(image, mask, exact=True)


def test_a_cutout_has_the_defect_and_its_surroundings(defect):
    cutout = cut_out(defect.image, defect.region)
    margin = 2 * reach(defect.image)
    assert cutout.mask.shape == (8 + 2 * margin, 8 + 2 * margin)
    assert cutout.mask.sum() == defect.region.sum()
    assert (cutout.image[cutout.mask] == 20).all() and (cutout.image[~cutout.mask] == 100).all()


def test_a_cutout_at_the_edge_stays_inside_the_image():
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[:3, 60:] = True
    cutout = cut_out(np.zeros((SIDE, SIDE, 3), np.uint8), mask)
    margin = 2 * reach(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert cutout.mask.shape == (3 + margin, 4 + margin)


def test_only_the_mask_and_its_margin_change(defect):
    good = np.random.default_rng(0).integers(90, 110, (SIDE, SIDE, 3), np.uint8)
    cutout = cut_out(defect.image, defect.region)
    for seed in range(20):
        image, mask = paste(good, cutout, np.random.default_rng(seed))
        size = 2 * reach(good) + 1
        near = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        np.testing.assert_array_equal(image[~near], good[~near])
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert image[inside].mean() < 45, "the defect is in its mask"
        low, high = 0.7**2 * 64, 1.4**2 * 64
        cut = mask[[0, -1]].any() or mask[:, [0, -1]].any()  # part of it may be outside the image
        assert cut or 0.7 * low < mask.sum() < 1.3 * high
    again = [paste(good, cutout, np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(again[0][0], again[1][0])


def test_the_brightness_follows_the_place(defect):
    cutout = cut_out(defect.image, defect.region)
    for level in (60, 180):
        good = np.full((SIDE, SIDE, 3), level, np.uint8)
        image, mask = paste(good, cutout, np.random.default_rng(5))
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert image[inside].mean() == pytest.approx(20 * level / 100, rel=0.2)


def test_a_defect_lands_on_the_part():
    image = np.full((SIDE, SIDE, 3), 30, np.uint8)
    image[20:44, 16:48] = 150
    expected = image[:, :, 0] == 150
    content = content_of(image)
    np.testing.assert_array_equal(content, expected)
    cutout = Cutout(np.full((5, 5, 3), 90, np.uint8), np.ones((5, 5), np.bool_))
    for seed in range(20):
        _, mask = paste(image, cutout, np.random.default_rng(seed))
        assert not mask.any() or expected[mask].mean() >= 0.6


def test_an_image_without_background_is_part_everywhere():
    ramp = np.repeat(np.linspace(0, 255, SIDE).astype(np.uint8)[None], SIDE, axis=0)
    assert content_of(np.repeat(ramp[:, :, None], 3, axis=2)).all()


def test_synthetic_anomalies_stay_the_majority(defect):
    assert AS_IS + PASTED < 0.5
    labelled = KnownDefect(defect.image, np.ones_like(defect.region), exact=False)
    mixer, rng = DefectMixer([defect, labelled]), np.random.default_rng(0)
    drawn = [mixer.choose(rng) for _ in range(2000)]
    synthetic = sum(each is None for each in drawn) / len(drawn)
    assert synthetic == pytest.approx(1 - AS_IS - PASTED, abs=0.04)
    assert all(each[0].exact for each in drawn if each is not None and each[1])
