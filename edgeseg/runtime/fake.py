"""A backend whose every answer is known by heart: for tests, and for loops without a model."""

from copy import copy

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import OnHost, Slot

_RED = {"bgr": 2, "rgb": 0, "gray": 0}


class FakeBackend(OnHost):
    """Red is the defect.

    anomaly_map: the red channel / 255, averaged over each of S x S cells; score: its highest value;
    mask: 255 where a pixel's own red / 255 is above the threshold. A gray frame is all red.
    """

    compute_seconds: float | None = None

    def __init__(self, card: GraphCard) -> None:
        self.card = card
        self.name = "fake, CPU, 1 thread"
        _, height, width, _ = card.frame_shape
        self._rows = _averages(height, card.image_size)
        self._columns = _averages(width, card.image_size).T
        self.closed = False

    def bind(self, slot: Slot) -> None:
        """Fix the memory that `run` reads and writes."""
        self._slot = slot
        n, height, width = slot.mask.shape
        self._red = np.zeros((n, height, width), np.float32)
        self._cells = np.zeros((n, self.card.image_size, width), np.float32)
        self._above = slot.mask.view(np.bool_)

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        slot = self._slot
        np.copyto(self._red, slot.frame[..., _RED[self.card.frame_format]])
        np.divide(self._red, np.float32(255), out=self._red)
        np.matmul(self._rows, self._red, out=self._cells)
        np.matmul(self._cells, self._columns, out=slot.anomaly_map)
        slot.anomaly_map.max(axis=(1, 2), out=slot.score)
        np.greater(self._red, slot.threshold, out=self._above)
        np.multiply(slot.mask, np.uint8(255), out=slot.mask)

    def start(self) -> None:
        """Leave the frame for `finish`: who changes it before then, or reads, sees a wrong mask."""

    def finish(self) -> None:
        """Compute the frame that was started."""
        self.run()

    def second(self) -> "FakeBackend":
        """Return another backend for the same graph."""
        return copy(self)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def _averages(source: int, target: int) -> NDArray[np.float32]:
    """Return the weights that average `source` pixels to `target` cells, [target, source]."""
    starts = np.arange(target) * source // target
    ends = np.maximum((np.arange(target) + 1) * source // target, starts + 1)
    pixels = np.arange(source)
    inside = (pixels >= starts[:, None]) & (pixels < ends[:, None])
    return (inside / (ends - starts)[:, None]).astype(np.float32)
