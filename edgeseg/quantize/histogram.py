"""A histogram of magnitudes in one pass, and where to clip it: max, percentile or entropy.

The upper edge is a power of two. It doubles when a larger value appears, and pairs of bins are
merged, so no first pass for the largest value is needed and the order of frames does not matter.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4096
STEPS = 128  # magnitudes of INT8
SAMPLES = 1 << 16  # per tensor and frame; a stage of 256 x 256 has 64 times as many
STRIDE = 16  # bins between the candidates of `entropy`

Counts = NDArray[np.int64]


@dataclass
class Histogram:
    """Counts of |x| over [0, edge], and the largest |x| of all."""

    counts: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))
    edge: float = 0.0
    peak: float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count a tensor: the extremes of all values, and an even sample of them.

        The sample's step is odd, so that it covers every column of a map with even sides.
        """
        self.peak = max(self.peak, float(values.max()), -float(values.min()))
        if self.peak > self.edge:
            self._grow(2.0 ** math.ceil(math.log2(self.peak)))
        sample = np.abs(values.reshape(-1)[:: values.size // SAMPLES | 1])
        bins = (sample * np.float32(BINS / self.edge if self.edge else 0.0)).astype(np.int64)
        np.minimum(bins, BINS - 1, out=bins)
        self.counts += np.bincount(bins, minlength=BINS)

    def limit(self, method: str, percentile: float) -> float:
        """Return the clipping limit by `max`, `percentile` or `entropy`, at most the peak."""
        if method == "max" or not self.counts[1:].any():
            return self.peak
        found = self._entropy() if method == "entropy" else self._percentile(percentile)
        return min(found, self.peak)

    def _grow(self, edge: float) -> None:
        if self.edge:
            merged = min(int(edge / self.edge), BINS)
            kept = self.counts.reshape(-1, merged).sum(axis=1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[: len(kept)] = kept
        self.edge = edge

    def _percentile(self, percentile: float) -> float:
        """Return the percentile of all magnitudes, zeros included."""
        total = np.cumsum(self.counts)
        index = int(np.searchsorted(total, total[-1] * percentile / 100))
        return (index + 1) * self.edge / BINS

    def _entropy(self) -> float:
        """Return the limit at which 128 steps lose the least information.

        It minimizes the Kullback-Leibler divergence between the clipped histogram, with the
        outliers in its last bin, and its version in 128 steps. Zeros count as much as the bin
        beside them: they are exact for any limit.
        Source: Migacz, 8-bit Inference with TensorRT, GTC 2017.
        """
        used = int(np.flatnonzero(self.counts)[-1]) + 1
        counts = self.counts.astype(np.float64)
        counts[0] = counts[1]
        candidates = [*range(STEPS, used, STRIDE), max(used, STEPS)]
        divergences = [_divergence(counts, clip) for clip in candidates]
        best = len(divergences) - 1 - int(np.argmin(divergences[::-1]))
        return float(candidates[best] * self.edge / BINS)


def _divergence(counts: NDArray[np.float64], clip: int) -> float:
    """Return the divergence of 128 steps over the first `clip` bins from the bins themselves."""
    inside = counts[:clip]
    clipped = inside.copy()
    clipped[-1] += counts[clip:].sum()
    starts = np.arange(STEPS) * clip // STEPS
    widths = np.diff(starts, append=clip)
    filled = np.repeat(np.add.reduceat((inside > 0).astype(np.float64), starts), widths)
    sums = np.repeat(np.add.reduceat(inside, starts), widths)
    seen = clipped > 0
    steps = np.where(inside > 0, sums / np.maximum(filled, 1), 0.0)[seen]
    if not steps.all():
        return math.inf
    share = clipped[seen] / clipped.sum()
    return float(np.sum(share * np.log(share * steps.sum() / steps)))
