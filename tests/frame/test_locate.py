"""Finding a drawn part, and moving its picture."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, ModelError
from edgeseg.frame.locate import LEAST, STILL, Places, Shift, find, moved, placed, with_template
from tests.kit.errors import fails
from tests.kit.rois import make_roi

SIZE = (240, 320)
ROI = make_roi(SIZE, cap=(110, 80, 210, 160))


def scene(x=0, y=0, *, light=1.0, seed=0, part=True, factor=1):
    """A noisy photo with a part in the middle, moved by x and y."""
    height, width = (side * factor for side in SIZE)
    random = np.random.default_rng(seed)
    photo = np.full((height, width, 3), 70, np.float32)
    if part:
        left, top = 110 * factor + x, 80 * factor + y
        size = 100 * factor, 80 * factor
        cv2.rectangle(photo, (left, top), (left + size[0], top + size[1]), (150, 160, 140), -1)
        spot = left + 30 * factor, top + 25 * factor
        cv2.circle(photo, spot, 12 * factor, (90, 90, 90), -1)
        cv2.circle(
            photo, (spot[0] + 45 * factor, spot[1] + 30 * factor), 8 * factor, (220,) * 3, -1
        )
    return np.clip(photo * light + random.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def roi():
    return with_template(ROI, scene())


def test_a_picture_that_shows_nothing_in_the_rois_is_refused():
    with fails(DataError, "data/flat-part"):
        with_template(ROI, scene(part=False) // 4)


@pytest.mark.parametrize("x, y", [(0, 0), (7, -5), (-60, 40), (104, -76), (-108, 76)])
@pytest.mark.parametrize("light", [1.0, 0.7])
def test_a_part_is_found_within_a_pixel_in_other_light(roi, x, y, light):
    found = find(scene(x, y, light=light, seed=3), roi, roi.locate)
    assert (found.x, found.y) == pytest.approx((x, y), abs=1)
    assert found.score > 0.8


def test_in_a_larger_picture_it_is_found_as_well(roi):
    found = find(scene(30, -40, seed=3, factor=2), roi, roi.locate)
    assert (found.x, found.y) == pytest.approx((30, -40), abs=2)


@pytest.mark.parametrize(
    "image",
    [
        scene(part=False, seed=5),
        np.full((*SIZE, 3), 80, np.uint8),
        scene(150, 0),
        cv2.rotate(scene(), cv2.ROTATE_180),
    ],
    ids=["no part", "no contrast", "ROI leaves the picture", "turned"],
)
def test_what_is_not_there_is_not_found(roi, image):
    strict = replace(roi, locate=replace(roi.locate, least=0.8))
    assert find(image, strict, strict.locate) is None
    same, shift = placed(image, strict)
    assert shift is None and same is image


def test_gray_pictures_are_as_good(roi):
    assert find(scene(20, 10)[:, :, :1], roi, roi.locate)[:2] == pytest.approx((20, 10), abs=1)
    assert find(scene(20, 10)[:, :, 1], roi, roi.locate)[:2] == pytest.approx((20, 10), abs=1)


@pytest.mark.parametrize("shift", [Shift(3, 2), Shift(-4, 1), Shift(0, -2), STILL])
def test_a_moved_picture_has_the_part_in_its_place_and_comes_back(shift):
    picture = np.arange(200, dtype=np.uint8).reshape(10, 20)
    found = moved(picture, shift)
    assert found.shape == picture.shape
    for y, x in ((4, 9), (5, 5)):
        assert found[y, x] == picture[y + shift.y, x + shift.x]
    back = shift.back(found, (10, 20), smooth=False)
    inner = slice(3, 7), slice(5, 15)
    np.testing.assert_array_equal(back[inner], picture[inner])
    mask = moved(picture > 100, shift)
    assert mask.dtype == bool and mask.shape == picture.shape


def test_a_map_comes_back_by_its_share_of_the_shift():
    small = np.zeros((10, 20), np.float32)
    small[4, 8] = 1
    found = Shift(8, -4).back(small, (40, 80), smooth=True)
    assert np.unravel_index(found.argmax(), found.shape) == (3, 10)


def test_without_a_template_every_part_is_in_its_place():
    image = scene(50, 0)
    for roi in (None, ROI):
        same, shift = placed(image, roi)
        assert same is image and shift == STILL


def test_training_images_tell_how_well_the_part_fits(roi):
    places = Places(roi, new=True)
    for seed in range(3):
        places.put(scene(10 * seed, 0, seed=seed), Path("a.png"))
    least = places.roi().locate.least
    assert LEAST < 0.7 < least < 0.95
    kept = Places(places.roi(), new=False)
    kept.put(scene(light=0.6, seed=9), Path("b.png"))
    assert kept.roi().locate.least == least
    assert Places(None, new=True).roi() is None


def test_a_training_image_without_the_part_is_named(roi):
    places = Places(roi, new=True)
    places.put(scene(), Path("good/a.png"))
    places.put(scene(part=False), Path("good/b.png"))
    with fails(DataError, "data/part-not-found") as caught:
        places.roi()
    assert "1 images: b.png" in caught.value.problem


def test_a_damaged_template_is_an_error_of_the_card(roi):
    for text in ("no base64", "aGVsbG8=", ""):
        broken = replace(roi, locate=replace(roi.locate, template=text))
        with fails(ModelError, "model/damaged-card"):
            placed(scene(), broken)


def test_the_largest_template_fits_into_a_card():
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    whole = with_template(make_roi((600, 600), all=(0, 0, 600, 600)), noise)
    assert len(whole.locate.template) < 65_536
