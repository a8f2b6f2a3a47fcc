"""How a frame is cut into overlapping tiles, each of the network's size.

The frame is scaled once, to the size of the **grid**: the picture that all tiles cover together.
A tile is a rectangle of the grid, so neighbors see the same pixels where they overlap.

    --tiles 2x3         rows x columns
    --tile-size 512     as many as are needed for tiles of about 512 x 512 pixels of the frame
    --overlap 0.1       of the side of a tile, at least: it becomes a multiple of 8 network pixels

A run without tiles is a grid of 1 x 1.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeseg.errors import ConfigError
from edgeseg.frame.geometry import Box, Size, size_text
from edgeseg.schema import bounded
from edgeseg.settings import LARGEST_SIDE, setting

MOST = 64  # tiles in a row or a column
ALIGNED = 8  # pixels of the coarsest map: neighbors then have the same cells where they overlap
OVERLAP = 0.1
_COUNTS = re.compile(r"([0-9]{1,2})x([0-9]{1,2})")


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """A grid of overlapping tiles."""

    rows: int = bounded(1, MOST)
    columns: int = bounded(1, MOST)
    overlap: Size = bounded(0, LARGEST_SIDE)
    """Pixels of the network that neighbors share, (between rows, between columns)."""
    gains: tuple[float, ...] = bounded(0, 1000, default=())
    """By tile, row by row: what its anomaly map is multiplied by, so that the same threshold suits
    every tile; empty: all 1."""
    score_gains: tuple[float, ...] = bounded(0, 1000, default=())
    """Likewise, of the map of the score where that is another one."""

    @property
    def count(self) -> int:
        """The number of tiles."""
        return self.rows * self.columns

    def grid(self, tile: Size) -> Size:
        """Return the size of the grid for tiles of a size."""
        return (
            self.rows * tile[0] - (self.rows - 1) * self.overlap[0],
            self.columns * tile[1] - (self.columns - 1) * self.overlap[1],
        )

    def boxes(self, tile: Size) -> Iterator[Box]:
        """Yield where each tile lies in the grid, row by row."""
        down, right = (side - shared for side, shared in zip(tile, self.overlap, strict=True))
        for row in range(self.rows):
            for column in range(self.columns):
                yield Box(row * down, column * right, *tile)

    @property
    def name(self) -> str:
        """`2 x 3 tiles with overlap 24 and 32`, which tells this grid from others."""
        down, right = self.overlap
        return f"{self.rows} x {self.columns} tiles with overlap {right} and {down}"

    def text(self, tile: Size) -> str:
        """Return the name with the sizes of a tile and of the grid."""
        return (
            f"{self.rows} x {self.columns} tiles of {size_text(tile)}, overlap "
            f"{self.overlap[1]} and {self.overlap[0]} px, together {size_text(self.grid(tile))}"
        )


@dataclass(frozen=True, kw_only=True)
class TileRequest:
    """The tiles that were asked for, as settings of a command."""

    tiles: str | None = setting(
        None, "Cut frames into ROWSxCOLUMNS tiles, each of the network's size, e.g. 2x3"
    )
    tile_size: int | None = setting(
        None,
        "Cut frames into tiles of about this side, in pixels of the frame",
        low=16,
        high=LARGEST_SIDE,
    )
    overlap: float | None = setting(
        None,
        f"Least overlap of tiles, as a share of their side, 0..0.5 [default: {OVERLAP:g}]",
        low=0.0,
        high=0.5,
    )

    def check_tiles(self) -> None:
        """ConfigError for what makes no grid."""
        if self.tiles is not None and self.tile_size is not None:
            raise ConfigError(
                f"tiles is {self.tiles} and tile_size is {self.tile_size} (expected one of them)",
                remedy=f"--tile-size {self.tile_size}",
                code="config/conflict",
            )
        if self.overlap is not None and not self.tiled:
            raise ConfigError(
                f"overlap is {self.overlap:g}, and there are no tiles",
                remedy=f"--tiles 2x3 --overlap {self.overlap:g}",
                code="config/conflict",
            )
        if self.tiles is not None:
            parse_tiles(self.tiles)

    @property
    def tiled(self) -> bool:
        """Whether tiles were asked for."""
        return self.tiles is not None or self.tile_size is not None

    @property
    def share(self) -> float:
        """The overlap, as a share of the side of a tile."""
        return OVERLAP if self.overlap is None else self.overlap

    def tile_counts(self, frame: Size) -> Size:
        """Return (rows, columns) for frames of a size; ConfigError for too many."""
        if self.tiles is not None:
            return parse_tiles(self.tiles)
        if self.tile_size is None:
            return 1, 1
        step = self.tile_size * (1 - self.share)
        rows, columns = (1 + math.ceil(max(side - self.tile_size, 0) / step) for side in frame)
        if max(rows, columns) > MOST:
            least = math.ceil(max(frame) / (1 + (MOST - 1) * (1 - self.share)))
            raise ConfigError(
                f"tiles of {self.tile_size} pixels are too many for frames of {size_text(frame)}: "
                f"{rows} x {columns} (expected at most {MOST} x {MOST})",
                remedy=f"--tile-size {least}",
                code="config/out-of-range",
            )
        return rows, columns

    def tile_shape(self, frame: Size) -> Size:
        """Return the size of a tile in a frame, in pixels of the frame."""
        counts = self.tile_counts(frame)
        sides = zip(frame, counts, strict=True)
        height, width = (round(side / (n - (n - 1) * self.share)) for side, n in sides)
        return max(height, 1), max(width, 1)

    def grid_of(self, tile: Size, frame: Size) -> Tiles | None:
        """Return the grid for frames of a size, of tiles of the network's size; None for 1 x 1."""
        rows, columns = self.tile_counts(frame)
        if rows == columns == 1:
            return None
        shared = (math.ceil(self.share * side / ALIGNED - 1e-9) * ALIGNED for side in tile)
        down, right = (
            0 if n == 1 else side for n, side in zip((rows, columns), shared, strict=True)
        )
        return Tiles(rows=rows, columns=columns, overlap=(down, right))


def parse_tiles(text: str) -> Size:
    """Turn `2x3` into 2 rows and 3 columns, each 1 to 64."""
    found = _COUNTS.fullmatch(text.strip().lower())
    rows, columns = map(int, found.groups()) if found else (0, 0)
    if not (1 <= rows <= MOST and 1 <= columns <= MOST):
        raise ConfigError(
            f"invalid --tiles: '{text[:40]}' (expected ROWSxCOLUMNS, 1 to {MOST} each)",
            remedy="--tiles 2x3",
            code="config/not-tiles",
        )
    return rows, columns
