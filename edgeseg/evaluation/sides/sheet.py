"""The images on which two models differ: image, ground truth and the maps of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image
from edgeseg.evaluation.contact_sheet import (
    GAP,
    GRAY,
    LETTERS,
    WHITE,
    SheetImage,
    text_strip,
    tiles,
)

COLUMNS = 4


@dataclass(frozen=True)
class Pair:
    """An image, and the anomaly maps of A and B [h, w], which may have different sizes."""

    case: SheetImage
    """Its map is that of A."""
    other_map: NDArray[np.float32]


def draw_pairs(
    heading: str, pairs: Sequence[Pair], thresholds: tuple[float, float], bit_depth: int
) -> Image:
    """Draw one row for each image, RGB uint8 [H, W, 3]; thresholds: pixel, of A and B."""
    strips = [
        text_strip(heading, WHITE, COLUMNS),
        text_strip("image; ground truth (violet); map of A; map of B", GRAY, COLUMNS),
    ]
    for pair in pairs:
        maps = list(zip((pair.case.anomaly_map, pair.other_map), thresholds, strict=True))
        strips.append(text_strip(pair.case.title[-LETTERS:], WHITE, COLUMNS))
        strips.append(tiles(pair.case, maps, bit_depth))
    return np.pad(np.vstack(strips), ((GAP, GAP), (GAP, GAP), (0, 0)))
