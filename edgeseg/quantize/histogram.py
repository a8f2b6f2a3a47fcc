"""A histogram of magnitudes in one pass, and where to clip it: at the peak, or by relative error.

What a teacher and its student say at a position is the direction of a feature vector: both are
brought to unit length before they are compared. So an error counts relative to the vector that it
is made in, and a value is counted with a weight of one over the square of that vector's length.

That matters because the lengths differ by a factor of thousands: a residual network that was
trained for minutes amplifies the few positions that look unlike the others, block by block, and a
range that holds them leaves the other positions less than one step of INT8.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEPS = 127  # either side of zero
SAMPLES = 1 << 16  # per tensor and frame; a stage of 256 x 256 has 64 times as many
SHIFT = 18  # of a float32's bits: sign, 8 of the exponent and 5 of the mantissa remain
BINS = 255 << (23 - SHIFT)  # finite magnitudes, 32 bins an octave

CENTERS: NDArray[np.float64] = (
    ((np.arange(BINS, dtype=np.uint32) << SHIFT) + (1 << (SHIFT - 1)))
    .view(np.float32)
    .astype(np.float64)
)


@dataclass
class Histogram:
    """The weight of the magnitudes in each bin, and the largest magnitude of all."""

    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    peak: float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count a finite tensor, [N, C, ...]: its extremes, and an even sample of its positions.

        The sample's step is odd, so that it covers every column of a map with even sides.
        """
        self.peak = max(self.peak, float(values.max()), -float(values.min()))
        vectors = values.reshape(*values.shape[:2], -1)
        vectors = np.abs(vectors[:, :, :: values.size // SAMPLES | 1])
        with np.errstate(over="ignore"):
            squares = np.square(vectors).sum(axis=1, keepdims=True, dtype=np.float64)
        weights = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
        bins = np.ascontiguousarray(vectors).view(np.uint32) >> SHIFT
        everywhere = np.broadcast_to(weights, vectors.shape)
        self.weights += np.bincount(bins.ravel(), everywhere.ravel(), BINS)

    def limit(self, method: str) -> float:
        """Return the clipping limit by `max` or `relative`, at most the peak."""
        return self.peak if method == "max" else min(self._relative(), self.peak)

    def _relative(self) -> float:
        """Return the limit with the least mean square error relative to the vectors' lengths.

        Within the limit a value is off by step^2 / 12 in the mean, or by its own square where it is
        rounded to zero; beyond it, by what is clipped.
        """
        used = np.flatnonzero(self.weights[1:])
        if not len(used):
            return self.peak
        candidates = np.arange(used[0] + 2, used[-1] + 3)
        limits = CENTERS[candidates - 1]
        zero, first, second = (
            np.concatenate([[0.0], np.cumsum(self.weights * CENTERS**power)]) for power in range(3)
        )
        steps = limits / STEPS
        faint = np.minimum(np.searchsorted(CENTERS, steps / 2), candidates)
        rounded = second[faint] + steps**2 / 12 * (zero[candidates] - zero[faint])
        clipped = (
            second[-1]
            - second[candidates]
            - 2 * limits * (first[-1] - first[candidates])
            + limits**2 * (zero[-1] - zero[candidates])
        )
        return float(limits[np.argmin(rounded + clipped)])
