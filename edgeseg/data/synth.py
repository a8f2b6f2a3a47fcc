"""Synthetic anomalies: a texture, blended into a good image where Perlin noise is high.

Source: DeSTSeg, Zhang et al., CVPR 2023, section 3.1, Eq. (1), after DRAEM (Zavrtanik et al., ICCV
2021); the parameters are those of the authors' released code. Everything is drawn from a NumPy
generator, so that a seed gives the same images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask
from edgeseg.data.textures import Textures

MAX_LOG_CELLS = 5  # 2^k noise cells along an axis, k = 0..5, each axis for itself
MASK_ABOVE = 0.5  # of noise in [-1, 1]
SHADE_CELLS, SHADE_ABOVE = (1, 4), 0.2  # shaded regions are large: a fifth of the image
SHADE_STOPS = (0.15, 0.7)  # lighter or darker by a factor of 2^0.15 to 2^0.7


@dataclass(frozen=True)
class Corruptor:
    """Turns a good image into an anomalous one and its mask."""

    textures: Textures
    opacity: tuple[float, float] = (0.2, 1.0)
    """The range of beta in Eq. (1)."""
    gray: bool = False
    """Paste textures without their color, as a grey part's real defects have none."""
    shading: float = 0.0
    """The share of anomalies that are no texture: a large region, lighter or darker than it was."""

    def corrupt(self, image: Image, rng: Generator) -> tuple[Image, Mask]:
        """uint8 [S, S, 3] -> (corrupted uint8 [S, S, 3], mask bool [S, S]).

        The mask may be empty: noise does not always rise above its threshold.
        """
        side = image.shape[0]
        if self.shading and rng.random() < self.shading:
            return _shade(image, rng)
        mask = perlin_mask(rng, side)
        texture = self.textures.draw(rng, side)
        if self.gray:
            texture = np.repeat(cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        beta = rng.uniform(*self.opacity)
        corrupted = image.copy()
        blend = beta * texture[mask] + (1 - beta) * image[mask]
        corrupted[mask] = np.rint(blend).astype(np.uint8)
        return corrupted, mask


def trained_corruptor(training: Mapping[str, Any], textures: Textures) -> Corruptor:
    """Return what pastes textures as a training did; training: its settings, from a card."""
    low, high = Corruptor.opacity
    return Corruptor(
        textures,
        opacity=(training.get("opacity_min", low), training.get("opacity_max", high)),
        gray=training.get("texture_color") == "gray",
        shading=training.get("shading", 0.0),
    )


def _shade(image: Image, rng: Generator) -> tuple[Image, Mask]:
    """Make a large region of the part lighter or darker: stains, an uneven finish."""
    rows, columns = rng.integers(*SHADE_CELLS, 2, endpoint=True)
    mask = perlin(rng, image.shape[0], int(rows), int(columns)) > SHADE_ABOVE
    gain = 2.0 ** (rng.choice((-1, 1)) * rng.uniform(*SHADE_STOPS))
    corrupted = image.copy()
    corrupted[mask] = np.clip(np.rint(image[mask] * gain), 0, 255).astype(np.uint8)
    return corrupted, mask


def perlin_mask(rng: Generator, side: int) -> Mask:
    """Return where rotated Perlin noise of random scales is high, bool [side, side]."""
    rows, columns = (int(2**k) for k in rng.integers(0, MAX_LOG_CELLS + 1, 2))
    noise = perlin(rng, side, rows, columns)
    centre = ((side - 1) / 2, (side - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-90, 90)), 1.0)
    return np.asarray(cv2.warpAffine(noise, turn, (side, side)) > MASK_ABOVE)


def perlin(rng: Generator, side: int, rows: int, columns: int) -> NDArray[np.float32]:
    """Return Perlin gradient noise over a grid of cells, float32 [side, side] in [-1, 1].

    Source: Perlin, Improving Noise, SIGGRAPH 2002 (the fifth-degree fade).
    """
    angles = rng.uniform(0, 2 * np.pi, (rows + 1, columns + 1)).astype(np.float32)
    row, y = _cells(side, rows)
    column, x = _cells(side, columns)
    fade_y, fade_x = _fade(y)[:, None], _fade(x)[None, :]

    def corner(down: int, right: int) -> NDArray[np.float32]:
        slope_y = np.sin(angles)[row + down][:, column + right]
        slope_x = np.cos(angles)[row + down][:, column + right]
        return np.asarray(slope_y * (y - down)[:, None] + slope_x * (x - right)[None, :])

    top = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    return np.asarray(np.float32(np.sqrt(2)) * (top + fade_y * (bottom - top)))


def _cells(side: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return, for each pixel of an axis, its cell and its place inside the cell, 0 to 1."""
    place = np.arange(side) * (count / side)
    cell = place.astype(np.intp)
    return cell, (place - cell).astype(np.float32)


def _fade(t: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(t**3 * (t * (t * 6 - 15) + 10))
