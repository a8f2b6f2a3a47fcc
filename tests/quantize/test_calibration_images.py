"""Images that are all alike, black or saturated calibrate nothing: exit code 3."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import GateFailed
from edgeseg.quantize.calibration_images import SeenImages
from tests.kit.errors import fails

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
BLACK, WHITE = (np.full((20, 20, 3), level, np.uint8) for level in (2, 255))


def seen(*images):
    found = SeenImages()
    for place, image in enumerate(images):
        found.add(place, image)
    return found


def other(level):
    return np.bitwise_xor(PHOTO, np.uint8(level))


@pytest.mark.parametrize(
    ("images", "code"),
    [
        ([PHOTO, PHOTO.copy()], "gate/images-alike"),
        ([BLACK, PHOTO, WHITE], "gate/images-empty"),
        ([BLACK], "gate/images-empty"),
    ],
)
def test_images_without_content_are_refused(images, code):
    with fails(GateFailed, code) as caught:
        seen(*images).check(Path("photos"))
    assert caught.value.exit_code == 3 and "photos" in caught.value.problem


def test_a_few_black_images_are_a_warning(said):
    seen(PHOTO, other(1), BLACK, other(2)).check(Path("photos"))
    assert said == ["images without content in photos: 1 black and 0 saturated of 4 images"]


def test_backlit_parts_are_images(said):
    silhouette = np.full((20, 20, 3), 255, np.uint8)
    silhouette[5:15, 5:15] = 0
    seen(silhouette, silhouette[::-1, 3:]).check(Path("photos"))
    seen(PHOTO).check(Path("photos"))
    assert said == []


def test_an_image_that_fills_up_a_batch_counts_once():
    found = seen(PHOTO)
    found.add(0, PHOTO)
    found.check(Path("photos"))
