"""Perlin noise, and random masks made from it.

Sources: Perlin, Improving Noise, SIGGRAPH 2002 (the fifth-degree fade); DeSTSeg, Zhang et al., CVPR
2023, section 3.1, with the parameters of the authors' released code.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Mask
from edgeseg.frame.geometry import Size, middle

MAX_LOG_CELLS = 5  # 2^k noise cells per axis, k = 0..5, independently
MASK_ABOVE = 0.5  # threshold of the noise, in [-1, 1]


def perlin_mask(rng: Generator, size: Size) -> Mask:
    """Return where rotated Perlin noise of random scale exceeds MASK_ABOVE, bool, of a size.

    It is the middle of a square as wide as the longer side, so that the noise has no direction.
    """
    rows, columns = (int(2**k) for k in rng.integers(0, MAX_LOG_CELLS + 1, 2))
    side = max(size)
    noise = perlin(rng, (side, side), rows, columns)
    center = ((side - 1) / 2, (side - 1) / 2)
    turn = cv2.getRotationMatrix2D(center, float(rng.uniform(-90, 90)), 1.0)
    inside = middle(size, (side, side))
    turned = cv2.warpAffine(noise, turn, (side, side))
    return np.asarray(turned[inside.rows, inside.columns] > MASK_ABOVE)


def perlin(rng: Generator, size: Size, rows: int, columns: int) -> NDArray[np.float32]:
    """Return Perlin gradient noise over a grid of cells, float32 of a size, in [-1, 1]."""
    angles = rng.uniform(0, 2 * np.pi, (rows + 1, columns + 1)).astype(np.float32)
    row, y = _cells(size[0], rows)
    column, x = _cells(size[1], columns)
    fade_y, fade_x = _fade(y)[:, None], _fade(x)[None, :]

    def corner(down: int, right: int) -> NDArray[np.float32]:
        slope_y = np.sin(angles)[row + down][:, column + right]
        slope_x = np.cos(angles)[row + down][:, column + right]
        return np.asarray(slope_y * (y - down)[:, None] + slope_x * (x - right)[None, :])

    top = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    return np.asarray(np.float32(np.sqrt(2)) * (top + fade_y * (bottom - top)))


def _cells(side: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the cell of each pixel of an axis, and its position inside the cell, 0 to 1."""
    place = np.arange(side) * (count / side)
    cell = place.astype(np.intp)
    return cell, (place - cell).astype(np.float32)


def _fade(t: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(t**3 * (t * (t * 6 - 15) + 10))
