"""How often which magnitude occurs, in one pass, and where to clip: max, percentile or entropy.

The histogram's edge is a power of two that doubles when a larger value comes, two bins becoming
one. So neither a first pass for the largest value is needed nor does the order of frames matter.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4096
LEVELS = 128  # magnitudes that INT8 tells apart
SAMPLES = 1 << 16  # of one tensor and frame; a stage of 256 x 256 has 64 times as many
STEP = 16  # bins between the candidates of `entropy`

Counts = NDArray[np.int64]


@dataclass
class Histogram:
    """Counts of |x| over [0, edge], and the largest |x| of all."""

    counts: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))
    edge: float = 0.0
    peak: float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count a tensor: its extremes among all values, the rest from an even sample of them.

        The sample's step is odd, so that it meets every column of a map whose sides are even.
        """
        self.peak = max(self.peak, float(values.max()), -float(values.min()))
        if self.peak > self.edge:
            self._grow(2.0 ** math.ceil(math.log2(self.peak)))
        sample = np.abs(values.reshape(-1)[:: values.size // SAMPLES | 1])
        bins = (sample * np.float32(BINS / self.edge if self.edge else 0.0)).astype(np.int64)
        np.minimum(bins, BINS - 1, out=bins)
        self.counts += np.bincount(bins, minlength=BINS)

    def limit(self, method: str, percentile: float) -> float:
        """Return where to clip by `max`, `percentile` or `entropy`; never beyond the peak."""
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
        """Return the magnitude that this share of all values, zeros included, does not exceed."""
        total = np.cumsum(self.counts)
        index = int(np.searchsorted(total, total[-1] * percentile / 100))
        return (index + 1) * self.edge / BINS

    def _entropy(self) -> float:
        """Return the clip at which 128 levels tell the most of the distribution.

        The Kullback-Leibler divergence between the clipped histogram, its outliers in the last
        bin, and the same in 128 levels, is least. Zeros count as the bin beside them does: they
        are exact at any clip. Source: Migacz, 8-bit Inference with TensorRT, GTC 2017.
        """
        used = int(np.flatnonzero(self.counts)[-1]) + 1
        counts = self.counts.astype(np.float64)
        counts[0] = counts[1]
        candidates = [*range(LEVELS, used, STEP), max(used, LEVELS)]
        divergences = [_divergence(counts, clip) for clip in candidates]
        best = len(divergences) - 1 - int(np.argmin(divergences[::-1]))
        return float(candidates[best] * self.edge / BINS)


def _divergence(counts: NDArray[np.float64], clip: int) -> float:
    """Return the divergence of 128 levels over the first `clip` bins from the bins themselves."""
    inside = counts[:clip]
    clipped = inside.copy()
    clipped[-1] += counts[clip:].sum()
    starts = np.arange(LEVELS) * clip // LEVELS
    widths = np.diff(starts, append=clip)
    filled = np.repeat(np.add.reduceat((inside > 0).astype(np.float64), starts), widths)
    sums = np.repeat(np.add.reduceat(inside, starts), widths)
    seen = clipped > 0
    levels = np.where(inside > 0, sums / np.maximum(filled, 1), 0.0)[seen]
    if not levels.all():
        return math.inf
    share = clipped[seen] / clipped.sum()
    return float(np.sum(share * np.log(share * levels.sum() / levels)))
