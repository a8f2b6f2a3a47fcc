"""Synthetic anomalies: a texture, blended into a good image where Perlin noise is high.

Source: DeSTSeg, Zhang et al., CVPR 2023, section 3.1, Eq. (1), after DRAEM (Zavrtanik et al., ICCV
2021), with the parameters of the released code. All random numbers come from a NumPy generator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.defects import mark, patch, shade
from edgeseg.data.images import Image, Mask
from edgeseg.data.natural import natural
from edgeseg.data.noise import perlin_mask
from edgeseg.data.textures import Textures

TRIES = 8  # drawings, until one has a pixel where anomalies may be
Drawing = Callable[[Image, Generator], tuple[Image, Mask]]


@dataclass(frozen=True)
class Corruptor:
    """Adds synthetic anomalies to good images."""

    textures: Textures
    opacity: tuple[float, float] = (0.2, 1.0)
    """Range of beta in Eq. (1)."""
    gray: bool = False
    """Use textures in gray, as suits gray parts."""
    shading: float = 0.0
    """Share of anomalies that are large regions of another brightness."""
    marks: float = 0.0
    """Share that are cracks, scratches and pores."""
    patches: float = 0.0
    """Share that are regions of the image copied from another place."""
    natural: float = 0.0
    """Share that keep the material: torn surfaces, cracks, pieces of other parts."""
    others: Sequence[Image] = ()
    """Good images of the same size, for the pieces of other parts."""
    intact: float = 0.0
    """Share of images without an anomaly."""
    inside: Mask | None = None
    """Where anomalies may be, bool [H, W] of the images' size; None: everywhere."""

    def corrupt(self, image: Image, rng: Generator) -> tuple[Image, Mask]:
        """uint8 [H, W, 3] -> (corrupted uint8 [H, W, 3], mask bool [H, W]).

        The mask may be empty, because the noise does not always exceed its threshold.
        """
        if self.intact and rng.random() < self.intact:
            return image, np.zeros(image.shape[:2], np.bool_)
        if self.inside is None:
            return self._draw(image, rng)
        for _ in range(TRIES):
            corrupted, mask = self.restrict(image, *self._draw(image, rng))
            if mask.any():
                break
        return corrupted, mask

    def restrict(self, image: Image, changed: Image, mask: Mask) -> tuple[Image, Mask]:
        """Return a changed image and its mask without what was changed where nothing may be."""
        if self.inside is None:
            return changed, mask
        return np.where(self.inside[:, :, None], changed, image), mask & self.inside

    def _draw(self, image: Image, rng: Generator) -> tuple[Image, Mask]:
        size = image.shape[0], image.shape[1]
        if drawn := self._choose(rng):
            return drawn(image, rng)
        mask = perlin_mask(rng, size)
        texture = self.textures.draw(rng, size)
        if self.gray:
            texture = np.repeat(cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        beta = rng.uniform(*self.opacity)
        corrupted = image.copy()
        blend = beta * texture[mask] + (1 - beta) * image[mask]
        corrupted[mask] = np.rint(blend).astype(np.uint8)
        return corrupted, mask

    def _choose(self, rng: Generator) -> Drawing | None:
        """Return the defect to draw, or None for a texture."""
        shares = (
            (self.shading, shade),
            (self.marks, mark),
            (self.patches, patch),
            (self.natural, partial(natural, others=self.others)),
        )
        if not any(share for share, _ in shares):
            return None
        place = rng.random()
        for share, drawing in shares:
            if place < share:
                return drawing
            place -= share
        return None


def trained_corruptor(
    training: Mapping[str, Any],
    textures: Textures,
    others: Sequence[Image] = (),
    inside: Mask | None = None,
) -> Corruptor:
    """Return the corruptor of a training; training: the settings in its card."""
    low, high = Corruptor.opacity
    return Corruptor(
        textures,
        opacity=(training.get("opacity_min", low), training.get("opacity_max", high)),
        gray=training.get("texture_color") == "gray",
        shading=training.get("shading", 0.0),
        marks=training.get("marks", 0.0),
        patches=training.get("patches", 0.0),
        natural=training.get("natural", 0.0),
        others=others,
        intact=training.get("intact", 0.0),
        inside=inside,
    )
