"""Overlays for people: the frame with its anomaly map, the mask's outline and the verdict."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image

MIN_SIDE = 240  # pixels of the shorter side that a readable verdict needs
OPACITY = 0.6  # of the highest anomaly values; the part must stay visible
RED, GREEN, BLACK = (40, 40, 230), (60, 200, 60), (0, 0, 0)  # BGR


def draw(
    image: Image, mask: NDArray[np.uint8], anomaly_map: NDArray[np.float32], threshold: float
) -> Image:
    """Return the image with the anomaly map in color and the mask's outline in red.

    image: BGR uint8 [h, w, 3]; mask: uint8 [h, w]; anomaly_map: float32 [S, S], any size. Color and
    opacity are at half their range at the threshold, which shows how close a good part came.
    """
    height, width = mask.shape
    level = np.clip(anomaly_map / max(2.0 * threshold, 1e-6), 0.0, 1.0).astype(np.float32)
    colors = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = cv2.resize(OPACITY * level, (width, height))
    colors = cv2.resize(colors, (width, height))
    result = cv2.blendLinear(image, colors, 1.0 - weight, weight)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, outlines, -1, RED, max(min(height, width) // 256, 1))
    return np.asarray(result, np.uint8)


def zoom(height: int, width: int) -> int:
    """Return the integer factor that makes a small image large enough for text."""
    return max(-(-MIN_SIDE // min(height, width)), 1)


def enlarge(image: Image, factor: int) -> Image:
    """Repeat each pixel of uint8 [h, w] or [h, w, C] `factor` times in both directions."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else image


def write_verdict(image: Image, text: str, *, anomalous: bool) -> None:
    """Write a line into the top left corner, red if anomalous, else green.

    image: BGR uint8 [h, w, 3], changed in place. The text is scaled to fit the width.
    """
    height, width = image.shape[:2]
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(height // 360, 1)
    (unit, _), _ = cv2.getTextSize(text, font, 1.0, thickness)
    scale = min(0.95 * width / unit, height / 400)
    (text_width, text_height), below = cv2.getTextSize(text, font, scale, thickness)
    place = (max(width // 100, 2), text_height + below)
    color = RED if anomalous else GREEN
    corner = (2 * place[0] + text_width, text_height + 2 * below)
    cv2.rectangle(image, (0, 0), corner, BLACK, -1)
    cv2.putText(image, text, place, font, scale, color, thickness, cv2.LINE_AA)
