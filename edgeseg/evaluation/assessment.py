"""What the figures of an evaluation mean, in words, and what to try next.

image AUROC   ranking
below 0.8     useless: do not deploy; `no better than guessing` where the 95 % interval has 0.5
0.8 to 0.95   weak
0.95 to 0.99  usable
from 0.99     good

With bell-shaped scores of equal spread, a model at 0.8 misses 87 % of the defective parts at 1 %
false rejects, one at 0.95 half of them, and one at 0.99 a sixth. Where the interval reaches 0.5
although the AUROC is 0.8 or more, there are too few images to tell (`unclear`).

The thresholds are `unfit` where more than half of at least five defective parts pass, or more than
half of at least five good parts are rejected.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.evaluation.operating_points import (
    OperatingPoint,
    Rate,
    auroc_interval,
    below_misses,
    rates,
)

TEST_GOOD, HELD_GOOD = "good test", "held-out good"
"""Which good images a figure is from."""
Ranking = Literal["useless", "weak", "usable", "good", "unclear"]
BOUNDS: dict[Ranking, float] = {"useless": 0.8, "weak": 0.95, "usable": 0.99, "good": math.inf}
"""Each up to this image AUROC."""
WORDS: dict[Ranking, str] = {
    "useless": "hardly better than guessing: do not deploy",
    "weak": "defective parts often score no higher than good ones: do not rely on it",
    "usable": "most defective parts score higher than all good ones",
    "good": "nearly every defective part scores higher than every good one",
    "unclear": "there are too few images to tell",
}
MANY = 50  # of each kind: the interval of a rate is then at most 28 points wide
ENOUGH = 5  # of a kind, before its thresholds are called unfit
PIXEL_BOUNDS = {0.2: "hardly show the defects", 0.5: "show the defects roughly"}
"""Each below this pixel AP; from 0.5 on the masks show the defects well."""
WANTED_MISSES = 0.1
LOWER = "a lower threshold: edgeseg threshold MODEL DATA --max-miss 0.1"
ACCEPTED_REJECTS = 0.2  # false rejects up to which a threshold of fewer misses is proposed


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The verdict on a model: its ranking, its thresholds, both in words, and what to try."""

    ranking: Ranking | None
    """None without good or without defective images."""
    interval: tuple[float, float]
    """Of the image AUROC, 95 %."""
    unfit: bool
    """Whether the thresholds pass most defective parts, or reject most good ones."""
    words: tuple[str, ...]
    steps: tuple[str, ...]
    """What to try; `MODEL DATA` stands for the two paths."""

    def lines(self, paths: str = "MODEL DATA") -> list[str]:
        """Return the words and the steps, as lines of a report."""
        steps = (step.replace("MODEL DATA", paths) for step in self.steps)
        return [*self.words, *(f"next: {step}" for step in steps)]

    def to_json(self) -> dict[str, Any]:
        """Return the fields; the steps as `next`."""
        return {
            "ranking": self.ranking,
            "image_auroc_interval": list(self.interval),
            "thresholds": "unfit" if self.unfit else "fit",
            "words": list(self.words),
            "next": list(self.steps),
        }


def assess(
    scores: NDArray[np.float64],
    good: NDArray[np.bool_],
    image_threshold: float,
    *,
    auroc: float,
    pixel_ap: float = math.nan,
    image_size: int = 0,
    reasons: Sequence[str] = (),
    good_kind: str = "good",
    use_defects: bool = False,
) -> Assessment:
    """Judge a model by the scores [N] of its labeled images; good: bool [N].

    reasons: why an image is unknown, empty for the others; () for none.
    pixel_ap: NaN without masks. image_size: shorter side of the network's input; use_defects:
    whether it was trained with defects; both for the advice. good_kind: what the good images are.
    """
    unknown = np.array([bool(reason) for reason in reasons or [""] * len(good)], np.bool_)
    point = rates(scores, good, image_threshold, unknown=unknown)
    interval = auroc_interval(auroc, point.false_rejects.total, point.misses.total)
    ranking = _ranking(auroc, interval)
    words = [] if ranking is None else [_ranking_words(auroc, interval, ranking, point, good_kind)]
    words += _rate_words(point) + _unknown_words(good, unknown, reasons)
    if not math.isnan(pixel_ap):
        shown = (text for bound, text in PIXEL_BOUNDS.items() if pixel_ap < bound)
        words.append(f"pixel AP {pixel_ap:.2f}: the masks {next(shown, 'show the defects well')}")
    return Assessment(
        ranking=ranking,
        interval=interval,
        unfit=any(_most(each.count, each.total) for each in (point.misses, point.false_rejects)),
        words=tuple(words),
        steps=tuple(_steps(scores, good, point, ranking, image_size, use_defects)),
    )


def useless_words(interval: Sequence[float]) -> str:
    """Return the words for a useless ranking by the interval of its image AUROC."""
    if interval[1] < 0.5:
        return "defective parts score lower than good ones: do not deploy"
    if interval[0] <= 0.5:
        return "no better than guessing: do not deploy"
    return WORDS["useless"]


def _ranking(auroc: float, interval: tuple[float, float]) -> Ranking | None:
    if math.isnan(auroc):
        return None
    if interval[0] <= 0.5 and auroc >= BOUNDS["useless"]:
        return "unclear"
    return next(name for name, bound in BOUNDS.items() if auroc < bound)


def _ranking_words(
    auroc: float,
    interval: tuple[float, float],
    ranking: Ranking,
    point: OperatingPoint,
    good_kind: str,
) -> str:
    good, defective = point.false_rejects.total, point.misses.total
    few = " (few)" if min(good, defective) < MANY else ""
    words = useless_words(interval) if ranking == "useless" else WORDS[ranking]
    line = (
        f"image AUROC {_short(auroc)}: {words}. From {good} {good_kind} and {defective} defective "
        f"images{few}: {_short(interval[0])} to {_short(interval[1])} (95 % interval)"
    )
    lowest = _ranking(interval[0], (1.0, 1.0))
    if ranking in ("weak", "usable", "good") and lowest not in (ranking, None):
        line += f", so it may be {lowest}"
    return line


def miss_words(misses: Rate) -> str:
    """Return how many defective parts pass as good, as text."""
    verb = "passes as good" if misses.count == 1 else "pass as good"
    return f"defective parts: {misses.words(verb)}"


def _rate_words(point: OperatingPoint) -> list[str]:
    lines = []
    if point.misses.total:
        lines.append(miss_words(point.misses))
    if point.false_rejects.total:
        verb = "is rejected" if point.false_rejects.count == 1 else "are rejected"
        lines.append(f"good parts: {point.false_rejects.words(verb)}")
    return lines


def _unknown_words(
    good: NDArray[np.bool_], unknown: NDArray[np.bool_], reasons: Sequence[str]
) -> list[str]:
    if not unknown.any():
        return []
    found = f"{(unknown & good).sum()} good and {(unknown & ~good).sum()} defective images"
    most = Counter(reason for reason in reasons if reason).most_common(2)
    return [f"unknown: {found} ({', '.join(f'{reason}: {n}' for reason, n in most)})"]


def _steps(
    scores: NDArray[np.float64],
    good: NDArray[np.bool_],
    point: OperatingPoint,
    ranking: Ranking | None,
    image_size: int,
    use_defects: bool,
) -> list[str]:
    """Return what to try, the most useful first."""
    steps = []
    if ranking in ("useless", "weak"):
        defects = "photos of more defects"
        if not use_defects:
            defects = "the defects that you have (--use-defects)"
        larger = f"--image-size {2 * image_size}, " if 0 < image_size <= 128 else ""
        steps.append(
            f"train better: more time (--minutes 60), {larger}{defects}, or more photos of good "
            "parts; no threshold can repair a ranking"
        )
    elif ranking is not None:
        steps += _threshold_steps(scores, good, point)
    kinds = {"good": point.false_rejects.total, "defective": point.misses.total}
    if few := [f"{kind} ({count})" for kind, count in kinds.items() if count < MANY]:
        steps.append(f"judge by more images: at least {MANY} of each kind; few: {', '.join(few)}")
    return steps


def _threshold_steps(
    scores: NDArray[np.float64], good: NDArray[np.bool_], point: OperatingPoint
) -> list[str]:
    """Return a better threshold, with what it does to the same images."""
    if point.misses.value > WANTED_MISSES:
        lower = rates(scores, good, below_misses(scores[~good], WANTED_MISSES, scores))
        if lower.misses.count < point.misses.count:
            missed, rejected = lower.misses, lower.false_rejects
            if rejected.value <= ACCEPTED_REJECTS:
                found = (
                    f"of these images {missed.count} of {missed.total} defective would pass, "
                    f"{rejected.count} of {rejected.total} good be rejected"
                )
                return [f"{LOWER} ({found})"]
            return ["what each threshold costs: edgeseg threshold MODEL DATA"]
    if point.false_rejects.interval[0] > 0.02:
        return ["fewer false rejects: edgeseg threshold MODEL DATA --false-reject 0.01"]
    return []


def _most(count: int, total: int) -> bool:
    return total >= ENOUGH and 2 * count > total


def _short(value: float) -> str:
    """Return two digits, and three from 0.9 on, where they matter; no bound is reached by rounding.

    Otherwise rounded as in the table of metrics.
    """
    if value == 1:
        return "1.00"
    digits = 3 if value >= 0.895 else 2
    rounded = round(value, digits)
    if any(value < bound <= rounded for bound in (*BOUNDS.values(), 1)):
        rounded -= 10**-digits
    return f"{rounded:.{digits}f}"
