"""What a file of areas holds, and masks as areas."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.images import Mask
from edgeseg.errors import DataError
from edgeseg.files import shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.roi import Area, Corners
from edgeseg.schema import bounded
from edgeseg.settings import LARGEST_SIDE

IGNORE = "ignore"  # the label of what is not inspected


@dataclass(frozen=True)
class Drawn:
    """The areas of one file, by label, and the size of its picture."""

    size: Size
    areas: tuple[Area, ...]


@dataclass(frozen=True, kw_only=True)
class Sized:
    """The size of a picture, as labeling tools name it."""

    height: int = bounded(1, LARGEST_SIDE)
    width: int = bounded(1, LARGEST_SIDE)

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.height, self.width


def reason(error: Exception) -> str:
    """Say what is wrong with a file, of an error in reading it."""
    return f"missing {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"


def not_understood(path: Path, problem: str) -> DataError:
    """Return the error of a file that is not understood (`data/roi`)."""
    return DataError(
        f"{shown(path)}: {problem}",
        remedy="--roi mask.png: white is inside, at the size of the images",
        code="data/roi",
    )


def rings_of(mask: Mask) -> tuple[Corners, ...]:
    """Return the outlines of a mask and of its holes; their area is exactly its pixels."""
    # Of a picture of twice the size each pixel of an outline is next to one corner.
    double = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    found, _ = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corners = (np.asarray((ring[:, 0] + 1) // 2, np.float64) for ring in found)
    return tuple(tuple((x, y) for x, y in ring.tolist()) for ring in corners)
