"""A contact sheet of the worst errors: image, ground truth and anomaly map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask, read_image, resize
from edgeseg.heat import blend, levels
from edgeseg.lettering import write

TILE = 192  # longest side of a tile, pixels
GAP = 6
STRIP = 20  # height of a line of text, pixels
FONT = 13  # pixels
LETTERS = 80  # of a title, from its end
WHITE, GRAY, VIOLET = (255, 255, 255), (150, 150, 150), (204, 121, 167)  # RGB


@dataclass(frozen=True)
class SheetImage:
    """An image of the contact sheet; `truth` is None if there is no mask."""

    path: Path
    title: str
    anomaly_map: NDArray[np.float32]
    """[h, w], of the image alone"""
    truth: Mask | None
    """[h, w], of the image alone"""


def draw_sheet(
    misses: Sequence[SheetImage],
    false_rejects: Sequence[SheetImage],
    threshold: float,
    bit_depth: int = 16,
) -> Image:
    """Draw both kinds side by side, the worst first; RGB uint8 [H, W, 3].

    The colors of the map are those of heat.py: orange is above `threshold`. bit_depth: of the card,
    for images of 16 bits.
    """
    rows = max(len(misses), len(false_rejects))
    blocks = [
        _block("Defective, lowest scores first", misses, rows, threshold, bit_depth),
        _block("Good, highest scores first", false_rejects, rows, threshold, bit_depth),
    ]
    return np.hstack(blocks)


def _block(
    heading: str, cases: Sequence[SheetImage], rows: int, threshold: float, bit_depth: int
) -> Image:
    strips = [text_strip(heading if cases else f"{heading}: none", WHITE)]
    strips.append(
        text_strip("image; ground truth (violet); map (blue gray: below the threshold)", GRAY)
    )
    for case in cases:
        maps = [(case.anomaly_map, threshold)]
        strips += [text_strip(case.title[-LETTERS:], WHITE), tiles(case, maps, bit_depth)]
    block = np.vstack(strips)
    missing = (rows - len(cases)) * (STRIP + TILE + GAP)
    return np.pad(block, ((GAP, missing), (GAP, GAP), (0, 0)))


def tiles(
    case: SheetImage, maps: Sequence[tuple[NDArray[np.float32], float]], bit_depth: int
) -> Image:
    """Return image, ground truth and maps, uint8 [TILE + GAP, (2 + n) * (TILE + GAP), 3].

    maps: n maps [h, w] of the image, each with its pixel threshold.
    """
    image = read_image(case.path, bit_depth)
    scale = TILE / max(image.shape[:2])
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    small = resize(image, height, width)
    gray: Image = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    gray = np.repeat(gray[:, :, None], 3, axis=2)

    truth = gray.copy()
    if case.truth is not None:
        mask = cv2.resize(case.truth.astype(np.uint8), (width, height)) > 0
        truth[mask] = (truth[mask] + 2 * np.array(VIOLET)) // 3
    colored = [blend(gray, levels(*each))[:, :, ::-1] for each in maps]

    row = np.zeros((TILE + GAP, (2 + len(maps)) * (TILE + GAP), 3), np.uint8)
    for place, tile in enumerate((small, truth, *colored)):
        left = place * (TILE + GAP)
        row[:height, left : left + width] = tile
    if case.truth is None:
        write(row, "no mask", (TILE + 2 * GAP, STRIP), size=FONT, color=WHITE)
    return row


def text_strip(line: str, color: tuple[int, int, int], columns: int = 3) -> Image:
    """Return a line of text above tiles, uint8 [STRIP, columns * (TILE + GAP), 3]."""
    strip = np.zeros((STRIP, columns * (TILE + GAP), 3), np.uint8)
    write(strip, line, (0, STRIP - 6), size=FONT, color=color)
    return strip
