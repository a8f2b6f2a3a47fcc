"""How thresholds are chosen: by a false-reject rate, by a miss rate, or by prices.

    --false-reject RATE   from good images alone (threshold.py)
    --max-miss RATE       from defective images: a further one passes with at most this probability
    --cost F:M            the lowest expected cost per part, F for a false reject and M for a miss,
                          where a share --defect-rate of the parts is defective

The last two choose the image threshold. The pixel threshold then marks as many of the good images
as the image threshold rejects.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.operating_points import (
    OperatingPoint,
    auroc,
    below_misses,
    cheapest,
    expected_cost,
    matching_pixel_threshold,
    rates,
)
from edgeseg.evaluation.threshold import check_rate, find_thresholds, images_needed

DEFECT_RATE = 0.01
_PRICES = re.compile(r"(\d{1,9}(?:\.\d{1,9})?):(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One way to choose; exactly one of the first three is given."""

    false_reject: float | None = None
    """A share, 0 to 1, as those that follow."""
    max_miss: float | None = None
    cost: str | None = None
    """`1:50`: the prices of a false reject and of a miss."""
    defect_rate: float = DEFECT_RATE

    def __post_init__(self) -> None:
        given = [flag for flag, value in self._flags().items() if value is not None]
        if len(given) != 1:
            raise ConfigError(
                f"{len(given)} ways to choose a threshold: {', '.join(given) or 'none'} (expected "
                "one of --false-reject, --max-miss and --cost)",
                remedy="--false-reject 0.01, or --max-miss 0.05, or --cost 1:50",
                code="config/conflict",
            )
        for flag, rate in (("false_reject", self.false_reject), ("max_miss", self.max_miss)):
            if rate is not None:
                check_rate(rate, flag)
        check_rate(self.defect_rate, "defect_rate")
        if self.cost is not None:
            self.prices()

    def prices(self) -> tuple[float, float]:
        """Return the prices of a false reject and of a miss; ConfigError unless as `1:50`."""
        found = _PRICES.fullmatch(self.cost or "")
        prices = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if min(prices) <= 0:
            raise ConfigError(
                f"invalid cost: '{self.cost}' (expected FALSE_REJECT:MISS, two numbers above 0)",
                remedy="--cost 1:50, where a missed defect costs as much as 50 false rejects",
                code="config/cost",
            )
        return prices

    def words(self) -> str:
        """Return the flags."""
        words = " ".join(f"{k} {v}" for k, v in self._flags().items() if v is not None)
        return words + (f" --defect-rate {self.defect_rate:g}" if self.cost else "")

    def _flags(self) -> dict[str, float | str | None]:
        return {
            "--false-reject": self.false_reject,
            "--max-miss": self.max_miss,
            "--cost": self.cost,
        }


@dataclass(frozen=True)
class ScoredSet:
    """The outputs for N labeled images that the model was not trained on; none is unknown."""

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    """Highest values of the anomaly maps."""
    good: NDArray[np.bool_]

    @property
    def auroc(self) -> float:
        """The image AUROC; NaN without good or without defective images."""
        return auroc(self.scores[~self.good], self.scores[self.good])

    def point(self, threshold: float) -> OperatingPoint:
        """Return the rates at an image threshold."""
        return rates(self.scores, self.good, threshold)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Two thresholds, how they were chosen, and what they do to the images."""

    pixel: float
    image: float
    by: str
    point: OperatingPoint
    images: int
    """Good images."""
    false_reject_rate: float | None = None
    warning: str | None = None
    """That there are too few images for the wanted rate."""
    cost: float | None = None
    """Expected cost per 1000 parts."""

    def note(self) -> dict[str, Any]:
        """Return what a card says about its thresholds."""
        found = {
            "by": self.by,
            "images": self.images,
            "defective_images": self.point.misses.total,
            "false_reject_rate": self.false_reject_rate,
            "false_rejects": self.point.false_rejects.count,
            "misses": self.point.misses.count,
            "warning": self.warning,
        }
        return {name: value for name, value in found.items() if value is not None}


def choose(measured: ScoredSet, pick: Pick, *, image: float | None = None) -> Chosen:
    """Choose both thresholds; DataError without the images that the way to choose needs.

    image: the image threshold to keep where the scores are region scores. They choose the pixel
    threshold.
    """
    chosen = _choose(measured, pick)
    return chosen if image is None else replace(chosen, pixel=chosen.image, image=image)


def _choose(measured: ScoredSet, pick: Pick) -> Chosen:
    good, bad = measured.good, measured.scores[~measured.good]
    if pick.false_reject is not None:
        found = find_thresholds(measured.scores[good], measured.peaks[good], pick.false_reject)
        return Chosen(
            pixel=found.pixel,
            image=found.image,
            by=pick.words(),
            point=measured.point(found.image),
            images=found.images,
            false_reject_rate=pick.false_reject,
            warning=found.warning,
        )
    if not bad.size or not good.any():
        raise DataError(
            f"{pick.words()} needs good and defective images (found {good.sum()} and {bad.size})",
            remedy="add photos of defective parts, or choose by --false-reject 0.01",
            code="threshold/no-defective-images",
        )
    warning = None
    if pick.max_miss is not None:
        limit = below_misses(bad, pick.max_miss, measured.scores)
        warning = _miss_warning(bad.size, pick.max_miss)
    else:
        limit = cheapest(measured.scores, good, pick.prices(), pick.defect_rate)
    point = measured.point(limit)
    return Chosen(
        pixel=matching_pixel_threshold(measured.peaks[good], point.false_rejects.count),
        image=limit,
        by=pick.words(),
        point=point,
        images=int(good.sum()),
        warning=warning,
        cost=cost_of(point, pick) if pick.cost else None,
    )


def cost_of(point: OperatingPoint, pick: Pick) -> float:
    """Return the expected cost of 1000 parts at an operating point."""
    rejected, missed = point.false_rejects.value, point.misses.value
    return 1000 * float(expected_cost(rejected, missed, pick.prices(), pick.defect_rate))


def _miss_warning(images: int, rate: float) -> str | None:
    if images >= (needed := images_needed(rate)):
        return None
    return (
        f"{images} defective images support a miss rate of {100 / (images + 1):.3g} %, not "
        f"{100 * rate:.3g} %, which needs {needed}; the image threshold is below all of them"
    )
