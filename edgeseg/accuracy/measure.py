"""What a lower precision costs: pixel AP and image AUROC before and after, on the same frames."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.accuracy.cases import Cases
from edgeseg.cards import GraphCard
from edgeseg.evaluation.evaluate import Results, score_results

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

JUDGED = {"pixel AP": "pixel_ap", "image AUROC": "image_auroc"}


@dataclass(frozen=True)
class Answers:
    """What one graph says of N cases.

    maps: float32 [N, S, S]; scores: float32 [N]
    """

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def finite(self) -> bool:
        """Whether every map and score is a number."""
        return bool(np.isfinite(self.maps).all() and np.isfinite(self.scores).all())

    def part(self, places: NDArray[np.intp]) -> "Answers":
        """Return the answers to some of the cases."""
        return Answers(self.maps[places], self.scores[places])

    def distance(self, other: "Answers") -> float:
        """Return the mean difference of the maps, 0 to 1; a value that is no number counts 1."""
        difference = np.abs(self.maps - other.maps)
        return float(np.nan_to_num(difference, nan=1.0, posinf=1.0).mean())


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A typed graph beside its source."""

    before: "Scores"
    after: "Scores"
    """Undefined where an answer is no number."""
    finite: bool
    mask_iou: float
    """Of the pixels above the threshold, at the map's size; 1 when neither has any."""
    flipped_verdicts: int
    """Frames that one accepts and the other rejects."""
    frames: int

    @property
    def drop(self) -> float:
        """How far the worse of the two metrics falls; infinite for answers that are no numbers."""
        if not self.finite:
            return math.inf
        falls = [getattr(self.before, m) - getattr(self.after, m) for m in JUDGED.values()]
        return float(max(fall for fall in falls if not math.isnan(fall)))

    def line(self) -> str:
        """Return both metrics, the masks and the verdicts in one line."""
        if not self.finite:
            return f"NaN or infinity within {self.frames} frames"
        pairs = [(n, getattr(self.before, m), getattr(self.after, m)) for n, m in JUDGED.items()]
        metrics = [f"{n} {old:.4f} -> {new:.4f}" for n, old, new in pairs if not math.isnan(old)]
        return (
            f"{', '.join(metrics)}, mask IoU {self.mask_iou:.4f}, "
            f"{self.flipped_verdicts} flipped verdicts over {self.frames} frames"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all six metrics of both, and the rest."""
        rest = ("mask_iou", "flipped_verdicts", "frames", "finite")
        both = {"before": self.before.to_json(), "after": self.after.to_json()}
        return both | {name: getattr(self, name) for name in rest}


@dataclass(frozen=True)
class Allowance:
    """What a lower precision may cost."""

    drop: float
    """How far pixel AP and image AUROC may fall."""
    flips: float
    """The share of verdicts that may flip; a single one always may."""

    def covers(self, found: Accuracy) -> bool:
        """Whether a cost is within it."""
        flips = max(1.0, self.flips * found.frames)
        return found.drop <= self.drop and found.flipped_verdicts <= flips

    def line(self) -> str:
        """Return it in words."""
        return f"a fall of {self.drop:g} and {self.flips:.3g} of the verdicts are allowed"


def measure(before: Answers, after: Answers, cases: Cases, card: GraphCard) -> Accuracy:
    """Compare a typed graph's answers with its source's; the source's must be numbers."""
    old, new = before.maps > card.threshold, after.maps > card.threshold
    either = int((old | new).sum())
    limit = card.image_threshold
    return Accuracy(
        before=_score(before, cases, card),
        after=_score(after, cases, card),
        finite=after.finite,
        mask_iou=int((old & new).sum()) / either if either else 1.0,
        flipped_verdicts=int(((before.scores > limit) != (after.scores > limit)).sum()),
        frames=len(cases),
    )


def _score(answers: Answers, cases: Cases, card: GraphCard) -> "Scores":
    """Return what `edgeseg evaluate` would; undefined for answers that are no numbers."""
    from edgeseg.evaluation.metrics import UNDEFINED

    if not answers.finite:
        return UNDEFINED
    results = Results(
        maps=answers.maps,
        truth=cases.truth,
        score=answers.scores.astype(np.float64),
        marked=np.asarray((answers.maps > card.threshold).any(axis=(1, 2))),
        good=cases.good,
        judged=cases.judged,
    )
    return score_results(results, ~cases.good, top=card.training["top"])
