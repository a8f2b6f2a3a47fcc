"""Whether frames drift away from what was trained, before the line sees false rejects.

Each measure has a position: 0 where the training was, 1 at the limit from where on a frame is
unknown or a part anomalous. The median of the newest frames tells of a lamp that ages or a lens
that gets dirty; single parts do not move it.

    brightness, contrast, ...    distance from the middle of the limits, as a share of their half
    layout, features             squared distance to the training, as a share of the limit
    score                        way from the median of the first frames to the threshold
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard

NEWEST = 200  # frames that the median is of
ALARM = 0.5
SCORE = "score"


class Drift:
    """The measures of one camera with one recipe; `add` is called by inference."""

    def __init__(self, card: GraphCard, image_threshold: float) -> None:
        self._limits, self._threshold = card.input_check, image_threshold
        self._names = (*(limit.name for limit in self._limits), SCORE)
        self._values = np.full((NEWEST, len(self._names)), np.nan)
        self._count = 0
        self._first = math.nan
        """The median score of the first frames."""

    def add(self, score: float, input_check: NDArray[np.float32]) -> None:
        """Add a frame that was judged; input_check: [K]."""
        row = self._values[self._count % NEWEST]
        row[:-1], row[-1] = input_check, score
        self._count += 1
        if self._count == NEWEST:
            self._first = float(np.nanmedian(self._values[:, -1]))

    def positions(self) -> dict[str, float]:
        """Return the position of each measure; empty before there are enough frames."""
        if self._count < NEWEST:
            return {}
        middle = np.nanmedian(self._values, axis=0).tolist()
        found = {
            limit.name: _position(value, limit.low, limit.high)
            for limit, value in zip(self._limits, middle, strict=False)
        }
        way = self._threshold - self._first
        found[SCORE] = (middle[-1] - self._first) / way if way > 0 else 0.0
        return {name: round(value, 3) for name, value in found.items() if math.isfinite(value)}

    def status(self) -> dict[str, Any]:
        """Return the positions, and the measures that are beyond `ALARM`."""
        found = self.positions()
        return {"positions": found, "alarms": alarms(found)}


def alarms(positions: dict[str, float]) -> Sequence[str]:
    """Return the measures that have drifted."""
    return [name for name, value in positions.items() if abs(value) >= ALARM]


def _position(value: float, low: float | None, high: float | None) -> float:
    if low is not None and high is not None:
        half = (high - low) / 2
        return (value - (low + half)) / half if half else 0.0
    if high is not None:  # the log of a squared distance
        return math.exp(value - high)
    return 0.0
