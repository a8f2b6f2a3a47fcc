"""What may change between two photos of a good part: its rotation, and the light.

Source of the rotation policy: DeSTSeg, supplement A; its fill color is the released code's.
"""

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.images import Image
from edgeseg.errors import ConfigError

FILL = (114, 114, 114)
WOBBLE = 5.0  # degrees


def rotate(image: Image, policy: str, rng: Generator) -> Image:
    """Rotate uint8 [S, S, 3] by policy: `none`, `slight` (5 degrees), `full` (any side up too)."""
    if policy == "none":
        return image
    if policy == "paper":
        raise ConfigError(
            "The rotation 'paper' stands for one of none, slight, full, by the data's category.",
            remedy="call edgeseg.data.policy.settle(config, dataset) before the training",
        )
    angle = rng.uniform(-WOBBLE, WOBBLE)
    if policy == "full":
        angle += 90.0 * rng.integers(4)
    side = image.shape[0]
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), float(angle), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (side, side), borderValue=FILL), np.uint8)


def relight(image: Image, strength: float, rng: Generator) -> Image:
    """Change gain and offset at random: at strength 1 by a factor of 2 and by 64 grey levels."""
    if strength == 0.0:
        return image
    gain = 2.0 ** rng.uniform(-strength, strength)
    offset = 64.0 * rng.uniform(-strength, strength)
    levels = np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)
    return np.asarray(levels[image])
