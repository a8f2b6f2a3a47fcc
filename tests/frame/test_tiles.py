"""Which tiles a request makes, and how they cover the grid."""

import numpy as np
import pytest

from edgeseg.errors import ConfigError
from edgeseg.frame.tiles import TileRequest, Tiles, parse_tiles
from tests.kit.errors import fails


def test_rows_come_before_columns_and_neighbors_share_the_overlap():
    tiles = TileRequest(tiles="2x3", overlap=0.1).grid_of((64, 96), (200, 420))
    assert tiles == Tiles(rows=2, columns=3, overlap=(8, 16))
    assert tiles.count == 6 and tiles.grid((64, 96)) == (120, 256)
    places = [(box.top, box.left, *box.size) for box in tiles.boxes((64, 96))]
    assert places[0] == (0, 0, 64, 96)
    assert places[1] == (0, 80, 64, 96)
    assert places[3:] == [(56, 0, 64, 96), (56, 80, 64, 96), (56, 160, 64, 96)]


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("counts", ["1x4", "3x1", "5x2"])
def test_the_tiles_cover_the_grid_and_at_most_two_overlap_along_each_axis(counts, overlap):
    tiles, side = TileRequest(tiles=counts, overlap=overlap).grid_of((32, 64), (100, 100)), (32, 64)
    covered = np.zeros(tiles.grid(side), int)
    for box in tiles.boxes(side):
        assert covered[box.rows, box.columns].shape == side
        covered[box.rows, box.columns] += 1
    assert covered.min() == 1 and covered.max() <= 4
    assert (covered == 1).all() == (overlap == 0)


@pytest.mark.parametrize(
    ("frame", "counts"),
    [((512, 512), (1, 1)), ((513, 512), (2, 1)), ((3000, 4000), (7, 9)), ((100, 972), (1, 2))],
)
def test_a_tile_size_makes_as_many_tiles_as_are_needed(frame, counts):
    request = TileRequest(tile_size=512)
    assert request.tile_counts(frame) == counts
    assert max(request.tile_shape(frame)) <= 512
    tiles = request.grid_of((64, 64), frame)
    assert tiles is None if counts == (1, 1) else (tiles.rows, tiles.columns) == counts


def test_one_tile_is_no_grid():
    assert TileRequest(tiles="1x1").grid_of((64, 64), (480, 640)) is None
    assert TileRequest().grid_of((64, 64), (480, 640)) is None and not TileRequest().tiled


def test_a_single_row_has_no_overlap_to_share():
    assert TileRequest(tiles="1x2", overlap=0.5).grid_of((64, 64), (480, 640)).overlap == (0, 32)


@pytest.mark.parametrize("text", ["2", "0x3", "2x65", "2x3x4", "axb", ""])
def test_what_is_no_grid_is_refused(text):
    with fails(ConfigError, "config/not-tiles"):
        parse_tiles(text)


def test_contradictions_are_refused_with_a_remedy():
    with fails(ConfigError, "config/conflict"):
        TileRequest(tiles="2x3", tile_size=512).check_tiles()
    with fails(ConfigError, "config/conflict"):
        TileRequest(overlap=0.2).check_tiles()
    with fails(ConfigError, "config/out-of-range") as caught:
        TileRequest(tile_size=32).tile_counts((3000, 4000))
    least = int(caught.value.remedy.split()[1])
    assert TileRequest(tile_size=least).tile_counts((3000, 4000))[1] == 64
