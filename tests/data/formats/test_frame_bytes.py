"""Pictures become the bytes of a camera, and OpenCV reads the picture from them."""

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import to_bgr, write_frame
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape

COLORS = {"red": (200, 40, 30), "green": (40, 180, 60), "blue": (20, 60, 190), "gray": (90,) * 3}
EXACT = ("bgr", "rgb", "gray", "bayer_rggb")


def frame_of(picture, order, kind):
    frame = np.zeros(frame_shape(kind, *picture.shape[:2]), np.uint8)
    write_frame(picture, order, frame, kind)
    return frame


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
@pytest.mark.parametrize("color", COLORS)
def test_a_flat_color_comes_back(kind, color):
    rgb = np.full((8, 12, 3), COLORS[color], np.uint8)
    seen = to_bgr(frame_of(rgb, "rgb", kind), kind)[:, :, ::-1]
    wanted = (
        rgb
        if kind != "gray"
        else cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    )
    assert seen.shape == rgb.shape
    assert np.abs(seen.astype(int) - wanted).max() <= (0 if kind in EXACT else 2)


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_the_order_of_the_channels_is_told(kind):
    rgb = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    np.testing.assert_array_equal(frame_of(rgb, "rgb", kind), frame_of(bgr, "bgr", kind))


def test_the_bytes_lie_as_the_formats_say():
    rgb = np.zeros((2, 4, 3), np.uint8)
    rgb[:, 2:] = 255  # black, black, white, white
    yuyv, uyvy, nv12 = (frame_of(rgb, "rgb", kind) for kind in ("yuyv", "uyvy", "nv12"))
    assert yuyv[0].ravel().tolist() == [16, 128, 16, 128, 235, 128, 235, 128]
    assert uyvy[0].ravel().tolist() == [128, 16, 128, 16, 128, 235, 128, 235]
    assert nv12[:, :, 0].tolist() == [[16, 16, 235, 235]] * 2 + [[128] * 4]


def test_a_bayer_frame_has_red_first():
    rgb = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    assert frame_of(rgb, "rgb", "bayer_rggb")[:2, :, 0].tolist() == [[10, 20] * 2, [20, 30] * 2]


def test_pixels_that_share_a_color_get_its_average():
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[:, 0] = (255, 0, 0)
    red = frame_of(np.full((2, 2, 3), (255, 0, 0), np.uint8), "rgb", "nv12")[2, :, 0].astype(int)
    mixed = frame_of(rgb, "rgb", "nv12")[2, :, 0].astype(int)
    assert np.abs(mixed - (red + 128) / 2).max() <= 1
