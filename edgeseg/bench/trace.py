"""A run as a picture: one row for each part of the network, its layers as bars along the time.

Drawn with OpenCV into an RGB image. The layers lie end to end in the order in which they ran, each
as long as its typical time: no single run looks exactly like this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.data.images import Image

WIDTH, LEFT, RIGHT = 1800, 210, 30
TOP, ROW, BAR, BOTTOM = 86, 64, 44, 58
GAP = 1  # between bars, so that neighbors are told apart
INK, FAINT, PAPER, LIGHT = (30, 30, 30), (215, 215, 215), (255, 255, 255), (250, 250, 250)
COLORS = (  # RGB; apart for people who see no red or green
    (0, 114, 178),
    (213, 94, 0),
    (0, 140, 105),
    (150, 70, 130),
    (110, 110, 110),
)
TICKS = 10  # at most
FONT = cv2.FONT_HERSHEY_SIMPLEX

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; the last two are inside."""


@dataclass(frozen=True)
class Bar:
    """One layer in its row."""

    row: int
    label: str
    start: float
    """Milliseconds from the beginning of the run."""
    ms: float


def end_to_end(layers: Sequence[tuple[int, str, float]]) -> list[Bar]:
    """Return bars for (row, label, milliseconds), each behind the one before it."""
    bars, start = [], 0.0
    for row, label, ms in layers:
        bars.append(Bar(row, label, start, ms))
        start += ms
    return bars


def box(bar: Bar, total: float) -> Box:
    """Return where a bar lies in the picture of a run of `total` milliseconds."""
    left, right = _x(bar.start, total), _x(bar.start + bar.ms, total)
    top = TOP + bar.row * ROW + (ROW - BAR) // 2
    return left, top, max(right - GAP - 1, left), top + BAR - 1


def draw_timeline(bars: Sequence[Bar], rows: Sequence[str], lines: Sequence[str]) -> Image:
    """Draw a run, RGB uint8 [H, 1800, 3].

    rows: the label of each row; lines: what stands above the picture, at most three.
    """
    total = max((bar.start + bar.ms for bar in bars), default=0.0) or 1.0
    height = TOP + ROW * len(rows) + BOTTOM
    picture = np.full((height, WIDTH, 3), PAPER, np.uint8)
    for number, line in enumerate(lines):
        _write(picture, line, (12, 24 + 24 * number), 0.6 if number == 0 else 0.5)
    _axis(picture, total, height - BOTTOM)
    for number, label in enumerate(rows):
        middle = TOP + number * ROW + ROW // 2
        for place, line in enumerate(label.splitlines()):
            _write(picture, line, (12, middle - 4 + 20 * place), 0.5)
    for bar in bars:
        _draw(picture, bar, total)
    return picture


def tick_step(total: float) -> float:
    """Return the distance of the ticks of an axis: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(total / TICKS))
    return float(next(power * k for k in (1, 2, 5, 10) if power * k * TICKS >= total * (1 - 1e-9)))


def _x(ms: float, total: float) -> int:
    return LEFT + round(ms / total * (WIDTH - LEFT - RIGHT))


def _axis(picture: Image, total: float, base: int) -> None:
    step = tick_step(total)
    for number in range(int(total / step + 1e-9) + 1):
        x = _x(number * step, total)
        cv2.line(picture, (x, TOP), (x, base), FAINT, 1)
        _write(picture, f"{number * step:g}", (x - 8, base + 22), 0.5)
    _write(picture, "milliseconds", (LEFT, base + 46), 0.5)


def _draw(picture: Image, bar: Bar, total: float) -> None:
    left, top, right, bottom = box(bar, total)
    color = COLORS[bar.row % len(COLORS)]
    cv2.rectangle(picture, (left, top), (right, bottom), color, -1)
    name = bar.label.split(".", 1)[-1]
    for line, place in ((name, top + 18), (f"{bar.ms:.1f} ms", top + 36)):
        (wide, _), _ = cv2.getTextSize(line, FONT, 0.4, 1)
        if wide <= right - left - 6:
            _write(picture, line, (left + 4, place), 0.4, LIGHT)


def _write(
    picture: Image,
    text: str,
    place: tuple[int, int],
    scale: float,
    color: tuple[int, int, int] = INK,
) -> None:
    ascii_only = text.encode("ascii", "replace").decode()  # all that OpenCV's fonts hold
    cv2.putText(picture, ascii_only, place, FONT, scale, color, 1, cv2.LINE_AA)
