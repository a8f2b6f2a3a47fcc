"""What people look at: the picture with its heat, the mask's outline, the verdict."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image

LEGIBLE = 240  # pixels of the shorter side below which a verdict cannot be read
HEAT = 0.6  # opacity of the hottest spot: the part must stay visible below it
RED, GREEN, BLACK = (40, 40, 230), (60, 200, 60), (0, 0, 0)  # BGR


def draw(
    picture: Image, mask: NDArray[np.uint8], heat: NDArray[np.float32], threshold: float
) -> Image:
    """Return the picture with the anomaly map as heat and the mask's outline in red.

    picture: BGR uint8 [h, w, 3]; mask: uint8 [h, w]; heat: float32 [S, S], any size.
    The heat is half of its full strength at the threshold, so one sees how close a part came.
    """
    height, width = mask.shape
    level = np.clip(heat / max(2.0 * threshold, 1e-6), 0.0, 1.0).astype(np.float32)
    colors = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = cv2.resize(HEAT * level, (width, height))
    colors = cv2.resize(colors, (width, height))
    result = cv2.blendLinear(picture, colors, 1.0 - weight, weight)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, outlines, -1, RED, max(min(height, width) // 256, 1))
    return np.asarray(result, np.uint8)


def zoom(height: int, width: int) -> int:
    """Return the whole factor that makes a small picture large enough to write on."""
    return max(-(-LEGIBLE // min(height, width)), 1)


def enlarge(picture: Image, factor: int) -> Image:
    """Repeat each pixel of uint8 [h, w] or [h, w, C] `factor` times in both directions."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else picture


def write_verdict(picture: Image, text: str, *, anomalous: bool) -> None:
    """Write a line into the top left corner, red for an anomalous part and green for a good one.

    picture: BGR uint8 [h, w, 3], changed in place. The line is as wide as the picture allows.
    """
    height, width = picture.shape[:2]
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(height // 360, 1)
    (unit, _), _ = cv2.getTextSize(text, font, 1.0, thick)
    scale = min(0.95 * width / unit, height / 400)
    (wide, tall), below = cv2.getTextSize(text, font, scale, thick)
    place = (max(width // 100, 2), tall + below)
    color = RED if anomalous else GREEN
    cv2.rectangle(picture, (0, 0), (2 * place[0] + wide, tall + 2 * below), BLACK, -1)
    cv2.putText(picture, text, place, font, scale, color, thick, cv2.LINE_AA)
