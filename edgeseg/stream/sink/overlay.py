"""Overlays for people: the frame with its anomaly map, the mask's outline and the verdict."""

from collections.abc import Sequence
from textwrap import wrap

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image
from edgeseg.heat import OUTLINE, blend, levels, verdict_color
from edgeseg.text import escaped
from edgeseg.verdict.regions import Region

MIN_SIDE = 240  # pixels of the shorter side that a readable verdict needs
DASHES = 24  # along each side of the border of an unknown frame
BLACK, OUTLINED = (0, 0, 0), (255, 255, 255)  # of the numbers, whatever is below them
GRAY = (150, 150, 150)
LEAST_SCALE = 0.6  # of the text's usual size: a longer text is broken into lines
MOST_LINES = 3
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(
    image: Image,
    mask: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    threshold: float,
    regions: Sequence[Region] = (),
    factor: int = 1,
    outlines: Sequence[tuple[str, NDArray[np.float64]]] = (),
) -> Image:
    """Return the image with the anomaly map in color, the outline of the mask and numbers.

    image: BGR uint8 [h, w, 3]; mask: uint8 [h, w]; anomaly_map: float32 [S, S'], any size; regions:
    get their numbers, from 1 on; factor: by which image and mask are larger than they are;
    outlines: of ROIs with their names, of ignored areas without. Colors: heat.py; the blue gray
    below the threshold shows how close a good part came.
    """
    result = blend(image, levels(anomaly_map, threshold))
    thickness = max(min(mask.shape) // 256, 1)
    _draw_rois(result, outlines, factor, thickness)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, contours, -1, OUTLINE, thickness)
    for number, region in enumerate(regions, 1):
        _number(result, number, tuple(factor * side for side in region.box))
    return result


def zoom(height: int, width: int) -> int:
    """Return the integer factor that makes a small image large enough for text."""
    return max(-(-MIN_SIDE // min(height, width)), 1)


def enlarge(image: Image, factor: int) -> Image:
    """Repeat each pixel of uint8 [h, w] or [h, w, C] `factor` times in both directions."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else image


def write_verdict(image: Image, text: str, verdict: str) -> None:
    """Write a line into the top left corner, behind a mark, and draw the border of the verdict.

    good: circle, no border; anomalous: triangle, border; unknown: square, dashed border.
    image: BGR uint8 [h, w, 3], changed in place; text: ASCII, scaled to fit the width, in
    several lines where it would be too small to read.
    """
    height, width = image.shape[:2]
    color = verdict_color(verdict)
    if verdict != "good":
        _border(image, color, dashed=verdict == "unknown")
    thickness, lines = max(height // 360, 1), [text]
    if (scale := _scale(text, image, thickness)) < LEAST_SCALE * height / 400:
        columns = max(int(len(text) * scale / (LEAST_SCALE * height / 400)), 1)
        lines = wrap(text, columns, max_lines=MOST_LINES, placeholder="...")
        scale = min(_scale(line, image, thickness) for line in lines)
    sizes = [cv2.getTextSize(line, FONT, scale, thickness) for line in lines]
    side, below = sizes[0][0][1], sizes[0][1]
    left = max(width // 100, 2)
    start, step = left + side + below, side + below
    end = start + max(wide for (wide, _), _ in sizes) + left
    cv2.rectangle(image, (0, 0), (end, step * len(lines) + below), BLACK, -1)
    _mark(image, verdict, (left, below, side), color)
    for number, line in enumerate(lines, 1):
        cv2.putText(image, line, (start, number * step), FONT, scale, color, thickness, cv2.LINE_AA)


def _scale(line: str, image: Image, thickness: int) -> float:
    """Return the scale of the font with which a line fits into an image, behind its mark."""
    height, width = image.shape[:2]
    (wide, tall), _ = cv2.getTextSize(line, FONT, 1.0, thickness)
    return float(min(0.95 * width / (wide + 2 * tall), height / 400))


def _draw_rois(
    image: Image,
    outlines: Sequence[tuple[str, NDArray[np.float64]]],
    factor: int,
    thickness: int,
) -> None:
    """Draw the outlines of ROIs in white, of ignored areas in gray, and each name once."""
    height, named = image.shape[0], set()
    for name, ring in outlines:
        corners = np.rint(ring * factor - 0.5).astype(np.int32)
        color = OUTLINED if name else GRAY
        for shade, thick in ((BLACK, thickness + 2), (color, thickness)):  # on any background
            cv2.polylines(image, [corners], True, shade, thick, cv2.LINE_AA)
        if name and name not in named:
            named.add(name)
            x, y = corners[corners[:, 1].argmin()].tolist()
            text = escaped(name).encode("ascii", "replace").decode()
            scale = max(height / 1100, 0.35)
            place = (max(x, 0), max(y - 3, round(25 * scale)))
            for shade, thick in ((BLACK, thickness + 2), (color, thickness)):
                cv2.putText(image, text, place, FONT, scale, shade, thick, cv2.LINE_AA)


def _number(image: Image, number: int, box: tuple[int, ...]) -> None:
    """Write the number of a region above its box, inside of the image."""
    left, top, width, _ = box
    height, right = image.shape[:2]
    scale, thickness = max(height / 900, 0.4), max(height // 720, 1)
    (wide, tall), below = cv2.getTextSize(str(number), FONT, scale, thickness)
    x = min(max(left + (width - wide) // 2, 0), max(right - wide, 0))
    y = max(top - below, tall + 1)
    for color, thick in ((BLACK, thickness + 2), (OUTLINED, thickness)):
        cv2.putText(image, str(number), (x, y), FONT, scale, color, thick, cv2.LINE_AA)


def _mark(image: Image, verdict: str, place: tuple[int, int, int], color: tuple[int, ...]) -> None:
    """Draw the mark of a verdict; place: left, top, side."""
    x, y, side = place
    if verdict == "good":
        cv2.circle(image, (x + side // 2, y + side // 2), side // 2, color, -1, cv2.LINE_AA)
    elif verdict == "unknown":
        cv2.rectangle(image, (x, y), (x + side, y + side), color, max(side // 5, 1))
    else:
        corners = np.array([[x + side // 2, y], [x, y + side], [x + side, y + side]], np.int32)
        cv2.fillConvexPoly(image, corners, color, cv2.LINE_AA)


def _border(image: Image, color: tuple[int, ...], *, dashed: bool) -> None:
    height, width = image.shape[:2]
    thick = max(min(height, width) // 120, 2)
    for strip in (image[:thick], image[-thick:]):
        strip[:, _dashes(width, dashed)] = color
    for strip in (image[:, :thick], image[:, -thick:]):
        strip[_dashes(height, dashed)] = color


def _dashes(length: int, dashed: bool) -> NDArray[np.bool_]:
    """Return where a side of the border is drawn, bool [length]."""
    return (np.arange(length) * DASHES // length) % 2 < (1 if dashed else 2)
