"""Augmentation of good images: rotation and lighting.

Source of the rotation: DeSTSeg, supplement A; the fill color is that of the released code.
"""

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.images import Image
from edgeseg.errors import ConfigError

FILL = (114, 114, 114)
MAX_TILT = 5.0  # degrees


def rotate(image: Image, policy: str, rng: Generator) -> Image:
    """Rotate uint8 [H, W, 3] about its middle, at the same size.

    policy: `none`, `slight` (up to 5 degrees), `full` (also by 90, 180, 270).
    """
    if policy == "none":
        return image
    if policy == "paper":
        raise ConfigError(
            "invalid rotation: paper (expected none, slight or full)",
            remedy="edgeseg.data.rotation_policy.resolve_rotation(config, dataset)",
            code="config/unresolved-rotation",
        )
    angle = rng.uniform(-MAX_TILT, MAX_TILT)
    if policy == "full":
        angle += 90.0 * rng.integers(4)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderValue=FILL), np.uint8)


def relight(image: Image, strength: float, rng: Generator) -> Image:
    """Change gain and offset at random, at strength 1 by up to a factor of 2 and 64 gray levels."""
    if strength == 0.0:
        return image
    gain = 2.0 ** rng.uniform(-strength, strength)
    offset = 64.0 * rng.uniform(-strength, strength)
    levels = np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)
    return np.asarray(levels[image])
