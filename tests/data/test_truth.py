"""Masks of every kind mark the same pixels, or are refused; what looks wrong is told."""

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.data.truth import check_masks, read_mask
from edgeseg.errors import DataError
from tests.kit.encoded import saved, turn_of
from tests.kit.errors import fails

DEFECT = np.zeros((40, 60), bool)
DEFECT[8:20, 10:31] = True
PART = DEFECT.astype(np.uint8)
CLASSES = PART.copy()
CLASSES[25:35, 40:50] = 2
BOTH = CLASSES > 0


@pytest.mark.parametrize("level", [1, 2, 100, 127, 128, 255])
@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_one_level_marks_the_defect(tmp_path, level, suffix):
    path = saved(tmp_path / f"m.{suffix}", PART * np.uint8(level))
    np.testing.assert_array_equal(read_mask(path), DEFECT)


@pytest.mark.parametrize("level", [1, 255, 4095, 32768, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_mark_the_defect(tmp_path, level, suffix):
    path = tmp_path / f"m.{suffix}"
    assert cv2.imwrite(str(path), PART.astype(np.uint16) * np.uint16(level))
    np.testing.assert_array_equal(read_mask(path), DEFECT)


@pytest.mark.parametrize("levels", [(1, 2), (100, 200), (3, 255), (127, 254), (120, 121)])
def test_every_class_is_a_defect(tmp_path, levels):
    pixels = np.choose(CLASSES, [0, *levels]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", pixels)), BOTH)


def test_a_palette_of_classes_marks_all_but_black(tmp_path):
    picture = Pillow.fromarray(CLASSES).convert("P")
    picture.putdata(CLASSES.ravel())
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 64, 0])
    picture.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), BOTH)


def test_one_bit_and_colors_mark_the_defect(tmp_path):
    one = saved(tmp_path / "1.png", PART * np.uint8(255), "1")
    np.testing.assert_array_equal(read_mask(one), DEFECT)
    red = saved(tmp_path / "red.png", np.dstack([PART * np.uint8(255), PART * 0, PART * 0]))
    np.testing.assert_array_equal(read_mask(red), DEFECT)


def test_an_antialiased_mask_is_cut_at_half(tmp_path):
    large = cv2.resize(PART * 255.0, (0, 0), fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    soft = cv2.resize(np.roll(large, (1, 2), (0, 1)), (60, 40), interpolation=cv2.INTER_AREA)
    soft = np.rint(soft).astype(np.uint8)
    assert len(np.unique(soft)) > 3
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", soft)), soft >= 128)


def test_a_blurred_mask_is_cut_at_half(tmp_path):
    soft = cv2.GaussianBlur(PART * np.uint8(255), (0, 0), 2)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", soft)), soft >= 128)


def test_a_jpeg_of_a_mask_marks_the_defect(tmp_path):
    path = saved(tmp_path / "m.jpg", PART * np.uint8(255), quality=50)
    np.testing.assert_array_equal(read_mask(path), DEFECT)


def test_a_jpeg_of_another_level_marks_the_defect_and_not_its_ringing(tmp_path):
    path = saved(tmp_path / "m.jpg", PART * np.uint8(100), quality=50)
    assert (np.asarray(Pillow.open(path))[~DEFECT] > 0).any()
    np.testing.assert_array_equal(read_mask(path), DEFECT)


def test_an_empty_jpeg_is_empty(tmp_path):
    assert not read_mask(saved(tmp_path / "m.jpg", PART * np.uint8(0))).any()


def test_each_of_many_instances_is_a_defect(tmp_path):
    pixels = np.zeros((200, 200), np.uint8)
    for number in range(24):
        row, column = divmod(number, 5)
        pixels[40 * row : 40 * row + 9, 40 * column : 40 * column + 9] = 10 * (number + 1)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", pixels)), pixels > 0)


@pytest.mark.parametrize("background", [0, 255])
def test_a_mask_in_the_alpha_channel_marks_the_defect(tmp_path, background):
    color = np.full((40, 60, 3), background, np.uint8)
    path = saved(tmp_path / "m.png", np.dstack([color, PART * np.uint8(255)]))
    np.testing.assert_array_equal(read_mask(path), DEFECT)


def test_alpha_of_one_value_and_alpha_that_agrees_change_nothing(tmp_path):
    white = np.dstack([PART * np.uint8(255)] * 3)
    for alpha in (np.full_like(PART, 255), np.zeros_like(PART), PART * np.uint8(255)):
        path = saved(tmp_path / "m.png", np.dstack([white, alpha]))
        np.testing.assert_array_equal(read_mask(path), DEFECT)


def test_colors_and_alpha_that_disagree_are_refused(tmp_path):
    white = np.dstack([PART * np.uint8(255)] * 3)
    path = saved(tmp_path / "m.png", np.dstack([white, (1 - PART) * np.uint8(255)]))
    with fails(DataError, "data/ambiguous-mask"):
        read_mask(path)


def test_an_empty_mask_is_read(tmp_path):
    assert not read_mask(saved(tmp_path / "m.png", PART * 0)).any()


def test_a_mask_is_turned_like_its_photo(tmp_path):
    path = saved(tmp_path / "m.jpg", PART * np.uint8(255), exif=turn_of(6), quality=95)
    np.testing.assert_array_equal(read_mask(path), np.rot90(DEFECT, -1))


@pytest.fixture
def dataset(tmp_path):
    """Three bad images with masks, two good ones."""
    gray = np.full((40, 60, 3), 90, np.uint8)
    for name in ("train/good/0", "test/good/0", *(f"test/dent/{n}" for n in range(3))):
        write_png(tmp_path / f"{name}.png", gray)
    for number in range(3):
        write_png(tmp_path / f"ground_truth/dent/{number}_mask.png", PART * np.uint8(255))
    return tmp_path


def told(root):
    return check_masks(open_dataset(root))


def replace(root, number, mask):
    write_png(root / f"ground_truth/dent/{number}_mask.png", mask.astype(np.uint8) * np.uint8(255))


def test_sound_masks_need_no_word(dataset):
    assert told(dataset) == []


@pytest.mark.parametrize(("mask", "word"), [(DEFECT & False, "empty"), (DEFECT | True, "99%")])
def test_an_empty_or_full_mask_is_told_by_name(dataset, mask, word):
    replace(dataset, 1, mask)
    (line,) = told(dataset)
    assert word in line and "1_mask.png" in line and line.startswith("1 mask")


def test_inverted_masks_are_told(dataset):
    for number in range(3):
        replace(dataset, number, ~DEFECT)
    (line,) = told(dataset)
    assert "inverted" in line


def test_missing_masks_are_told(dataset):
    (dataset / "ground_truth/dent/2_mask.png").unlink()
    (line,) = told(dataset)
    assert "1 of 3" in line and "dent/2.png" in line
    for number in range(2):
        (dataset / f"ground_truth/dent/{number}_mask.png").unlink()
    (line,) = told(dataset)
    assert "no defective image has a mask" in line


def test_a_mask_of_a_good_image_is_told_if_it_marks_pixels(dataset):
    path = dataset / "ground_truth/good/0_mask.png"
    write_png(path, PART * np.uint8(0))
    assert told(dataset) == []
    write_png(path, PART * np.uint8(255))
    (line,) = told(dataset)
    assert "good/0_mask.png" in line and "ignored" in line


def test_a_data_set_without_defects_needs_no_masks(tmp_path):
    write_png(tmp_path / "good/0.png", np.zeros((4, 4, 3), np.uint8))
    assert told(tmp_path) == []
