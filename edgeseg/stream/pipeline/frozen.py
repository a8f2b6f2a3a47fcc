"""A frozen camera: one that delivers the very same bytes again and again.

The noise of a sensor changes some byte of every picture. A camera whose driver, encoder or sensor
hangs repeats one, which may show a good part. A compressed video of a scene at rest may repeat a
picture for as long as it sends no full one; so it takes FROZEN of them in a row.

Most frames differ in a few hundred pixels from the one before; only then all bytes are summed.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Image

FROZEN = 30  # frames in a row with the same bytes; the first ones are judged as usual
STEP = 32  # pixels between those that are compared first


class FrozenWatch:
    """Counts how often the frames of a live source repeat."""

    def __init__(self) -> None:
        self._sample: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
        self._sum: int | None = None
        self._repeated = 0

    def frozen(self, image: Image) -> bool:
        """Whether an image [h, w, C] is the FROZEN-th or a later one with the same bytes."""
        sample = image[::STEP, ::STEP]
        if not np.array_equal(sample, self._sample):
            self._sample = sample.copy()
            self._sum, self._repeated = None, 1
            return False
        found = zlib.crc32(np.ascontiguousarray(image).data)
        if self._sum is not None and found != self._sum:
            self._repeated = 0
        self._sum = found
        self._repeated += 1
        return self._repeated >= FROZEN
