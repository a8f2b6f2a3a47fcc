"""The verdict of a frame, and the thresholds that it may be judged by.

Prediction, stream, evaluation and the accuracy gate decide here, in float64: a score that rounds to
the threshold in float32 has the same verdict everywhere.

    unknown     the frame cannot be judged: it is broken, a column of its input check is beyond its
                limits, or a value is NaN or infinite
    anomalous   by the rule of the model: its score is above the image threshold, or its regions
                are too many or too large (rule.py)
    good        all others

`unknown` comes first: the score of what is no picture of the part says nothing. A high score never
becomes `good` by it, and neither does anything else that cannot be judged.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import InputLimit
from edgeseg.errors import ConfigError, DataError
from edgeseg.frame.geometry import Size
from edgeseg.frame.roi import Roi
from edgeseg.limits import THRESHOLD
from edgeseg.verdict.names import ANOMALOUS, GOOD, UNKNOWN, VerdictName
from edgeseg.verdict.regions import Regions
from edgeseg.verdict.rule import Rule

WORDS = {
    "brightness": ("too dark", "too bright"),
    "contrast": ("too little contrast", "too much contrast"),
    "sharpness": ("blurred", "noisy or too sharp"),
    "red": ("color cast: too little red", "color cast: too much red"),
    "blue": ("color cast: too little blue", "color cast: too much blue"),
    "layout": ("not like the trained part", "part covered, cut off or moved"),
    "features": ("not like the trained part", "not like the trained part"),
    "texture": ("not like the trained part", "not like the trained part"),
}
"""What a value below and above the limits of a column means."""
NOT_A_NUMBER = "the result is not a number"
DAMAGED = "damaged image"
PART_NOT_FOUND = "part not found"
OTHER_SHAPE = "picture of another shape than that of the ROI"
BY_SCORE = Rule()
BROKEN_FRAME, PARTIAL_FRAME = "broken frame", "partial frame"


class Verdict(NamedTuple):
    """A verdict, and in plain words why a frame is unknown."""

    name: VerdictName
    reason: str = ""


def judge(
    score: float,
    image_threshold: float,
    input_check: Sequence[Any] | NDArray[np.float32] = (),
    limits: Sequence[InputLimit] = (),
    *,
    rule: Rule = BY_SCORE,
    regions: Regions | None = None,
    fault: str = "",
) -> Verdict:
    """Return the verdict of a frame; input_check: its K columns, limits and rule: of the card.

    regions: those that count by the rule; needed where they decide. fault: why the frame cannot be
    judged, if that is known.
    """
    if reason := fault or doubt(score, input_check, limits):
        return Verdict(UNKNOWN, reason)
    if not rule.by_regions:
        return Verdict(ANOMALOUS if is_anomalous(score, image_threshold) else GOOD)
    assert regions is not None, "the regions decide"
    if not regions.finite:
        return Verdict(UNKNOWN, NOT_A_NUMBER)
    return Verdict(ANOMALOUS if rule.is_broken(regions.most, regions.area) else GOOD)


def doubt(
    score: float,
    input_check: Sequence[Any] | NDArray[np.float32],
    limits: Sequence[InputLimit],
) -> str:
    """Return why a frame cannot be judged, the first reason; empty where it can."""
    if not math.isfinite(score):
        return NOT_A_NUMBER
    for value, limit in zip(input_check, limits, strict=bool(limits)):
        low, high = WORDS.get(limit.name, (f"{limit.name} too low", f"{limit.name} too high"))
        if not math.isfinite(value):
            return NOT_A_NUMBER
        if limit.low is not None and value < limit.low:
            return low
        if limit.high is not None and value > limit.high:
            return high
    return ""


def roi_fault(roi: Roi | None, size: Size, *, lost: bool) -> str:
    """Return why a picture of a size cannot be judged with ROIs, if it cannot.

    lost: whether the part was looked for and not found.
    """
    if roi is None or roi.fits(size):
        return PART_NOT_FOUND if lost else ""
    return OTHER_SHAPE


def refuse_unknown(unknown: int, total: int, what: str) -> None:
    """DataError (`data/unknown`) if some of the frames or images cannot be judged."""
    if unknown:
        raise DataError(
            f"{unknown} of {total} {what} have the verdict unknown (expected none: --strict)",
            remedy="check camera, lens and lamp against the reasons; or leave out --strict",
            code="data/unknown",
        )


def is_anomalous(score: float, image_threshold: float) -> bool:
    """Whether a frame is not good: its score is above the threshold, NaN or infinite."""
    return not (math.isfinite(score) and score <= image_threshold)


def are_anomalous(scores: Iterable[Any], image_threshold: float) -> NDArray[np.bool_]:
    """Decide for each of N scores, bool [N]."""
    return np.array([is_anomalous(float(score), image_threshold) for score in scores], np.bool_)


def check_thresholds(threshold: float | None, image_threshold: float | None) -> None:
    """Check thresholds as `checked_threshold`; None stands for the model's own."""
    for name, value in (("threshold", threshold), ("image_threshold", image_threshold)):
        if value is not None:
            checked_threshold(name, value)


def checked_threshold(name: str, value: Any) -> float:
    """Return a threshold as a float; ConfigError unless it is a number from -1e6 to 1e6."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if number and abs(float(value)) <= THRESHOLD:  # false for NaN
        return float(value)
    raise ConfigError(
        f"invalid {name}: {value!r} (expected a number from {-THRESHOLD:g} to {THRESHOLD:g})",
        remedy=f"{name}=0.5 in Python, --{name.replace('_', '-')} 0.5 on the command line",
    )
