"""A picture of what went most wrong: image, truth and map of the worst misses and false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask, read_image, resize

TILE = 192  # longest side of a tile, pixels
GAP = 6
STRIP = 20  # height of a line of text, pixels
LETTERS = 72  # of the font below that fit over three tiles
WHITE, GRAY, RED = (255, 255, 255), (150, 150, 150), (255, 60, 60)


@dataclass(frozen=True)
class Case:
    """One image of the sheet; `truth` is None where nobody has drawn it."""

    path: Path
    title: str
    anomaly_map: NDArray[np.float32]
    """[S, S]"""
    truth: Mask | None
    """[S, S]"""


def draw_sheet(misses: Sequence[Case], alarms: Sequence[Case], threshold: float) -> Image:
    """Draw both kinds side by side, the worst on top; RGB uint8 [H, W, 3].

    The heat over an image is at its hottest where the map reaches `threshold`, so what is dark red
    would be marked.
    """
    rows = max(len(misses), len(alarms))
    blocks = [
        _block("Defective, lowest scores first", misses, rows, threshold),
        _block("Good, highest scores first", alarms, rows, threshold),
    ]
    return np.hstack(blocks)


def _block(heading: str, cases: Sequence[Case], rows: int, threshold: float) -> Image:
    strips = [_text(heading if cases else f"{heading}: none", WHITE)]
    strips.append(_text("image, truth (red), map (dark red: marked)", GRAY))
    for case in cases:
        strips += [_text(case.title[-LETTERS:], WHITE), _tiles(case, threshold)]
    block = np.vstack(strips)
    missing = (rows - len(cases)) * (STRIP + TILE + GAP)
    return np.pad(block, ((GAP, missing), (GAP, GAP), (0, 0)))


def _tiles(case: Case, threshold: float) -> Image:
    """Return image, truth and map of one case, uint8 [TILE + GAP, 3 * (TILE + GAP), 3]."""
    image = read_image(case.path)
    scale = TILE / max(image.shape[:2])
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    small = resize(image, height, width)
    gray = np.repeat(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)

    truth = gray.copy()
    if case.truth is not None:
        mask = cv2.resize(case.truth.astype(np.uint8), (width, height)) > 0
        truth[mask] = (truth[mask] + np.array(RED)) // 2
    heat = np.clip(case.anomaly_map / max(threshold, 1e-9), 0, 1)
    warmth = cv2.resize((255 * heat).astype(np.uint8), (width, height))
    colors = cv2.cvtColor(cv2.applyColorMap(warmth, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    overlay = cv2.addWeighted(gray, 0.5, colors, 0.5, 0)

    row = np.zeros((TILE + GAP, 3 * (TILE + GAP), 3), np.uint8)
    for place, tile in enumerate((small, truth, overlay)):
        left = place * (TILE + GAP)
        row[:height, left : left + width] = tile
    if case.truth is None:
        cv2.putText(row, "no mask", (TILE + 2 * GAP, STRIP), *_FONT, GRAY)
    return row


def _text(line: str, color: tuple[int, int, int]) -> Image:
    strip = np.zeros((STRIP, 3 * (TILE + GAP), 3), np.uint8)
    plain = line.encode("ascii", "replace").decode()  # the font has no other letters
    cv2.putText(strip, plain, (0, STRIP - 6), *_FONT, color, lineType=cv2.LINE_AA)
    return strip


_FONT = (cv2.FONT_HERSHEY_SIMPLEX, 0.42)
