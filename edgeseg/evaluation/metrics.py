"""Six metrics of anomaly maps, with NumPy and SciPy.

    image_auroc            AUROC of the image scores
    pixel_auroc, pixel_ap  AUROC and average precision (AP) of the pixels
    iap, iap90             instance AP: pixel precision over the recall of defects
    aupro                  mean overlap of the defects over the false-positive rate of the pixels

Every distinct map value is a threshold. All six change only at the values of anomalous pixels, so
the good pixels are sorted once, without an index, and the anomalous values are searched in them.

Sources: DeSTSeg, Zhang et al., CVPR 2023, section 4.2 (IAP, image score); Bergmann et al., MVTec
AD, IJCV 2021, section 4 (per-region overlap). A defect is an 8-connected region of the truth.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.ndimage import label

from edgeseg.errors import DataError
from edgeseg.evaluation.operating_points import auroc

FPR_LIMIT = 0.3

# Pixels are connected along edges and corners within one image, not across images.
EIGHT_CONNECTED = np.zeros((3, 3, 3), np.bool_)
EIGHT_CONNECTED[1] = True

Values = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Each in [0, 1], 1 is best; NaN if undefined for the data."""

    image_auroc: float
    """NaN without a good and a defective image."""
    pixel_auroc: float
    """NaN, as all that follow, without a good and an anomalous pixel."""
    pixel_ap: float
    iap: float
    iap90: float
    """Pixel precision at a recall of 90 % of the defects."""
    aupro: float

    def to_json(self) -> dict[str, float | None]:
        """Return the metrics by name, None if undefined (JSON has no NaN)."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: None if math.isnan(value) else value for name, value in values.items()}


UNDEFINED = Scores(*[math.nan] * 6)


def score_maps(
    maps: Values,
    masks: NDArray[np.bool_],
    inside: NDArray[np.bool_] | None = None,
    *,
    top: int = 100,
) -> Scores:
    """Compute the metrics of anomaly maps against ground truth.

    maps:   float32 [N, h, w], higher is more anomalous
    masks:  bool [N, h, w]; an image without a set pixel is good
    inside: bool [N, h, w], the pixels that count: those where a letterboxed image is; all if None
    top:    the image score is the mean of this many highest values of the map, or of all if fewer
    """
    _check(maps, masks, top)
    defective = masks.any(axis=(1, 2))
    scores = np.array([_top_mean(pixels, top) for pixels in _counted(maps, inside)])
    image_auroc = auroc(scores[defective], scores[~defective])
    good = ~masks if inside is None else inside & ~masks
    if not defective.any() or not good.any():
        return replace(UNDEFINED, image_auroc=image_auroc)
    curve = _Curve(maps[masks], maps[good])
    regions, count = label(masks, EIGHT_CONNECTED)
    region = regions[masks].astype(np.int64) - 1
    iap, iap90 = _instance_precision(curve, region, count)
    return Scores(image_auroc, curve.auroc(), curve.ap(), iap, iap90, _aupro(curve, region, count))


def _counted(maps: Values, inside: NDArray[np.bool_] | None) -> list[Values]:
    if inside is None:
        return [each.ravel() for each in maps]
    return [each[counts] for each, counts in zip(maps, inside, strict=True)]


def _top_mean(pixels: Values, top: int) -> float:
    most = min(top, pixels.size)
    return float(np.partition(pixels, -most)[-most:].mean(dtype=np.float64))


class _Curve:
    """Counts at or above each distinct value of the positives, in ascending order.

    values:          the distinct values
    rank:            index of the value of each positive
    ties:            positives at each value
    true_positives:  positives at or above it
    false_positives: negatives at or above it
    above:           negatives above it
    """

    def __init__(self, positives: Values, negatives: Values) -> None:
        self.positives = positives
        self.negatives = negatives.size
        self.values, self.rank = np.unique(positives, return_inverse=True)
        self.ties: Counts = np.bincount(self.rank)
        self.true_positives: Counts = _at_or_above(self.ties)
        ordered = np.sort(negatives)
        self.false_positives: Counts = ordered.size - np.searchsorted(ordered, self.values, "left")
        self.above: Counts = ordered.size - np.searchsorted(ordered, self.values, "right")

    def auroc(self) -> float:
        below = self.negatives - (self.false_positives + self.above) / 2
        return float(self.ties @ below / self.positives.size / self.negatives)

    def ap(self) -> float:
        """Average precision: mean over the positives of the precision at their value."""
        return float(self.ties @ self.precision() / self.positives.size)

    def precision(self) -> NDArray[np.float64]:
        return self.true_positives / (self.true_positives + self.false_positives)


def _instance_precision(curve: _Curve, region: Counts, count: int) -> tuple[float, float]:
    """Return IAP and IAP@90; region: index of the defect of each positive.

    A defect of n pixels is found once more than half of them are anomalous: at the value of its
    (n // 2 + 1)-th highest pixel. The precision at a recall is the best at that recall or above,
    as usual for interpolated average precision.
    """
    size = np.bincount(region, minlength=count)
    ranks = np.sort(region * len(curve.values) + curve.rank) % len(curve.values)
    found_at = np.sort(ranks[np.cumsum(size) - size + (size - 1) // 2])  # recall falls from 1
    best = np.maximum.accumulate(curve.precision()[found_at])
    needed = -(-9 * count // 10)  # smallest number of defects that is 90 %
    return float(best.mean()), float(best[count - needed])


def _aupro(curve: _Curve, region: Counts, count: int) -> float:
    """Return the mean overlap of the defects, averaged over false-positive rates up to the limit.

    In descending order, each value adds two corners to the curve: good pixels above it do not
    change the overlap; those equal to it are added together with it.
    """
    share = 1.0 / (np.bincount(region, minlength=count)[region] * count)
    overlap = _at_or_above(np.bincount(curve.rank, weights=share))[::-1]
    corners = np.stack([curve.above, curve.false_positives], axis=1)[::-1].ravel()
    rates = np.concatenate([[0], corners, [curve.negatives]]) / curve.negatives
    overlaps = np.concatenate([[0.0, 0.0], np.repeat(overlap, 2)])
    end = int(np.searchsorted(rates, FPR_LIMIT))  # the first corner at or beyond the limit
    part = (FPR_LIMIT - rates[end - 1]) / (rates[end] - rates[end - 1])
    overlaps[end] = overlaps[end - 1] + part * (overlaps[end] - overlaps[end - 1])
    rates[end] = FPR_LIMIT
    return float(trapezoid(overlaps[: end + 1], rates[: end + 1]) / FPR_LIMIT)


def _at_or_above(amount: NDArray[Any]) -> NDArray[Any]:
    """Return for each entry the sum of it and all that follow."""
    return np.cumsum(amount[::-1])[::-1]


def _check(maps: Values, masks: NDArray[np.bool_], top: int) -> None:
    types = maps.dtype.kind == "f" and masks.dtype == np.bool_
    if not types or maps.ndim != 3 or maps.shape != masks.shape or not len(maps):
        raise DataError(
            f"invalid arrays: maps {maps.dtype} {list(maps.shape)}, masks {masks.dtype} "
            f"{list(masks.shape)} (expected float and bool [N, h, w])",
            remedy="resize each mask to its map: edgeseg.data.images.resize_mask(mask, (h, w))",
            code="metrics/invalid-arrays",
        )
    if not 1 <= top <= maps[0].size:
        raise DataError(
            f"invalid top: {top} (expected 1 to {maps[0].size}, the pixels of a map)",
            remedy=f"top={min(max(top, 1), maps[0].size)}",
            code="metrics/invalid-top",
        )
    damaged = np.flatnonzero(~np.isfinite(maps).all(axis=(1, 2)))
    if damaged.size:
        raise DataError(
            f"NaN or Inf in map {damaged[0]} ({damaged.size} of {len(maps)} maps)",
            remedy="edgeseg verify compares an engine with its model",
            code="metrics/not-finite",
        )
