"""Where an image lies in a frame or in the network: known answers, and what holds for any size."""

import random

import pytest

from edgeseg.frame.geometry import MORE_PIXELS, TOLERANCE, Box, fit, middle, network_size, size_text

FITS = [
    ((480, 640), (256, 256), Box(32, 0, 192, 256)),
    ((640, 480), (256, 256), Box(0, 32, 256, 192)),
    ((100, 100), (64, 128), Box(0, 32, 64, 64)),
    ((48, 64), (96, 128), Box(0, 0, 96, 128)),
    ((192, 256), (224, 288), Box(0, 0, 224, 288)),  # 3 : 4 and 7 : 9 are 3.7 % apart
    ((1, 1000), (64, 64), Box(31, 0, 1, 64)),  # never without a pixel
]


@pytest.mark.parametrize(("size", "target", "box"), FITS)
def test_an_image_is_scaled_evenly_into_the_middle(size, target, box):
    assert fit(size, target) == box
    assert fit(size, target, "stretch") == Box(0, 0, *target)


def test_a_box_has_an_even_scale_or_fills_the_target_within_the_tolerance():
    rng = random.Random(0)
    for _ in range(500):
        size = rng.randint(64, 2000), rng.randint(64, 2000)
        target = 32 * rng.randint(4, 20), 32 * rng.randint(4, 20)
        box = fit(size, target)
        down, across = box.height / size[0], box.width / size[1]
        if box.size == target:
            assert 1 / (1 + TOLERANCE) - 1e-9 <= down / across <= 1 + TOLERANCE + 1e-9
        else:
            assert abs(box.height - across * size[0]) <= 0.5 or (
                abs(box.width - down * size[1]) <= 0.5
            )
        above, below = box.top, target[0] - box.top - box.height
        left, right = box.left, target[1] - box.left - box.width
        assert 0 <= below - above <= 1 and 0 <= right - left <= 1


NETWORKS = [
    ([(480, 640)], 256, (224, 288)),
    ([(1080, 1920)], 256, (192, 352)),
    ([(640, 480)], 128, (128, 96)),
    ([(192, 256)], 128, (96, 128)),
    ([(700, 700)], 256, (256, 256)),
    ([], 96, (96, 96)),
    ([(100, 100)] * 2 + [(100, 103)], 256, (256, 256)),
    ([(100, 300), (300, 100)], 96, (96, 96)),  # as many tall ones as wide ones
    ([(480, 640)] * 9 + [(10, 640)], 256, (224, 288)),  # one freak
]


@pytest.mark.parametrize(("sizes", "side", "network"), NETWORKS)
def test_the_network_takes_the_shape_of_the_images(sizes, side, network):
    assert network_size(sizes, side, "keep") == network
    assert network_size(sizes, side, "stretch") == (side, side)


def test_a_network_has_whole_strides_and_hardly_more_pixels_than_the_square():
    rng = random.Random(0)
    for _ in range(100):
        side = 32 * rng.randint(1, 20)
        height, width = network_size([(rng.randint(1, 3000), rng.randint(1, 3000))], side, "keep")
        assert height % 32 == 0 and width % 32 == 0
        assert 0 < height * width <= MORE_PIXELS * side * side


def test_a_box_of_a_frame_is_found_in_the_map():
    """A square photo in the middle of a wide frame, which fills half of a square network."""
    frame, network = (100, 200), (64, 64)
    inner, outer = fit(frame, network), fit((50, 50), frame)
    assert (inner, outer) == (Box(16, 0, 32, 64), Box(0, 50, 100, 100))
    assert outer.within(frame, inner) == Box(16, 16, 32, 32)
    assert Box(99, 0, 1, 1).within((100, 100), Box(5, 5, 10, 10)) == Box(14, 5, 1, 1)


def test_the_middle_and_the_text_of_a_size():
    assert middle((3, 10), (8, 8)) == Box(2, 0, 3, 8)
    assert size_text((480, 640)) == "640 x 480"
