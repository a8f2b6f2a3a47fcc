"""The size of a pixel from one photo of a checkerboard that lies in the plane of the part.

One number holds for the whole picture only where the camera looks straight down on a flat board and
its lens bends no lines. So a grid of equal squares is fitted to the corners, and what does not fit
is refused: a tilted camera, a bent board, corners that were not found.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image, read_image
from edgeseg.errors import DataError
from edgeseg.files import shown
from edgeseg.frame.geometry import Size, size_text

LEAST = (3, 3)  # inner corners
STRETCHED, OFF = 0.02, 0.1
"""Most by which the sides of a square may differ, and a corner be off its place, in squares."""
SMALLEST = 8.0  # pixels of a square: corners are found within a tenth of a pixel


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel, and what it was measured on."""

    mm: float
    picture: Size
    corners: int
    off: float
    """Largest distance of a corner from its place in the grid, in squares."""

    def words(self) -> str:
        """Return what was found as text."""
        return (
            f"1 px is {self.mm:.6g} mm, from {self.corners} corners in a picture of "
            f"{size_text(self.picture)}; the worst is {100 * self.off:.1f} % of a square off its "
            "place"
        )


def measure_pixel(path: Path, square_mm: float) -> PixelSize:
    """Measure the size of a pixel; square_mm: side of a square.

    DataError (`data/checkerboard`) where no board of at least 4 x 4 squares is found, or where no
    grid of equal squares fits.
    """
    image = np.asarray(cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY), np.uint8)
    flags = cv2.CALIB_CB_LARGER | cv2.CALIB_CB_EXHAUSTIVE
    found, corners, meta = cv2.findChessboardCornersSBWithMeta(image, LEAST, flags)
    if not found:
        raise _refused(path, "no checkerboard was found (expected 4 x 4 squares or more)")
    grid = np.asarray(corners, np.float64).reshape(*meta.shape[:2], 2)
    axes, off = _fit(_refined(image, grid))
    one, other = np.linalg.norm(axes, axis=0)
    square = float(np.sqrt(abs(np.linalg.det(axes))))
    if square < SMALLEST:
        raise _refused(
            path, f"its squares have {square:.1f} pixels (expected {SMALLEST:g} or more)"
        )
    skew = abs(float(axes[:, 0] @ axes[:, 1])) / (one * other)
    if off > OFF or max(abs(one / other - 1), skew) > STRETCHED:
        raise _refused(
            path,
            f"its squares are not equal: sides of {one:.1f} and {other:.1f} pixels, a corner "
            f"{100 * off:.0f} % of a square off its place (expected a flat board, seen straight "
            "from above, without distortion)",
        )
    height, width = image.shape
    return PixelSize(square_mm / square, (height, width), grid.shape[0] * grid.shape[1], off)


def _refined(image: Image, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return corners [rows, columns, 2] to a hundredth of a pixel."""
    near = max(int(np.linalg.norm(grid[1, 0] - grid[0, 0]) / 4), 2)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    points = grid.reshape(-1, 1, 2).astype(np.float32)
    found = cv2.cornerSubPix(image, points, (near, near), (-1, -1), until)
    return np.asarray(found, np.float64).reshape(grid.shape)


def _fit(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Fit equal squares to corners [rows, columns, 2].

    Return the sides of a square as columns, in pixels, and the largest distance from the fit, in
    squares.
    """
    rows, columns = grid.shape[:2]
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    design = np.column_stack([places, np.ones(len(places))])
    points = grid.reshape(-1, 2)
    fitted, *_ = np.linalg.lstsq(design, points, rcond=None)
    axes: NDArray[np.float64] = np.array(fitted[:2].T, np.float64)
    distances = np.linalg.norm(design @ fitted - points, axis=1)
    return axes, float(distances.max() / np.linalg.norm(axes, axis=0).min())


def _refused(path: Path, problem: str) -> DataError:
    return DataError(
        f"{shown(path)}: {problem}",
        remedy="a sharp photo of the whole board with a white border; or --mm-per-px 0.05",
        code="data/checkerboard",
    )
