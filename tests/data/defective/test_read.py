"""`read_defects`: the image at network size, and where its defect is."""

import numpy as np
import pytest

from edgeseg.data.defective.read import read_defects, shrink_mask
from edgeseg.data.images import write_png
from edgeseg.data.layouts import Sample
from edgeseg.errors import DataError
from edgeseg.frame.tiles import Tiles
from tests.kit.errors import fails

SIDE = 8


@pytest.fixture
def sample(tmp_path):
    """An image of 16 x 16 pixels with a mask of its upper left quarter."""
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :8] = 255
    write_png(tmp_path / "mask.png", mask)
    write_png(tmp_path / "a.png", np.full((16, 16, 3), 90, np.uint8))
    return Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png")


def read(sample, boxes=()):
    (found,) = read_defects([sample], {sample.path: boxes}, (SIDE, SIDE), "stretch", 16)
    return found


def test_a_mask_is_exact_and_goes_before_boxes(sample):
    expected = np.zeros((SIDE, SIDE), np.bool_)
    expected[:4, :4] = True
    found = read(sample, [(8, 8, 4, 4)])
    assert found.exact and found.image.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(found.region, expected)


def test_boxes_and_labels_say_where_the_defect_may_be(sample):
    sample = Sample(sample.path, "dent")
    boxed, labelled = read(sample, [(0, 0, 16, 4)]), read(sample)
    assert not boxed.exact and not labelled.exact
    assert boxed.region[:2].all() and not boxed.region[2:].any()
    assert labelled.region.all()


def test_an_empty_mask_tells_no_place(sample):
    write_png(sample.mask, np.zeros((16, 16), np.uint8))
    found = read(sample)
    assert not found.exact and found.region.all()


def test_a_mask_of_another_size_is_refused(sample):
    write_png(sample.mask, np.full((16, 15), 255, np.uint8))
    with fails(DataError, "data/mask-size"):
        read(sample)


def test_a_thin_line_stays_in_the_mask():
    line = np.zeros((64, 64), np.bool_)
    line[31] = True
    small = shrink_mask(line, 16, 16)
    assert small.any(axis=0).all() and small.sum() <= 2 * 16


TILES = Tiles(rows=1, columns=2, overlap=(0, 0))


def tiles_of(sample, boxes=()):
    return read_defects([sample], {sample.path: boxes}, (SIDE, SIDE), "stretch", 16, TILES)


def test_of_a_mask_those_tiles_are_kept_that_have_some_of_it(sample):
    """16 x 16 pixels are stretched to a grid of 16 x 8: two tiles, the mask in the left one."""
    (found,) = tiles_of(sample)
    assert found.exact and found.image.shape == (SIDE, SIDE, 3)
    assert found.region[:4].all() and not found.region[4:].any()


def test_of_boxes_the_tile_is_kept_that_has_most_of_them(sample):
    sample = Sample(sample.path, "dent")
    (found,) = tiles_of(sample, [(6, 0, 8, 16)])
    assert not found.exact and found.region[:, :6].all() and not found.region[:, 6:].any()


def test_nothing_is_known_of_the_tiles_of_a_labeled_image(sample):
    assert tiles_of(Sample(sample.path, "dent")) == []
