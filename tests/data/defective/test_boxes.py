"""`boxes.csv`: read line by line, and refused with the line that is wrong."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.data.defective.boxes import BOXES, box_mask, read_boxes
from edgeseg.errors import DataError
from tests.kit.errors import fails

HEADER = "file,x,y,width,height\n"


def read(root, text):
    (root / BOXES).write_text(text)
    return read_boxes(root, [root / "bad/a.png", root / "bad/b, c.png"])


def test_boxes_of_several_images(tmp_path):
    lines = 'bad/a.png,1,2,3,4\n\nbad/a.png,5,6,7,8\n"bad/b, c.png",0,0,1,1'
    found = read(tmp_path, HEADER + lines)
    assert found == {
        tmp_path / "bad/a.png": [(1, 2, 3, 4), (5, 6, 7, 8)],
        tmp_path / "bad/b, c.png": [(0, 0, 1, 1)],
    }


def test_without_a_file_there_are_no_boxes(tmp_path):
    assert read_boxes(tmp_path, []) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("name,x,y,w,h\n", 1),
        (HEADER + "bad/a.png,1,2,3\n", 2),
        (HEADER + "bad/a.png,1,2,3,4\nbad/a.png,1,2,3,four\n", 3),
        (HEADER + "bad/a.png,1,2,0,4\n", 2),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, line):
    with fails(DataError, "data/boxes") as caught:
        read(tmp_path, text)
    assert f"{BOXES}, line {line}: " in caught.value.problem


def test_a_box_of_another_image_is_refused(tmp_path):
    with fails(DataError, "data/box-without-image"):
        read(tmp_path, HEADER + "good/a.png,1,2,3,4\n")


def test_a_mask_is_true_inside_the_boxes():
    mask = box_mask([(1, 2, 3, 4), (0, 0, 1, 1)], (8, 6), Path("a.png"))
    expected = np.zeros((8, 6), np.bool_)
    expected[2:6, 1:4] = expected[0, 0] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("box", [(4, 0, 3, 1), (0, 8, 1, 1), (-1, 0, 2, 2)])
def test_a_box_outside_of_the_image_is_refused(box):
    with fails(DataError, "data/boxes"):
        box_mask([box], (8, 6), Path("a.png"))
