"""Gains: tiles that are busy on good parts count for less, and all share one threshold."""

import numpy as np
import pytest
import torch

from edgeseg.frame.tiles import Tiles
from edgeseg.model.fused import Fused
from edgeseg.model.tiles.gains import LARGEST, fit_gains, gains_images, gains_of
from tests.kit.rois import make_roi
from tests.model.tiles.test_tiling import SIDE, Green, TwoMaps

TILES = Tiles(rows=1, columns=3, overlap=(0, 0))
LEVELS = np.array([[20, 40, 60], [40, 80, 120]])
"""By image and tile: the highest gray value."""


def fuse(detector, tiles=TILES, *, frame_size=None, top=1, aspect="stretch"):
    return Fused(
        detector,
        network_size=SIDE,
        frame_size=frame_size or tiles.grid(SIDE),
        frame_format="rgb",
        aspect=aspect,
        top=top,
        tiles=tiles,
    )


def picture(place, channel=slice(0, 3)):
    grid = np.zeros((*TILES.grid(SIDE), 3), np.uint8)
    for level, box in zip(LEVELS[place], TILES.boxes(SIDE), strict=True):
        grid[box.top + 5, box.left + 7, channel] = level
    return grid


def test_gains_are_the_mean_over_the_own_peak():
    assert gains_of(np.array([[1.0, 2.0, 3.0]])) == pytest.approx((2, 1, 2 / 3), abs=1e-4)
    assert gains_of(LEVELS / 255) == pytest.approx((2, 1, 2 / 3), abs=1e-4)


def test_gains_are_bounded_and_a_tile_without_values_has_none():
    assert gains_of(np.array([[1.0, 100.0]])) == pytest.approx((LARGEST, 50.5 / 100), abs=1e-4)
    assert gains_of(np.array([[1.0, 0.0, 1.0]])) == (1, 1, 1)
    assert gains_of(np.zeros((2, 3))) == (1, 1, 1)


def test_good_images_have_the_same_peak_in_every_tile():
    tiles = fit_gains(fuse(Green()), 2, picture)
    assert tiles.gains == pytest.approx((2, 1, 2 / 3), abs=1e-4) and tiles.score_gains == ()
    frame = torch.from_numpy(picture(0)[None])
    found = fuse(Green(), tiles)(frame, torch.tensor([0.5]))[2]
    peaks = [float(found[0, box.rows, box.columns].max()) for box in tiles.boxes(SIDE)]
    assert peaks == pytest.approx([40 / 255] * 3, abs=1e-4)


def test_the_score_has_its_own_gains_by_as_many_values_as_it_averages():
    def red(place):
        grid = picture(place, slice(1, 3))
        grid[:, :, 0] = 51  # everywhere
        grid[3, 3, 0] = 255  # in the first tile
        return grid

    tiles = fit_gains(fuse(TwoMaps(), top=4), 2, red)
    assert tiles.gains == pytest.approx((2, 1, 2 / 3), abs=1e-4)
    first, *others = tiles.score_gains
    assert others[0] == others[1]
    assert others[0] / first == pytest.approx((255 + 3 * 51) / 4 / 51, abs=1e-3)


def test_the_filling_of_a_letterbox_does_not_count():
    module = fuse(Green(), frame_size=(16, 192), aspect="keep")
    assert module.content.rows == slice(8, 24)

    def bright(place):
        grid = picture(place)
        grid[:4] = 255
        grid[8:24] = 0
        for level, box in zip(LEVELS[place], TILES.boxes(SIDE), strict=True):
            grid[9, box.left] = level
        return grid

    assert fit_gains(module, 2, bright).gains == pytest.approx((2, 1, 2 / 3), abs=1e-4)


def test_only_what_is_inspected_counts():
    module = Fused(
        Green(),
        network_size=SIDE,
        frame_size=TILES.grid(SIDE),
        frame_format="rgb",
        aspect="stretch",
        top=1,
        tiles=TILES,
        roi=make_roi(TILES.grid(SIDE), left=(0, 0, 128, 10)),  # no pixel of the third tile
    )

    def bright(place):
        grid = picture(place)
        grid[20] = 255
        return grid

    assert fit_gains(module, 2, bright).gains == pytest.approx((1.5, 0.75, 1), abs=1e-4)


@pytest.mark.parametrize(("count", "columns", "images"), [(5, 4, 5), (500, 2, 100), (500, 64, 15)])
def test_the_number_of_images_follows_that_of_the_tiles(count, columns, images):
    assert gains_images(count, Tiles(rows=1, columns=columns, overlap=(0, 0))) == images
    assert gains_images(count, None) == 0
