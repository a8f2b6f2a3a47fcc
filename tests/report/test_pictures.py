"""Which photos are shown, and that they keep their shape."""

import base64

import numpy as np
import pytest

from edgeseg.data.formats.decode import decode
from edgeseg.heat import OUTLINE
from edgeseg.report.pictures import SIDE, TRUTH, _outlined, choose, fitted, jpeg, legend
from tests.report.conftest import measured


def opened(uri):
    return decode(base64.b64decode(uri.partition(",")[2]), "picture").astype(int)


def test_the_photos_that_tell_most_are_chosen():
    good, bad = [k / 20 for k in range(12)], [0.2, 0.3, 0.7, 0.8, 0.9]
    found = {choice.title: [row.score for row in choice.rows] for choice in choose(
        measured(good, bad, threshold=0.5, unknown=5)
    )}  # fmt: skip
    assert found == {
        "Defective parts that pass as good": [0.2, 0.3],
        "Good parts that are rejected": [0.55],
        "Good parts nearest to the threshold": [0.5, 0.45, 0.4],
        "Typical detections": [0.8],
        "Photos that cannot be judged": [0.1] * 4,
        "Good parts with the lowest scores": [0.0, 0.05, 0.1],
    }


def test_a_good_photo_is_not_shown_as_nearest_and_as_lowest():
    titles = [choice.title for choice in choose(measured([0.1, 0.2], []))]
    assert titles == ["Good parts nearest to the threshold"]


@pytest.mark.parametrize("size", [(30, 120), (120, 30), (1080, 1920), (3, 7), (1, 2000)])
def test_a_picture_keeps_the_shape_of_its_photo(size):
    found = opened(jpeg(fitted(np.full((*size, 3), 90, np.uint8))))
    height, width = found.shape[:2]
    assert max(height, width) <= SIDE and max(height, width) >= min(SIDE, 4 * max(size))
    assert abs(height - size[0] * width / size[1]) <= max(1, size[0] * 0.01)


def test_the_outline_is_around_the_defect_and_not_on_it():
    mask = np.zeros((20, 40), np.uint8)
    mask[8:12, 10:20] = 1
    found = _outlined(np.full((100, 200, 3), 128, np.uint8), mask)
    line = (found == TRUTH).all(axis=2)
    assert line.any() and not line[42:58, 52:98].any()
    assert TRUTH != OUTLINE


def test_the_legend_is_clear_then_blue_then_warm():
    row = opened(legend())[5]
    assert (row[0] == row[70]).all()
    assert row[155, 2] > row[155, 0] and row[165, 0] > row[165, 2] + 20
