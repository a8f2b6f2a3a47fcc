"""How the bytes of the formats lie in memory."""

import pytest

from edgeseg.frame.pixel_formats import PIXEL_FORMATS, even_sides, frame_shape, picture_size

SHAPES = {
    "bgr": (48, 64, 3),
    "rgb": (48, 64, 3),
    "gray": (48, 64, 1),
    "yuyv": (48, 64, 2),
    "uyvy": (48, 64, 2),
    "nv12": (72, 64, 1),
    "bayer_rggb": (48, 64, 1),
}


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_the_shape_of_a_frame_and_its_picture(kind):
    assert frame_shape(kind, 48, 64) == SHAPES[kind]
    assert picture_size(kind, (5, *SHAPES[kind])) == (48, 64)


@pytest.mark.parametrize(
    ("kind", "height", "width", "rule"),
    [
        ("yuyv", 48, 63, "an even width"),
        ("uyvy", 47, 63, "an even width"),
        ("nv12", 47, 64, "an even width and height"),
        ("bayer_rggb", 48, 63, "an even width and height"),
    ],
)
def test_pixels_that_share_a_color_need_even_sides(kind, height, width, rule):
    with pytest.raises(ValueError, match=f"{kind} frames of {width}x{height}.*{rule}"):
        frame_shape(kind, height, width)


def test_odd_sides_are_fine_elsewhere():
    assert frame_shape("gray", 47, 63) == (47, 63, 1)
    assert frame_shape("yuyv", 47, 64) == (47, 64, 2)
    assert even_sides("bgr") == "any size"
