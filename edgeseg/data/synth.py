"""Synthetic anomalies: a texture, blended into a good image where Perlin noise is high.

Source: DeSTSeg, Zhang et al., CVPR 2023, section 3.1, Eq. (1), after DRAEM (Zavrtanik et al., ICCV
2021); the parameters are those of the authors' released code. Everything is drawn from a NumPy
generator, so that a seed gives the same images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.defects import mark, patch, shade
from edgeseg.data.images import Image, Mask
from edgeseg.data.noise import perlin_mask
from edgeseg.data.textures import Textures

Drawing = Callable[[Image, Generator], tuple[Image, Mask]]


@dataclass(frozen=True)
class Corruptor:
    """Turns a good image into an anomalous one and its mask."""

    textures: Textures
    opacity: tuple[float, float] = (0.2, 1.0)
    """The range of beta in Eq. (1)."""
    gray: bool = False
    """Paste textures without their color, as a grey part's real defects have none."""
    shading: float = 0.0
    """The share of anomalies that are a large region, lighter or darker than it was."""
    marks: float = 0.0
    """The share that are cracks, scratches and pores."""
    patches: float = 0.0
    """The share that are a piece of the image itself, from another place."""
    intact: float = 0.0
    """The share of images that get no anomaly."""

    def corrupt(self, image: Image, rng: Generator) -> tuple[Image, Mask]:
        """uint8 [S, S, 3] -> (corrupted uint8 [S, S, 3], mask bool [S, S]).

        The mask may be empty: noise does not always rise above its threshold.
        """
        side = image.shape[0]
        if self.intact and rng.random() < self.intact:
            return image, np.zeros((side, side), np.bool_)
        if drawn := self._other(rng):
            return drawn(image, rng)
        mask = perlin_mask(rng, side)
        texture = self.textures.draw(rng, side)
        if self.gray:
            texture = np.repeat(cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        beta = rng.uniform(*self.opacity)
        corrupted = image.copy()
        blend = beta * texture[mask] + (1 - beta) * image[mask]
        corrupted[mask] = np.rint(blend).astype(np.uint8)
        return corrupted, mask

    def _other(self, rng: Generator) -> Drawing | None:
        """Return what is drawn instead of a texture this time; None: a texture is pasted."""
        if not (self.shading or self.marks or self.patches):
            return None
        place = rng.random()
        for share, drawing in ((self.shading, shade), (self.marks, mark), (self.patches, patch)):
            if place < share:
                return drawing
            place -= share
        return None


def trained_corruptor(training: Mapping[str, Any], textures: Textures) -> Corruptor:
    """Return what pastes textures as a training did; training: its settings, from a card."""
    low, high = Corruptor.opacity
    return Corruptor(
        textures,
        opacity=(training.get("opacity_min", low), training.get("opacity_max", high)),
        gray=training.get("texture_color") == "gray",
        shading=training.get("shading", 0.0),
        marks=training.get("marks", 0.0),
        patches=training.get("patches", 0.0),
        intact=training.get("intact", 0.0),
    )
