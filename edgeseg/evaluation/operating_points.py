"""Operating points: what an image threshold rejects and what it misses, with 95 % intervals.

A part is rejected above the threshold. `rates` counts for one threshold, `below_misses` and
`cheapest` choose one; a false-reject rate is chosen by `threshold.conformal_quantile`. An image
with the verdict unknown is neither a false reject nor a miss.

Sources: Wilson, JASA 22, 1927 (interval of a rate); Newcombe, Statistics in Medicine 25, 2006,
part 2, method 5 (interval of an AUROC, also of one that is 1).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeseg.text import percent
from edgeseg.verdict.verdict import are_anomalous

Z = 1.959964  # 95 % of a normal distribution are within this many deviations
ROUNDING = 1e-9  # 0.07 * 100 is 7.000000000000001, 0.29 * 100 is 28.999999999999996

Scored = NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """How often something was seen: `count` of `total` images."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN without images."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the share (Wilson); 0 to 1 without images."""
        if not self.total:
            return 0.0, 1.0
        share, spread = self.value, Z * Z / self.total
        middle = (share + spread / 2) / (1 + spread)
        half = (
            Z / (1 + spread) * math.sqrt(share * (1 - share) / self.total + spread / 4 / self.total)
        )
        low = middle - half if self.count else 0.0  # both ends exactly, not rounded
        return low, middle + half if self.count < self.total else 1.0

    def words(self, verb: str = "") -> str:
        """Return `12 of 15 pass (80 %, 95 % interval 55 to 93 %)`; verb: `pass`."""
        counted = f"{self.count} of {self.total}" + f" {verb}" * bool(verb)
        if not self.total:
            return counted
        return f"{counted} ({percent(self.value)}, 95 % interval {self.bounds()})"

    def bounds(self) -> str:
        """Return the ends of the 95 % interval as `2 to 11 %`."""
        low, high = (f"{100 * side:.2g}" if side < 0.995 else "100" for side in self.interval)
        return f"{low} to {high} %"

    def to_json(self) -> dict[str, Any]:
        """Return count, total, rate (None without images) and its interval."""
        rate = self.value if self.total else None
        return {
            "count": self.count,
            "total": self.total,
            "rate": rate,
            "interval": list(self.interval),
        }


@dataclass(frozen=True)
class OperatingPoint:
    """An image threshold and what it does to the images that were judged."""

    threshold: float
    false_rejects: Rate
    """Of the good images."""
    misses: Rate
    """Of the defective images."""

    def to_json(self) -> dict[str, Any]:
        """Return the threshold and both rates."""
        rates = {"false_rejects": self.false_rejects, "misses": self.misses}
        return {"threshold": self.threshold} | {k: rate.to_json() for k, rate in rates.items()}


def rates(
    scores: ArrayLike, good: ArrayLike, threshold: float, *, unknown: ArrayLike = False
) -> OperatingPoint:
    """Count false rejects and misses at a threshold. scores [N]; good, unknown: bool [N].

    An unknown image is neither, but it is one of the images.
    """
    is_good = np.asarray(good, np.bool_)
    rejected = are_anomalous(np.asarray(scores, np.float64), threshold)
    judged = ~np.asarray(unknown, np.bool_)
    return OperatingPoint(
        threshold,
        Rate(int((rejected & is_good & judged).sum()), int(is_good.sum())),
        Rate(int((~rejected & ~is_good & judged).sum()), int((~is_good).sum())),
    )


def below_misses(bad: ArrayLike, rate: float, scores: ArrayLike = ()) -> float:
    """Return a threshold that a further defective part misses with a probability of at most `rate`.

    bad: scores of n > 0 defective images. The threshold is below their k-th smallest,
    k = floor((n + 1) rate), as for good images in threshold.py; below the smallest of all where n
    is too small for the rate. It is half-way to the next lower one of all `scores`.
    """
    ordered = np.sort(np.asarray(bad, np.float64))
    above = float(ordered[max(math.floor((ordered.size + 1) * rate + ROUNDING), 1) - 1])
    return _between(above, np.asarray(scores, np.float64))


def cheapest(
    scores: ArrayLike, good: ArrayLike, prices: tuple[float, float], share: float
) -> float:
    """Return the threshold of the lowest expected cost per part; of equal ones the lowest.

    scores [N]; good: bool [N], with both kinds; prices: of a false reject and of a miss; share of
    the parts that are defective, 0 to 1.
    """
    values, is_good = np.asarray(scores, np.float64), np.asarray(good, np.bool_)
    steps = np.unique(values)
    false_rejects = 1 - np.searchsorted(np.sort(values[is_good]), steps, "right") / is_good.sum()
    misses = np.searchsorted(np.sort(values[~is_good]), steps, "right") / (~is_good).sum()
    # Below all scores everything is rejected and nothing is missed.
    costs = np.append((1 - share) * prices[0], expected_cost(false_rejects, misses, prices, share))
    place = int(np.argmin(costs.round(12)))
    return _between(float(steps[place]), values) if place < steps.size else float(steps[-1])


def expected_cost(
    false_rejects: Any, misses: Any, prices: tuple[float, float], share: float
) -> Any:
    """Return the cost per part of rates, 0 to 1; prices and share as for `cheapest`."""
    return (1 - share) * prices[0] * false_rejects + share * prices[1] * misses


def matching_pixel_threshold(peaks: ArrayLike, false_rejects: int) -> float:
    """Return the pixel threshold that marks as many good images as the image threshold rejects.

    peaks [n]: highest map values of the good images, n > 0.
    """
    ordered = np.sort(np.asarray(peaks, np.float64))
    if false_rejects < ordered.size:
        return float(ordered[ordered.size - 1 - false_rejects])
    return _between(float(ordered[0]), ordered)


def auroc(positives: NDArray[np.floating[Any]], negatives: NDArray[np.floating[Any]]) -> float:
    """Return the probability that a positive exceeds a negative; ties count half.

    NaN without positives or negatives.
    """
    if not positives.size or not negatives.size:
        return math.nan
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    tied = np.searchsorted(ordered, positives, "right") - below
    return float((below + tied / 2).mean() / negatives.size)


def auroc_interval(auroc: float, good: int, defective: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of an AUROC; 0 to 1 where it is NaN."""
    if math.isnan(auroc):
        return 0.0, 1.0
    half = (good + defective) / 2 - 1

    def deviation(true: float) -> float:
        extra = half * ((1 - true) / (2 - true) + true / (1 + true))
        return math.sqrt(true * (1 - true) / (good * defective) * (1 + extra))

    def edge(end: float) -> float:
        inside, outside = auroc, end
        for _ in range(50):
            middle = (inside + outside) / 2
            if abs(middle - auroc) < Z * deviation(middle):
                inside = middle
            else:
                outside = middle
        return (inside + outside) / 2

    return edge(0.0), edge(1.0)


def _between(above: float, scores: Scored) -> float:
    """Return a threshold below a score: half-way to the next lower one, or just below it."""
    lower = scores[scores < above]
    middle = (float(lower.max()) + above) / 2 if lower.size else -math.inf
    return middle if middle < above and lower.size else math.nextafter(above, -math.inf)
