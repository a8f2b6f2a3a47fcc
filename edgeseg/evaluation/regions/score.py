"""The region score: what the pixel threshold is compared with, where the regions decide a verdict.

It is the lowest pixel threshold at which the regions of an image no longer make it anomalous. So an
image is anomalous exactly where its region score is above the pixel threshold, as it is elsewhere
where its image score is above the image threshold, and everything that is said of scores and an
image threshold holds for region scores and the pixel threshold: rates, histograms, how to choose.

A higher threshold makes regions smaller and fewer. Only their count may grow, where one is cut in
two; then the score fits the verdict at the present threshold, and may not at another.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.evaluation.run_images import Outcome
from edgeseg.frame.roi import Roi
from edgeseg.verdict.regions import enlarged, find_regions
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import Verdict, judge, roi_fault

STEPS = 20  # halvings: the score is exact to a millionth of the range of the map


def thresholds_of(card: GraphCard) -> dict[str, Any]:
    """Return what judges an image: thresholds, the rule if regions decide, a hash of the ROIs."""
    found: dict[str, Any] = {"image": card.image_threshold, "pixel": card.threshold}
    found |= {"rule": card.rule.words()} if card.rule.by_regions else {}
    return found | ({"roi": card.roi.digest} if card.roi else {})


def judges_alike(thresholds: Mapping[str, Any], card: GraphCard) -> bool:
    """Whether stored `thresholds_of` give the same verdicts as a card's."""
    now = thresholds_of(card)
    decisive = ("pixel" if card.rule.by_regions else "image", "rule", "roi")
    return all(thresholds.get(name) == now.get(name) for name in decisive)


class Judged(NamedTuple):
    """The verdict of an image, and the number that decided it."""

    verdict: Verdict
    score: float
    """Image score or region score, as the card's rule says: above `decisive` it is anomalous."""


def judge_outcome(
    outcome: Outcome, card: GraphCard, image_threshold: float | None = None
) -> Judged:
    """Judge an image by a card; image_threshold: in place of the card's."""
    limit = card.image_threshold if image_threshold is None else image_threshold
    rule = card.rule
    mask, anomaly_map, scale = outcome.mask, outcome.anomaly_map, outcome.scale(rule)
    rois = card.roi.labeled((mask.shape[0], mask.shape[1])) if card.roi else None
    found = None
    if rule.by_regions:
        found = find_regions(mask, anomaly_map, rule, scale, rois, most=0)
    verdict = judge(
        outcome.score,
        limit,
        outcome.input_check,
        card.input_check,
        rule=rule,
        regions=found,
        fault=roi_fault(card.roi, outcome.size, lost=outcome.shift is None),
    )
    if not rule.by_regions:
        return Judged(verdict, outcome.score)
    return Judged(verdict, region_score(mask, anomaly_map, card.threshold, rule, scale, card.roi))


def region_score(
    mask: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    threshold: float,
    rule: Rule,
    scale: tuple[float, float],
    roi: Roi | None = None,
) -> float:
    """Return the region score of an image.

    mask: uint8 [H, W], at the threshold; anomaly_map: float32 [h, w]; scale: as for
    `find_regions`; roi: of the picture.
    """
    full = enlarged(anomaly_map, (mask.shape[0], mask.shape[1]), roi)
    rois = roi.labeled((mask.shape[0], mask.shape[1])) if roi else None

    def is_anomalous(mask: NDArray[np.uint8]) -> bool:
        found = find_regions(mask, anomaly_map, rule, scale, rois, most=0)
        return rule.is_broken(found.most, found.area)

    if rois is not None:
        full = np.where(rois.inside, full, full.min())
    low, high = min(float(full.min()), threshold), max(float(full.max()), threshold)
    if is_anomalous(mask):
        low, high = threshold, max(high, np.nextafter(threshold, np.inf))
    else:
        high = threshold
    for _ in range(STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if is_anomalous((full > middle).astype(np.uint8)):
            low = middle
        else:
            high = middle
    return float(high)
