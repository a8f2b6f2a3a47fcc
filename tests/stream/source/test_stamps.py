"""A stamp comes back from the picture as it was drawn."""

import cv2
import numpy as np
import pytest

from edgeseg.stream.source.stamps import Stamp, draw_stamp, read_stamp

STAMP = Stamp(0x1234ABCD, 0x8899AABBCCDD)


def stamped(height=480, width=640, channels=3, stamp=STAMP):
    image = np.full((height, width, channels), 120, np.uint8)
    draw_stamp(image, stamp)
    return image


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(480, 640, 3), (1080, 1920, 3), (96, 256, 3), (50, 130, 1), (48, 64, 3), (12, 32, 3)],
)
@pytest.mark.parametrize("stamp", [STAMP, Stamp(0, 0), Stamp(2**32 - 1, 2**48 - 1)])
def test_a_stamp_is_read_back(height, width, channels, stamp):
    assert read_stamp(stamped(height, width, channels, stamp)) == stamp


def test_the_cells_are_the_bits_in_the_order_of_the_docstring():
    image = stamped(stamp=Stamp(0x80000001, 0xC00000000000))
    rows = image[-24:, :256, 0]
    assert (rows[0:8, 0:8] == 255).all() and (rows[0:8, 248:256] == 255).all()
    assert (rows[0:8, 8:248] == 0).all()
    assert (rows[8:16, 0:16] == 255).all() and (rows[8:16, 16:] == 0).all()


@pytest.mark.parametrize("quality", [95, 30, 10])
def test_a_stamp_outlives_jpeg(quality):
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    data = cv2.imencode(".jpg", stamped(), parameters)[1]
    assert read_stamp(cv2.imdecode(data, cv2.IMREAD_COLOR)) == STAMP


def test_a_picture_without_a_stamp_has_none():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for image in (noise, np.zeros_like(noise), np.full_like(noise, 255), stamped()[::-1]):
        assert read_stamp(image) is None


def test_one_wrong_cell_is_noticed():
    image = stamped()
    image[-24:-16, 0:8] = 255 - image[-24:-16, 0:8]
    assert read_stamp(image) is None


def test_a_picture_without_room_keeps_its_pixels_and_has_no_stamp():
    image = stamped(8, 31)
    assert read_stamp(image) is None
    assert not (image == 255).any()


def test_the_delay_is_in_seconds():
    assert Stamp(0, 2_000_000).delay(2_500_000_000) == 0.5
