"""Reading image files of all kinds, and a resize that equals Pillow's."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from edgeseg.data import images
from edgeseg.data.images import fill_frame, letterbox, read_image, resize, resize_mask
from edgeseg.errors import DataError
from edgeseg.frame.geometry import fit
from tests.kit.encoded import noise, saved
from tests.kit.errors import fails

# Four pixels, RGB: red, green, blue and a gray.
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 90, 90]]], np.uint8)
GRAY = np.array([[0, 7], [128, 255]], np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF"])
def test_lossless_rgb_is_exact(tmp_path, name):
    pixels = read_image(saved(tmp_path / name, RGB))
    np.testing.assert_array_equal(pixels, RGB)
    assert (pixels.dtype, pixels.flags.c_contiguous) == (np.uint8, True)


def test_gray_becomes_three_equal_channels(tmp_path):
    pixels = read_image(saved(tmp_path / "a.png", GRAY))
    np.testing.assert_array_equal(pixels, np.stack([GRAY] * 3, axis=2))


@pytest.mark.parametrize("alpha", [17, 255])
def test_alpha_is_dropped(tmp_path, alpha):
    rgba = np.dstack([RGB, np.full((2, 2), alpha, np.uint8)])
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", rgba)), RGB)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_depth_of_16_bit_files_is_their_real_one(tmp_path, bits):
    largest = 2**bits - 1
    deep = np.array([[0, largest // 2, largest]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), deep)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", bits)[0, :, 1], [0, 127, 255])


def test_a_value_above_the_depth_of_the_training_is_refused(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.png"), np.array([[7, 4096]], np.uint16))
    with fails(DataError, "data/bit-depth") as caught:
        read_image(tmp_path / "a.png", 12)
    assert "4096" in caught.value.problem and "a.png" in caught.value.problem


def test_the_depth_does_not_concern_8_bit_files(tmp_path):
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", RGB), 10), RGB)


def test_a_file_too_large_for_an_image_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGESEG_MAX_PIXELS", "1")
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 25)  # a hole: no space on the disk
    with fails(DataError, "data/image-size"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_refused(tmp_path):
    with fails(DataError, "data/unreadable"):
        read_image(tmp_path / "none.png")


SIZES = [(1080, 1920, 256), (480, 640, 256), (600, 200, 256), (100, 100, 256), (97, 131, 64)]


@pytest.mark.parametrize(("height", "width", "side"), SIZES)
def test_the_resize_is_pillows_within_one_gray_level(height, width, side):
    picture = cv2.GaussianBlur(noise(height, width), (0, 0), 2)
    picture[height // 3 : height // 2] = noise(height // 2 - height // 3, width)
    ours = resize(picture, side, side).astype(int)
    theirs = Pillow.fromarray(picture).resize((side, side), Pillow.Resampling.BILINEAR)
    assert np.abs(ours - np.asarray(theirs)).max() <= 1


def test_the_resize_of_one_channel_is_that_of_three():
    picture = noise(60, 80)
    np.testing.assert_array_equal(resize(picture[..., 1], 32, 32), resize(picture, 32, 32)[..., 1])


def test_resize_of_known_images():
    step = np.array([[0, 0, 200, 200]], np.uint8).repeat(4, axis=0)
    assert resize(step, 4, 4) is step
    # By half: a triangle of two pixels on each side, so 1/8, 3/8, 3/8, 1/8, normalized inside.
    np.testing.assert_array_equal(resize(step, 2, 2), [[29, 171], [29, 171]])
    constant = np.full((37, 53), 255, np.uint8)
    assert (resize(constant, 16, 16) == 255).all()


def test_resize_matrices_average_and_cannot_be_changed():
    matrix = images.resize_matrix(1920, 256)
    assert (matrix.shape, matrix.dtype) == ((256, 1920), np.float32)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


def test_resize_mask_is_antialiased_and_thresholded():
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    mask[5, 50] = True  # one pixel of 64 in its cell: gone after the filter
    small = resize_mask(mask, (8, 8))
    assert small.dtype == np.bool_
    assert small[:, :4].all()
    assert not small[:, 4:].any()


@pytest.mark.parametrize("source", ["rgb", "bgr"])
@pytest.mark.parametrize("target", ["rgb", "bgr"])
def test_fill_frame_converts_the_channel_order(source, target):
    picture = RGB if source == "rgb" else np.ascontiguousarray(RGB[..., ::-1])
    frame = np.zeros((2, 2, 3), np.uint8)
    fill_frame(frame, picture, source=source, target=target, aspect="stretch")
    np.testing.assert_array_equal(frame, RGB if target == "rgb" else RGB[..., ::-1])


@pytest.mark.parametrize("source", ["rgb", "bgr"])
def test_fill_frame_converts_to_gray_like_opencv(source):
    """ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B."""
    picture = RGB if source == "rgb" else np.ascontiguousarray(RGB[..., ::-1])
    slot = np.zeros((1, 2, 2, 1), np.uint8)
    fill_frame(slot[0], picture, source=source, target="gray", aspect="stretch")
    np.testing.assert_array_equal(slot[0, ..., 0], [[76, 150], [29, 90]])


@pytest.mark.parametrize("target", ["rgb", "bgr", "gray"])
def test_fill_frame_resizes_into_the_slot(target):
    slot = np.zeros((2, 12, 16, 1 if target == "gray" else 3), np.uint8)
    fill_frame(
        slot[1], np.full((30, 20, 3), 77, np.uint8), source="rgb", target=target, aspect="stretch"
    )
    assert (slot[1] == 77).all()
    assert (slot[0] == 0).all()


@pytest.mark.parametrize("pixels", [RGB, GRAY])
def test_write_png_round_trip(tmp_path, pixels):
    path = tmp_path / "out" / "a.png"
    images.write_png(path, pixels)
    np.testing.assert_array_equal(np.asarray(Pillow.open(path)), pixels)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_a_named_pipe_is_no_image_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with fails(DataError, "data/unreadable"):
        read_image(tmp_path / "pipe.png")


def circle(height, width, radius):
    """A white disc in the middle of a black picture."""
    picture = np.zeros((height, width, 3), np.uint8)
    cv2.circle(picture, (width // 2, height // 2), radius, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


def extent(picture):
    """Rows and columns between the first and the last bright pixel."""
    bright = picture[..., 0] > 127
    return tuple(int(np.ptp(np.flatnonzero(bright.any(axis=axis)))) for axis in (1, 0))


@pytest.mark.parametrize("size", [(240, 640), (640, 240), (400, 400)])
def test_a_circle_stays_a_circle_unless_it_is_stretched(size):
    picture = circle(*size, 100)
    high, wide = extent(letterbox(picture, (128, 192), "keep"))
    assert abs(high - wide) <= 1
    high, wide = extent(letterbox(picture, (128, 192), "stretch"))
    assert abs(high - wide) > 10


def test_a_letterbox_repeats_the_edge_of_the_scaled_image():
    picture = noise(60, 80)
    boxed, alone = letterbox(picture, (64, 64), "keep"), resize(picture, 48, 64)
    np.testing.assert_array_equal(boxed[8:56], alone)
    assert (boxed[:8] == alone[0]).all() and (boxed[56:] == alone[-1]).all()
    beside = letterbox(picture.transpose(1, 0, 2), (64, 64), "keep")
    np.testing.assert_allclose(beside.astype(int), boxed.transpose(1, 0, 2), atol=1)


def test_a_mask_is_scaled_into_its_box_and_false_around_it():
    mask = np.zeros((60, 80), bool)
    mask[:30] = True
    found = resize_mask(mask, (64, 64), fit(mask.shape, (64, 64)))
    assert found[8:32].all() and not found[:8].any() and not found[32:].any()
