"""The bit depth of 16-bit files is found over a set of images."""

import cv2
import numpy as np
import pytest

from edgeseg.data.depth import bit_depth


def write(path, *values, dtype=np.uint16):
    assert cv2.imwrite(str(path), np.array([values], dtype))
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("largest", "bits"),
    [(200, 8), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14), (16384, 16)],
)
def test_the_smallest_depth_that_holds_every_value(tmp_path, suffix, largest, bits):
    dark = write(tmp_path / f"dark.{suffix}", 0, 3)
    bright = write(tmp_path / f"bright.{suffix}", 1, largest)
    assert bit_depth([dark, bright]) == bits


def test_values_shifted_to_the_upper_bits_need_all_16(tmp_path):
    assert bit_depth([write(tmp_path / "a.png", 16, 4095 << 4)]) == 16


def test_8_bit_files_have_no_say(tmp_path):
    files = [write(tmp_path / f"a.{s}", 0, 255, dtype=np.uint8) for s in ("png", "tif", "jpg")]
    assert bit_depth(files) == 16
    assert bit_depth([*files, write(tmp_path / "b.png", 4000)]) == 12


def test_unreadable_files_are_left_to_the_reader(tmp_path):
    (tmp_path / "cut.png").write_bytes(write(tmp_path / "a.png", 65535).read_bytes()[:-5])
    assert bit_depth([tmp_path / "cut.png", tmp_path / "none.png"]) == 16
    assert bit_depth([]) == 16
