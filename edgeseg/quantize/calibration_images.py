"""Whether images can calibrate or judge a lower precision.

Ranges that were measured on nothing but black would clip everything else, and a gate that saw
nothing else would pass anything.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeseg.data.images import Image
from edgeseg.errors import GateFailed
from edgeseg.log import log

DARK, BRIGHT = 3, 252  # gray values up to and from which a pixel has no content
SHARE = 0.995  # of such pixels, all of one kind, in an image without content
MOST = 0.5  # share of images without content


@dataclass
class SeenImages:
    """Counts images by what they show."""

    black: int = 0
    saturated: int = 0
    digests: dict[int, bytes] = field(default_factory=dict)
    """By the image's place: a batch may be filled up with images that were seen."""

    def add(self, place: int, image: Image) -> None:
        """Count an image, uint8 [H, W, 3]."""
        if place not in self.digests:
            self.black += bool(np.mean(image <= DARK) >= SHARE)
            self.saturated += bool(np.mean(image >= BRIGHT) >= SHARE)
            self.digests[place] = hashlib.blake2b(image.tobytes()).digest()

    def check(self, origin: Path) -> None:
        """Raise GateFailed where the images are all alike, or mostly black or saturated."""
        count, empty = len(self.digests), self.black + self.saturated
        found = f"{self.black} black and {self.saturated} saturated of {count} images"
        if count > 1 and len(set(self.digests.values())) == 1:
            raise _refused(f"all {count} images of {origin} are alike", "gate/images-alike")
        if empty > MOST * count:
            raise _refused(f"images without content in {origin}: {found}", "gate/images-empty")
        if empty:
            log.warning(f"images without content in {origin}: {found}")


def _refused(problem: str, code: str) -> GateFailed:
    return GateFailed(
        f"{problem}: they tell nothing of a lower precision. Nothing was written.",
        remedy="name a folder with photos of good parts, taken as in production",
        code=code,
    )
