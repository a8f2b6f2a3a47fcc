"""A backend with known answers, for tests and for loops without a model."""

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import OnHost, Slot

_RED = {"bgr": 2, "uyvy": 1}  # else 0; in YUV this is the brightness


class FakeBackend(OnHost):
    """Reports red pixels as anomalous.

    anomaly_map: the red channel / 255, averaged over the cells of the network; score: its maximum;
    mask: 255 where a pixel's red / 255 exceeds the threshold; input_check: the mean of the map, in
    each column. Of a frame without red its brightness counts, of a Bayer frame each pixel. Outside
    of the ROIs of the card map and mask are 0.
    """

    compute_seconds: float | None = None

    def __init__(self, card: GraphCard) -> None:
        self.card = card
        self.name = "fake, CPU, 1 thread"
        height, width = card.frame_size
        box, (rows, columns) = card.content, card.map_size
        self._rows = _averages(height, rows, box.top, box.height)
        self._columns = _averages(width, columns, box.left, box.width).T
        self._on_frame = self._on_map = np.ones((1, 1), np.bool_)
        if card.roi is not None:
            place = card.picture_place
            self._on_frame = card.roi.inside(card.frame_size, place)
            self._on_map = card.roi.inside(card.map_size, place.within(card.frame_size, box))
        self.closed = False

    def bind(self, slot: Slot) -> None:
        self._slot = slot
        n, height, width = slot.mask.shape
        self._seen = slot.frame[:, :height, :, _RED.get(self.card.frame_format, 0)]
        self._red = np.zeros((n, height, width), np.float32)
        self._cells = np.zeros((n, self.card.map_size[0], width), np.float32)
        self._above = slot.mask.view(np.bool_)
        self._mean = np.zeros(n, np.float32)

    def run(self) -> None:
        slot = self._slot
        np.copyto(self._red, self._seen)
        np.divide(self._red, np.float32(255), out=self._red)
        np.matmul(self._rows, self._red, out=self._cells)
        np.matmul(self._cells, self._columns, out=slot.anomaly_map)
        np.multiply(slot.anomaly_map, self._on_map, out=slot.anomaly_map)
        slot.anomaly_map.max(axis=(1, 2), out=slot.score)
        if slot.input_check.size:
            slot.anomaly_map.mean(axis=(1, 2), out=self._mean)
            slot.input_check[...] = self._mean[:, None]
        np.greater(self._red, slot.threshold, out=self._above)
        np.logical_and(self._above, self._on_frame, out=self._above)
        np.multiply(slot.mask, np.uint8(255), out=slot.mask)

    def start(self) -> None:
        """Defer the work to `finish`, which reveals a slot that is touched in between."""

    def finish(self) -> None:
        self.run()

    def close(self) -> None:
        self.closed = True


def _averages(source: int, target: int, first: int, count: int) -> NDArray[np.float32]:
    """Return the weights that average `source` pixels to `count` of the cells, [target, source].

    The cells before `first` and after these repeat the outermost.
    """
    cells = np.clip(np.arange(target) - first, 0, count - 1)
    starts = cells * source // count
    ends = np.maximum((cells + 1) * source // count, starts + 1)
    pixels = np.arange(source)
    inside = (pixels >= starts[:, None]) & (pixels < ends[:, None])
    return (inside / (ends - starts)[:, None]).astype(np.float32)
