"""The size of a pixel from drawn checkerboards."""

import cv2
import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import DataError
from edgeseg.evaluation.regions.checkerboard import measure_pixel
from tests.kit.errors import fails


def write_board(path, square=24.0, *, angle=0.0, stretch=1.0, narrow=1.0, columns=9, rows=7):
    """Write a photo of 480 x 360 of a board with squares of a size; narrow: at its far end."""
    pattern = np.kron(np.indices((rows, columns)).sum(0) % 2, np.ones((50, 50))) * 200 + 30
    half = np.array([columns * square * stretch, rows * square]) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    corners[:2, 0] *= narrow
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    target = 4 * (corners @ matrix.T + (240, 180)).astype(np.float32)
    height, width = pattern.shape
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    photo = cv2.warpPerspective(
        pattern.astype(np.float32),
        cv2.getPerspectiveTransform(source, target),
        (4 * 480, 4 * 360),
        borderValue=(235,),
    )
    photo = cv2.resize(photo, (480, 360), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    photo = np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)
    write_png(path, photo)
    return path


@pytest.mark.parametrize(("square", "angle"), [(24.0, 0), (31.5, 8), (18.0, 33), (20.0, 90)])
def test_a_pixel_is_measured_however_the_board_lies(tmp_path, square, angle):
    found = measure_pixel(write_board(tmp_path / "board.png", square, angle=angle), 5.0)
    assert found.mm == pytest.approx(5.0 / square, rel=0.001)
    assert found.picture == (360, 480)
    assert found.corners == 48 and found.off < 0.05
    assert "a picture of 480 x 360" in found.words()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stretch": 1.1}, "not equal"),
        ({"narrow": 0.6}, "not equal"),
        ({"square": 7.0}, "7.0 pixels"),
        ({"columns": 2, "rows": 2}, "no checkerboard"),
    ],
)
def test_what_has_no_single_size_of_a_pixel_is_refused(tmp_path, changes, words):
    with fails(DataError, "data/checkerboard") as caught:
        measure_pixel(write_board(tmp_path / "board.png", **changes), 5.0)
    assert words in caught.value.problem or "no checkerboard" in caught.value.problem


def test_a_photo_without_a_board_is_refused(tmp_path):
    write_png(tmp_path / "part.png", np.full((100, 100, 3), 90, np.uint8))
    with fails(DataError, "data/checkerboard"):
        measure_pixel(tmp_path / "part.png", 5.0)
