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

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.evaluation.run_images import Outcome
from edgeseg.regions import find_regions
from edgeseg.rule import Rule
from edgeseg.verdict import Verdict, judge

STEPS = 20  # halvings: the score is exact to a millionth of the range of the map


def thresholds_of(card: GraphCard) -> dict[str, Any]:
    """Return what judges an image: both thresholds, and the rule where the regions decide."""
    found: dict[str, Any] = {"image": card.image_threshold, "pixel": card.threshold}
    return found | ({"rule": card.rule.words()} if card.rule.by_regions else {})


def judges_alike(thresholds: Mapping[str, Any], card: GraphCard) -> bool:
    """Whether stored `thresholds_of` give the same verdicts as a card's."""
    now = thresholds_of(card)
    decisive = ("pixel", "rule") if card.rule.by_regions else ("image", "rule")
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
    if not rule.by_regions:
        verdict = judge(outcome.score, limit, outcome.input_check, card.input_check)
        return Judged(verdict, outcome.score)
    scale = outcome.scale(rule)
    found = find_regions(outcome.mask, outcome.anomaly_map, rule, scale, most=0)
    verdict = judge(
        outcome.score, limit, outcome.input_check, card.input_check, rule=rule, regions=found
    )
    score = region_score(outcome.mask, outcome.anomaly_map, card.threshold, rule, scale)
    return Judged(verdict, score)


def region_score(
    mask: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    threshold: float,
    rule: Rule,
    scale: tuple[float, float],
) -> float:
    """Return the region score of an image.

    mask: uint8 [H, W], at the threshold; anomaly_map: float32 [h, w]; scale: as for `find_regions`.
    """
    full = cv2.resize(anomaly_map, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def is_anomalous(mask: NDArray[np.uint8]) -> bool:
        found = find_regions(mask, anomaly_map, rule, scale, most=0)
        return rule.is_broken(found.most, found.area)

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
