"""The one color scale of anomaly maps, and the colors of the verdicts, for every picture.

The scale is anchored at the pixel threshold. Up to half of it the picture is left as it is; up to
it lies a veil of blue gray; above it the colors go from orange to light yellow, which is reached at
twice the threshold. A pixel is warm exactly where the mask is set, so a part without an anomalous
pixel has none, and nothing is ever red or green. Blue and orange differ for every color deficiency,
and in print: above the threshold the colors only get lighter.

Source of the hues: Okabe and Ito, Color Universal Design, 2008.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Uint8Image = NDArray[np.uint8]
Bgr = tuple[int, int, int]

ANCHOR = 128  # of 256 levels: the first above the threshold
CLEAR = 64  # the highest level that leaves the picture unchanged: half the threshold
VEIL, VEILED = (0x5B, 0x70, 0x83), 0.4  # RGB, and its opacity just below the threshold
GLOW = ((0xC2, 0x5B, 0x00), (0xE6, 0x9F, 0x00), (0xF9, 0xD8, 0x56), (0xFF, 0xFA, 0xD2))  # RGB
GLOWING = (0.6, 0.85)  # opacity just above the threshold, and at the end of the scale

OUTLINE: Bgr = (0, 94, 213)  # BGR, of masks: vermilion, darker than the scale
GOOD: Bgr = (230, 230, 230)  # BGR, of the verdicts: neutral, orange, blue
ANOMALOUS: Bgr = (26, 159, 245)
UNKNOWN: Bgr = (242, 192, 110)


def verdict_color(verdict: str) -> Bgr:
    """Return the color of a verdict, BGR. Where it is used, a word or a shape says the same."""
    return {"good": GOOD, "unknown": UNKNOWN}.get(verdict, ANOMALOUS)


def levels(anomaly_map: NDArray[np.float32], threshold: float) -> Uint8Image:
    """Return the places of a map [S, S'] on the scale, uint8: from ANCHOR on it is anomalous."""
    scaled = anomaly_map * np.float32(ANCHOR / max(threshold, 1e-6))
    found: Uint8Image = np.fmin(np.fmax(scaled, 0), 255).astype(np.uint8)  # NaN: 0
    above = anomaly_map > threshold  # as in the graph: the product is rounded
    np.maximum(found, ANCHOR, out=found, where=above)
    return np.minimum(found, ANCHOR - 1, out=found, where=~above)


def blend(image: Uint8Image, level: Uint8Image) -> Uint8Image:
    """Return a BGR picture, uint8 [h, w, 3], under the colors of levels, uint8 of any size."""
    height, width = image.shape[:2]
    result = image.copy()
    full = cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR)
    _, colored = cv2.threshold(full, CLEAR, 0, cv2.THRESH_TOZERO)
    x, y, w, h = cv2.boundingRect(colored)
    if w and h:
        part = full[y : y + h, x : x + w]
        behind = cv2.multiply(result[y : y + h, x : x + w], _lookup(part, _KEPT), scale=1 / 255)
        result[y : y + h, x : x + w] = cv2.add(behind, _lookup(part, _LIGHT))
    return result


def _lookup(level: NDArray[Any], table: Uint8Image) -> Uint8Image:
    """Return uint8 [h, w, 3] of a table [256, 1, 3]; faster than indexing."""
    return np.asarray(cv2.applyColorMap(level, table), np.uint8)


def _tables() -> tuple[Uint8Image, Uint8Image]:
    """Return what is kept of the picture (255: all of it) and the light that is added, BGR."""
    places = np.arange(256)
    veil = VEILED * (places - CLEAR) / (ANCHOR - 1 - CLEAR)
    above = (places - ANCHOR) / (255 - ANCHOR)
    glow = GLOWING[0] + (GLOWING[1] - GLOWING[0]) * above
    opacity = np.where(places < ANCHOR, np.clip(veil, 0, VEILED), glow)[:, None]
    stops = np.linspace(0, 1, len(GLOW))
    ramp = np.stack([np.interp(above, stops, channel) for channel in np.array(GLOW).T], axis=1)
    color = np.where(places[:, None] < ANCHOR, np.array(VEIL), ramp)
    kept = np.repeat(255 * (1 - opacity), 3, axis=1)
    tables = np.rint(kept), np.rint((color * opacity)[:, ::-1])
    return tables[0].astype(np.uint8)[:, None], tables[1].astype(np.uint8)[:, None]


_KEPT, _LIGHT = _tables()
