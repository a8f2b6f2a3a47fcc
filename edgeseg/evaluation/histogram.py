"""The histogram of the image scores of good and of defective images, as counts and as text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edgeseg.text import table

BINS = 12
WIDTH = 24  # characters of the longest bar
WIDE = (
    20  # highest score / lowest score from which on the edges are equally spaced in the logarithm
)


@dataclass(frozen=True)
class Bin:
    """The images with a score from `low` up to `high`, which belongs to the next bin."""

    low: float
    high: float
    good: int
    defective: int


def histogram(scores: ArrayLike, good: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Count the images in bins. scores [N], N > 0; good: bool [N]. The last bin has its end."""
    values, is_good = np.asarray(scores, np.float64), np.asarray(good, np.bool_)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return [Bin(low, high, int(is_good.sum()), int((~is_good).sum()))]
    spaced = np.geomspace if 0 < low and np.median(values) < high / WIDE else np.linspace
    edges = spaced(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # not rounded
    counts = [np.histogram(values[kind], edges)[0].tolist() for kind in (is_good, ~is_good)]
    return [Bin(*row) for row in zip(edges[:-1].tolist(), edges[1:].tolist(), *counts, strict=True)]


def histogram_lines(bins: Sequence[Bin], marks: dict[str, float]) -> list[str]:
    """Draw the bins, each by its lower end. marks: words -> a threshold within a bin."""
    most = max(max(each.good, each.defective) for each in bins)
    digits = digits_of([edge for each in bins for edge in (each.low, each.high)])
    rows = [["score from", "good", "", "defective", "", ""]]
    for each in bins:
        start, end = each is bins[0], each is bins[-1]
        here = [
            f"<- {words}"
            for words, score in marks.items()
            if (start or score >= each.low) and (end or score < each.high)
        ]
        bars = [
            cell
            for count in (each.good, each.defective)
            for cell in ("#" * -(-count * WIDTH // most), str(count) if count else "")
        ]
        rows.append([f"{each.low:.{digits}f}", *bars, ", ".join(here)])
    return table(rows, "><><><")


def digits_of(values: Sequence[float]) -> int:
    """Return the decimals that tell values apart: two digits of their smallest difference."""
    steps = np.diff(np.unique(values))
    smallest = float(steps.min()) if steps.size else 0.01
    return int(np.clip(1 - np.floor(np.log10(smallest)), 2, 8))
