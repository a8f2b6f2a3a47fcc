"""Six numbers that say how good anomaly maps are; NumPy and SciPy only.

    image_auroc            does a defective image score above a good one?
    pixel_auroc, pixel_ap  the same of pixels; AP also when anomalous pixels are rare
    iap, iap90             of defects: pixel precision against the share of defects that are found
    aupro                  of defects: mean overlap against the share of good pixels that are marked

Every distinct map value is a threshold, and no curve is ever built for it. All six change only at
the values of anomalous pixels, so the good pixels are sorted once, without an index, and the
anomalous values are looked up among them.

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

FPR_LIMIT = 0.3

# Pixels touch along edges and corners within one image, never from image to image.
EIGHT_CONNECTED = np.zeros((3, 3, 3), np.bool_)
EIGHT_CONNECTED[1] = True

Values = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Each in [0, 1], 1 is best; NaN where the data leave it undefined."""

    image_auroc: float
    """NaN without a good and a defective image."""
    pixel_auroc: float
    """NaN, like all that follow, without a good and an anomalous pixel."""
    pixel_ap: float
    iap: float
    iap90: float
    """Pixel precision where 90 % of the defects are found."""
    aupro: float

    def to_json(self) -> dict[str, float | None]:
        """Return the six by name; None where undefined, because JSON knows no NaN."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: None if math.isnan(value) else value for name, value in values.items()}


UNDEFINED = Scores(*[math.nan] * 6)


def score_maps(maps: Values, masks: NDArray[np.bool_], *, top: int = 100) -> Scores:
    """Score anomaly maps against ground truth.

    maps:  float32 [N, S, S], higher is more anomalous
    masks: bool [N, S, S]; an image with no pixel set is good
    top:   an image's score is the mean of this many highest values of its map
    """
    _check(maps, masks, top)
    defective = masks.any(axis=(1, 2))
    pixels = maps.reshape(len(maps), -1)
    scores = np.partition(pixels, -top, axis=1)[:, -top:].mean(axis=1, dtype=np.float64)
    image_auroc = auroc(scores[defective], scores[~defective])
    if not defective.any() or masks.all():
        return replace(UNDEFINED, image_auroc=image_auroc)
    curve = _Curve(maps[masks], maps[~masks])
    regions, count = label(masks, EIGHT_CONNECTED)
    region = regions[masks].astype(np.int64) - 1
    iap, iap90 = _instance_precision(curve, region, count)
    return Scores(image_auroc, curve.auroc(), curve.ap(), iap, iap90, _aupro(curve, region, count))


def auroc(positives: Values, negatives: Values) -> float:
    """Return the chance that a positive exceeds a negative, a tie counting half.

    NaN where there is no positive or no negative.
    """
    if not positives.size or not negatives.size:
        return math.nan
    return _Curve(positives, negatives).auroc()


class _Curve:
    """What lies at or above each distinct value of the positives, from the lowest to the highest.

    values:          the distinct values
    rank:            for each positive the index of its value
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
        beaten = self.negatives - (self.false_positives + self.above) / 2
        return float(self.ties @ beaten / self.positives.size / self.negatives)

    def ap(self) -> float:
        """Average precision: the mean over the positives of the precision at their value."""
        return float(self.ties @ self.precision() / self.positives.size)

    def precision(self) -> NDArray[np.float64]:
        return self.true_positives / (self.true_positives + self.false_positives)


def _instance_precision(curve: _Curve, region: Counts, count: int) -> tuple[float, float]:
    """Return IAP and IAP@90; `region` gives for each positive the index of its defect.

    A defect is found once more than half of its n pixels are marked: at the value of its pixel
    number n // 2 + 1 from the top. The precision at a recall is the best at that recall or above,
    as usual for interpolated average precision.
    """
    size = np.bincount(region, minlength=count)
    ranks = np.sort(region * len(curve.values) + curve.rank) % len(curve.values)
    found_at = np.sort(ranks[np.cumsum(size) - size + (size - 1) // 2])  # recall falls from 1
    best = np.maximum.accumulate(curve.precision()[found_at])
    needed = -(-9 * count // 10)  # the fewest defects that make 90 %
    return float(best.mean()), float(best[count - needed])


def _aupro(curve: _Curve, region: Counts, count: int) -> float:
    """Return the mean overlap of the defects, averaged over false-positive rates to the limit.

    From the highest value down, each value puts two corners on the curve: good pixels above it
    leave the overlap as it was; those that equal it come in together with it.
    """
    share = 1.0 / (np.bincount(region, minlength=count)[region] * count)
    overlap = _at_or_above(np.bincount(curve.rank, weights=share))[::-1]
    corners = np.stack([curve.above, curve.false_positives], axis=1)[::-1].ravel()
    rates = np.concatenate([[0], corners, [curve.negatives]]) / curve.negatives
    overlaps = np.concatenate([[0.0, 0.0], np.repeat(overlap, 2)])
    end = int(np.searchsorted(rates, FPR_LIMIT))  # the first corner at the limit or past it
    part = (FPR_LIMIT - rates[end - 1]) / (rates[end] - rates[end - 1])
    overlaps[end] = overlaps[end - 1] + part * (overlaps[end] - overlaps[end - 1])
    rates[end] = FPR_LIMIT
    return float(trapezoid(overlaps[: end + 1], rates[: end + 1]) / FPR_LIMIT)


def _at_or_above(amount: NDArray[Any]) -> NDArray[Any]:
    """Sum each entry with all that follow it."""
    return np.cumsum(amount[::-1])[::-1]


def _check(maps: Values, masks: NDArray[np.bool_], top: int) -> None:
    if maps.ndim != 3 or maps.shape != masks.shape:
        raise DataError(
            f"The maps are {list(maps.shape)} and the masks {list(masks.shape)}; "
            "both were expected as [N, S, S].",
            remedy="resize each mask to its map's size: edgeseg.data.images.resize_mask(mask, S)",
        )
    if maps.dtype.kind != "f" or masks.dtype != np.bool_:
        raise DataError(
            f"The maps are {maps.dtype} and the masks {masks.dtype}; float and bool were expected.",
            remedy="pass maps.astype(np.float32) and masks >= 128 (or masks > 0)",
        )
    if not len(maps):
        raise DataError("There is no map to score.", remedy="pass at least one image's map")
    if not 1 <= top <= maps[0].size:
        raise DataError(
            f"top is {top}; a map of {maps[0].size} pixels allows 1 to {maps[0].size}.",
            remedy=f"top={min(max(top, 1), maps[0].size)}",
        )
    damaged = np.flatnonzero(~np.isfinite(maps).all(axis=(1, 2)))
    if damaged.size:
        raise DataError(
            f"Map {damaged[0]} holds NaN or infinity ({damaged.size} of {len(maps)} maps do).",
            remedy="find what made it: edgeseg verify compares an engine with its model",
        )
