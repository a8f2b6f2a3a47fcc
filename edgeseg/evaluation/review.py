"""`edgeseg threshold`: what each threshold of a model rejects and misses, and the choice of one.

The images are those that the model was not trained on: the held-out good ones, or, where the run of
a graph or an engine is not on this machine, the good ones of the test set; and the defective ones
of the data set. They run through the model itself: an INT8 engine has other scores than its run.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.cards import IMPORTED, GraphCard
from edgeseg.data.damaged import (
    DamagedImage,
    DamagedImages,
    damaged_lines,
    damaged_to_json,
    refuse_damaged,
)
from edgeseg.data.defective.known import refuse_good_and_bad, unseen_samples
from edgeseg.data.layouts import Sample, open_dataset
from edgeseg.data.listing import list_images
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.assessment import HELD_GOOD, TEST_GOOD, assess, miss_words
from edgeseg.evaluation.histogram import digits_of, histogram, histogram_lines
from edgeseg.evaluation.operating_points import OperatingPoint, Rate, below_misses
from edgeseg.evaluation.pick import Chosen, Pick, ScoredSet, choose, cost_of
from edgeseg.evaluation.regions.change import new_roi, new_rule
from edgeseg.evaluation.regions.score import judge_outcome
from edgeseg.evaluation.remembered import run_card
from edgeseg.evaluation.run_images import run_images
from edgeseg.evaluation.threshold import conformal_quantile, held_out, images_needed
from edgeseg.files import quoted, shown
from edgeseg.frame.roi import Roi
from edgeseg.loading import open_model, open_run
from edgeseg.log import log
from edgeseg.runtime.base import Backend
from edgeseg.text import counted, percent, table
from edgeseg.verdict.names import UNKNOWN
from edgeseg.verdict.region_config import UNCHANGED, RuleConfig
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import BY_SCORE

FALSE_REJECTS = (0.01, 0.005, 0.02, 0.05, 0.1, 0.2)
MISSES = (0.05, 0.02, 0.1, 0.2, 0.5)
"""Rates of the table; the first is shown although too few images support it."""
PRESENT = "present"

Store = Callable[[Path, Chosen | None, float | None, Rule | None, Roi | None], None]
"""Writes thresholds, a blur of the map, a rule and ROIs to a model; None: unchanged."""


@dataclass(frozen=True)
class Offer:
    """A row of the table: how to choose a threshold, and what it does."""

    by: str
    point: OperatingPoint
    needs: str = ""
    """The images that the rate needs, where there are fewer."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"by": self.by, **self.point.to_json(), "needs": self.needs or None}


@dataclass(frozen=True, kw_only=True)
class Review:
    """The operating points of a model, and the chosen one, which `store` writes to it."""

    model: Path
    data: Path
    card: GraphCard
    backend: str
    measured: ScoredSet
    good_kind: str
    """What the good images are: `held-out good`, `good test`."""
    offers: tuple[Offer, ...]
    """The present threshold among them."""
    pick: Pick | None
    chosen: Chosen | None
    context: float | None
    """The new blur of the map of a run; None: unchanged."""
    rule: Rule | None
    """The new rule of the model; None: unchanged."""
    roi: Roi | None
    """The new ROIs of a run; None: unchanged."""
    unknown: tuple[int, int]
    """Good and defective images that could not be judged; no figure counts them."""
    damaged: tuple[DamagedImage, ...] = ()
    write: Store | None = field(default=None, repr=False, compare=False)

    @property
    def present(self) -> OperatingPoint:
        """The point of the model's own threshold."""
        return next(offer.point for offer in self.offers if offer.by == PRESENT)

    def summary(self) -> str:
        """Return histogram, operating points and the choice, as text."""
        good = self.measured.good
        present = self.card.decisive_threshold
        marks = {"present threshold": present}
        if self.chosen and self._decisive(self.chosen) == present:
            marks = {"present and chosen threshold": present}
        elif self.chosen:
            marks["chosen threshold"] = self._decisive(self.chosen)
        lines = [
            f"{self.card.name}: {good.sum()} {self.good_kind} and {(~good).sum()} defective images "
            f"of {shown(self.data)}, {self.backend}",
            *self._rule(),
            "",
            *histogram_lines(histogram(self.measured.scores, good), marks),
            "",
            *self._table(),
            "",
            *self._ranking(),
            *(self._choice() if self.chosen else self._ways()),
        ]
        if any(self.unknown):
            lines.append("unknown, not counted: {} good and {} defective".format(*self.unknown))
        return "\n".join([*lines, *damaged_lines(self.damaged)])

    def to_json(self) -> dict[str, Any]:
        """Return the thresholds in force, every point, the histogram and the choice."""
        pixel, image = self.card.threshold, self.card.image_threshold
        if self.chosen:
            pixel, image = self.chosen.pixel, self.chosen.image
        bins = histogram(self.measured.scores, self.measured.good)
        return {
            "model": str(self.model),
            "pixel": pixel,
            "image": image,
            "rule": asdict(self.card.rule),
            "chosen": self.chosen.note() | self.chosen.point.to_json() if self.chosen else None,
            "images": {
                "good": int(self.measured.good.sum()),
                "defective": int((~self.measured.good).sum()),
                "good_kind": self.good_kind,
            },
            "points": [offer.to_json() for offer in self.offers],
            "histogram": [vars(each) for each in bins],
            "unknown": {"good": self.unknown[0], "defective": self.unknown[1]},
            **damaged_to_json(self.damaged),
        }

    def store(self) -> None:
        """Write choice, rule and ROIs to the model; without them nothing is changed."""
        if self.write is not None and (self.chosen, self.rule, self.roi) != (None, None, None):
            self.write(self.model, self.chosen, self.context, self.rule, self.roi)

    def _decisive(self, chosen: Chosen) -> float:
        """Return the threshold that decides the verdicts."""
        return chosen.pixel if self.card.rule.by_regions else chosen.image

    def _rule(self) -> list[str]:
        """Return the rule, where it is not the usual one."""
        if self.card.rule == BY_SCORE:
            return []
        lines = [self.card.rule.words() + ("" if self.rule is None else " (new)")]
        if self.card.rule.by_regions:
            lines.append("the scores below are region scores, compared with the pixel threshold")
        return lines

    def _table(self) -> list[str]:
        digits = digits_of([offer.point.threshold for offer in self.offers])
        rows = [
            ["threshold", "good parts rejected", "", "defective parts missed", "", "choose by"],
            ["", "seen", "per 1000", "seen", "per 1000", ""],
        ]
        for offer in self.offers:
            point = offer.point
            pairs = [(point.false_rejects, self.present.false_rejects)]
            pairs += [(point.misses, self.present.misses)]
            cells = [cell for pair in pairs for cell in _cells(*pair, same=offer.by == PRESENT)]
            words = f"{offer.by} (too few: needs {offer.needs})" if offer.needs else offer.by
            rows.append([f"{point.threshold:.{digits}f}", *cells, words])
        return [
            *table(rows, "><><><"),
            "per 1000: as seen, and the change from the present threshold; [95 % interval]",
        ]

    def _ranking(self) -> list[str]:
        """Return what the ranking is called, where no threshold can repair it."""
        measured, limit = self.measured, self.card.decisive_threshold
        found = assess(
            measured.scores,
            measured.good,
            limit,
            auroc=measured.auroc,
            good_kind=self.good_kind,
        )
        return [found.words[0]] if found.ranking in ("useless", "weak") else []

    def _choice(self) -> list[str]:
        chosen = self.chosen
        assert chosen is not None
        lines = [
            f"chosen by {chosen.by}: image threshold {chosen.image:.6g}, pixel threshold "
            f"{chosen.pixel:.6g}",
            f"good parts: {chosen.point.false_rejects.words('rejected')}",
        ]
        if chosen.point.misses.total:
            lines.append(miss_words(chosen.point.misses))
        if chosen.cost is not None and self.pick is not None:
            lines.append(
                f"expected cost of 1000 parts: {chosen.cost:.4g} (present threshold: "
                f"{cost_of(self.present, self.pick):.4g}), if a share of "
                f"{self.pick.defect_rate:g} is defective (--defect-rate)"
            )
        if chosen.false_reject_rate is None:
            lines.append(
                "these defective images chose the threshold: judge it by others "
                "(edgeseg evaluate MODEL OTHERS)"
            )
        warnings = [chosen.warning] if chosen.warning else []
        for rate, words in (
            (chosen.point.false_rejects, "rejects every good part"),
            (chosen.point.misses, "passes every defective part"),
        ):
            if rate.total and rate.count == rate.total:
                warnings.append(f"this threshold {words} of these images: do not use it")
        return [*lines, *(f"warning: {warning}" for warning in warnings)]

    def _ways(self) -> list[str]:
        good = int(self.measured.good.sum())
        rates = [rate for rate in sorted(FALSE_REJECTS) if rate >= FALSE_REJECTS[0]]
        rate = next((each for each in rates if good >= images_needed(each)), rates[-1])
        return [
            "the thresholds are as before; to choose others, for example "
            f"({counted(good, 'good image')} support {percent(1 / (good + 1))} and more):",
            f"  edgeseg threshold {quoted(self.model)} {quoted(self.data)} "
            f"--false-reject {quoted(str(rate))}",
        ]


def review(
    model: Path,
    data: Path,
    pick: Pick | None = None,
    *,
    context: float | None = None,
    regions: RuleConfig = UNCHANGED,
    strict: bool = False,
    runtime: str | None = None,
    threads: int | None = None,
    write: Store | None = None,
) -> Review:
    """Measure a run, an ONNX file or an engine, and choose its thresholds if `pick` says how.

    context: sigma of the blur of the map, of a run only. regions: a rule in place of the model's
    own and ROIs of a run, which are stored. strict: refuse a damaged image, which is left out
    otherwise. write: stores the choice when the review is stored.
    """
    if context is not None and not model.is_dir():
        raise ConfigError(
            f"{shown(model)} has its blur in the graph (expected a run for --context)",
            remedy="edgeseg threshold RUN DATA --context 16 --false-reject 0.01, then edgeseg "
            "export RUN",
            code="config/context",
        )
    roi = new_roi(model, regions)
    opened = (
        open_run(
            model, context=context, roi=roi, threads=threads, device="auto", sets_thresholds=True
        )
        if model.is_dir()
        else open_model(model, runtime=runtime, threads=threads)
    )
    with closing(opened) as backend:
        rule = new_rule(model, backend.card.rule, regions)
        card = backend.card if rule is None else replace(backend.card, rule=rule)
        good, bad, good_kind = _images(model, card, data)
        damaged = DamagedImages()
        measured, unknown = _measure(backend, card, good, bad, damaged)
    if strict:
        refuse_damaged(damaged.found)
    kept = card.image_threshold if card.rule.by_regions else None
    return Review(
        model=model,
        data=data,
        card=card,
        backend=backend.name,
        measured=measured,
        good_kind=good_kind,
        offers=tuple(_offers(measured, card.decisive_threshold)),
        pick=pick,
        chosen=choose(measured, pick, image=kept) if pick else None,
        context=context,
        rule=rule,
        roi=roi,
        unknown=unknown,
        damaged=tuple(damaged.found),
        write=write,
    )


def _images(model: Path, card: GraphCard, data: Path) -> tuple[list[Path], list[Path], str]:
    """Return the good and the defective images that the model was not trained on, and of which kind
    the good ones are; DataError for an image that is good and defective.
    """
    run = run_card(model, card)
    test: tuple[Sample, ...] = ()
    problem = ""
    try:
        dataset = open_dataset(data)
        test = dataset.test
    except DataError as error:  # a folder of good images is enough
        problem = error.problem
    else:
        refuse_good_and_bad(dataset)
    bad = [sample.path for sample in unseen_samples(test, card.defects) if not sample.good]
    if run is not None:
        if IMPORTED in run.config:
            log.info(f"imported run {run.name}: valid only if {data} was not used in training")
        return held_out(run, data), bad, HELD_GOOD
    good, good_kind = list_images(data), "good"
    if not good:
        good, good_kind = [sample.path for sample in test if sample.good], TEST_GOOD
    if not good:
        raise DataError(
            f"no good images in {shown(data)} that were not used in training"
            + (f": {problem}" if problem else ""),
            remedy="a folder of good images that were not used in training",
            code="threshold/no-images",
        )
    log.info(
        f"the run of {card.name} is not here: valid only if the {len(good)} good images were not "
        "used in training"
    )
    return good, bad, good_kind


def _measure(
    backend: Backend, card: GraphCard, good: list[Path], bad: list[Path], damaged: DamagedImages
) -> tuple[ScoredSet, tuple[int, int]]:
    rows, unknown = [], [0, 0]
    for outcome in run_images(backend, [*good, *bad], title="threshold", damaged=damaged):
        is_good = outcome.place < len(good)
        verdict, score = judge_outcome(outcome, card)
        if verdict.name == UNKNOWN:
            unknown[not is_good] += 1
        else:
            rows.append((score, float(outcome.anomaly_map.max()), is_good))
    measured = ScoredSet(
        np.array([row[0] for row in rows], np.float64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.bool_),
    )
    if not measured.good.any():
        raise DataError(
            f"none of the {len(good)} good images could be judged: they are damaged or unknown",
            remedy="check the folder, or train again",
            code="threshold/no-images",
        )
    return measured, (unknown[0], unknown[1])


def _offers(measured: ScoredSet, present: float) -> list[Offer]:
    """Return the rows of the table, the highest threshold first; none twice."""
    good, bad = (measured.scores[kind] for kind in (measured.good, ~measured.good))
    offers = [Offer(PRESENT, measured.point(present))]
    for rate in FALSE_REJECTS:
        needs = _needs(rate, good.size, "good images")
        if rate == FALSE_REJECTS[0] or not needs:
            point = measured.point(conformal_quantile(good, rate))
            offers.append(Offer(f"--false-reject {rate:g}", point, needs))
    for rate in MISSES if bad.size else ():
        needs = _needs(rate, bad.size, "defective images")
        if rate == MISSES[0] or not needs:
            point = measured.point(below_misses(bad, rate, measured.scores))
            offers.append(Offer(f"--max-miss {rate:g}", point, needs))
    found: dict[tuple[int, int], Offer] = {}
    for offer in offers:
        counts = offer.point.false_rejects.count, offer.point.misses.count
        found.setdefault(counts, offer)
    return sorted(found.values(), key=lambda offer: -offer.point.threshold)


def _needs(rate: float, images: int, what: str) -> str:
    needed = images_needed(rate)
    return f"{needed} {what}" if images < needed else ""


def _cells(rate: Rate, present: Rate, *, same: bool) -> tuple[str, str]:
    """Return `2 of 40 [1 to 17 %]` and `50 (+25)`: per 1000, and the change from the present."""
    if not rate.total:
        return "-", ""
    change = round(1000 * (rate.value - present.value))
    per = f"{1000 * rate.value:.0f}" + ("" if same else f" ({change:+d})")
    return f"{rate.count} of {rate.total} [{rate.bounds()}]", per
