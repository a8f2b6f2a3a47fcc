"""`edgeseg threshold`: what each threshold of a model rejects and misses, and the choice of one.

The images are those that the model was not trained on: the held-out good ones, or, where the run of
a graph or an engine is not on this machine, the good ones of the test set; and the defective ones
of the data set. They run through the model itself: an INT8 engine has other scores than its run.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
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
from edgeseg.data.defective.known import unseen_samples
from edgeseg.data.layouts import Sample, open_dataset
from edgeseg.data.listing import list_images
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.assessment import assess
from edgeseg.evaluation.histogram import digits_of, histogram, histogram_lines
from edgeseg.evaluation.operating_points import OperatingPoint, Rate, below_misses
from edgeseg.evaluation.pick import Chosen, Pick, ScoredSet, choose, cost_of
from edgeseg.evaluation.remembered import run_card
from edgeseg.evaluation.run_images import run_images
from edgeseg.evaluation.threshold import conformal_quantile, held_out, images_needed
from edgeseg.files import quoted, shown
from edgeseg.loading import open_model, open_run
from edgeseg.log import log
from edgeseg.runtime.base import Backend
from edgeseg.text import table
from edgeseg.verdict import UNKNOWN, judge

FALSE_REJECTS = (0.01, 0.005, 0.02, 0.05, 0.1, 0.2)
MISSES = (0.05, 0.02, 0.1, 0.2, 0.5)
"""Rates of the table; the first is shown although too few images support it."""
PRESENT = "present"

Store = Callable[[Path, Chosen, float | None], None]


@dataclass(frozen=True, kw_only=True)
class Review:
    """The operating points of a model, and the chosen one, which `store` writes to it."""

    model: Path
    data: Path
    card: GraphCard
    backend: str
    measured: ScoredSet
    points: tuple[tuple[str, OperatingPoint], ...]
    """How to choose each, and the point; the present one among them."""
    pick: Pick | None
    chosen: Chosen | None
    context: float | None
    """The new blur of the map of a run; None: unchanged."""
    unknown: tuple[int, int]
    """Good and defective images that could not be judged; no figure counts them."""
    damaged: tuple[DamagedImage, ...] = ()
    write: Store | None = field(default=None, repr=False, compare=False)

    @property
    def present(self) -> OperatingPoint:
        """The point of the model's own image threshold."""
        return next(point for words, point in self.points if words == PRESENT)

    def summary(self) -> str:
        """Return histogram, operating points and the choice, as text."""
        good = self.measured.good
        marks = {"present threshold": self.card.image_threshold}
        if self.chosen and self.chosen.image == self.card.image_threshold:
            marks = {"present and chosen threshold": self.chosen.image}
        elif self.chosen:
            marks["chosen threshold"] = self.chosen.image
        lines = [
            f"{self.card.name}: {good.sum()} held-out good and {(~good).sum()} defective images of "
            f"{shown(self.data)}, {self.backend}",
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
        points = [{"by": words} | point.to_json() for words, point in self.points]
        bins = histogram(self.measured.scores, self.measured.good)
        return {
            "model": str(self.model),
            "pixel": pixel,
            "image": image,
            "chosen": self.chosen.note() | self.chosen.point.to_json() if self.chosen else None,
            "points": points,
            "histogram": [vars(each) for each in bins],
            "unknown": {"good": self.unknown[0], "defective": self.unknown[1]},
            **damaged_to_json(self.damaged),
        }

    def store(self) -> None:
        """Write the choice to the model; without a choice nothing is changed."""
        if self.chosen is not None and self.write is not None:
            self.write(self.model, self.chosen, self.context)

    def _table(self) -> list[str]:
        digits = digits_of([point.threshold for _, point in self.points])
        rows = [
            ["threshold", "good parts rejected", "", "defective parts missed", "", "choose by"],
            ["", "seen", "per 1000", "seen", "per 1000", ""],
        ]
        for words, point in self.points:
            pairs = [(point.false_rejects, self.present.false_rejects)]
            pairs += [(point.misses, self.present.misses)]
            cells = [cell for pair in pairs for cell in _cells(*pair, same=words == PRESENT)]
            rows.append([f"{point.threshold:.{digits}f}", *cells, words])
        return [
            *table(rows, "><><><"),
            "per 1000: as seen, and the change from the present threshold; [95 % interval]",
        ]

    def _ranking(self) -> list[str]:
        """Return what the ranking is called, where no threshold can repair it."""
        scores, good = self.measured.scores, self.measured.good
        found = assess(scores, good, self.card.image_threshold, auroc=self.measured.auroc)
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
            lines.append(f"defective parts: {chosen.point.misses.words('pass as good')}")
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
        return [
            "the thresholds are as before; to choose others, for example:",
            f"  edgeseg threshold {quoted(self.model)} {quoted(self.data)} --false-reject 0.01",
        ]


def review(
    model: Path,
    data: Path,
    pick: Pick | None = None,
    *,
    context: float | None = None,
    strict: bool = False,
    runtime: str | None = None,
    threads: int | None = None,
    write: Store | None = None,
) -> Review:
    """Measure a run, an ONNX file or an engine, and choose its thresholds if `pick` says how.

    context: sigma of the blur of the map, of a run only. strict: refuse a damaged image, which is
    left out otherwise. write: stores the choice when the review is stored.
    """
    if context is not None and not model.is_dir():
        raise ConfigError(
            f"{shown(model)} has its blur in the graph (expected a run for --context)",
            remedy="edgeseg threshold RUN DATA --context 16 --false-reject 0.01, then edgeseg "
            "export RUN",
            code="config/context",
        )
    opened = (
        open_run(model, context=context, threads=threads, device="auto", sets_thresholds=True)
        if model.is_dir()
        else open_model(model, runtime=runtime, threads=threads)
    )
    with closing(opened) as backend:
        card = backend.card
        good, bad = _images(model, card, data)
        damaged = DamagedImages()
        measured, unknown = _measure(backend, good, bad, damaged)
    if strict:
        refuse_damaged(damaged.found)
    return Review(
        model=model,
        data=data,
        card=card,
        backend=backend.name,
        measured=measured,
        points=tuple(_points(measured, card.image_threshold)),
        pick=pick,
        chosen=choose(measured, pick) if pick else None,
        context=context,
        unknown=unknown,
        damaged=tuple(damaged.found),
        write=write,
    )


def _images(model: Path, card: GraphCard, data: Path) -> tuple[list[Path], list[Path]]:
    """Return the good and the defective images that the model was not trained on."""
    run = run_card(model, card)
    test: tuple[Sample, ...] = ()
    problem = ""
    try:
        test = open_dataset(data).test
    except DataError as error:  # a folder of good images is enough
        problem = error.problem
    bad = [sample.path for sample in unseen_samples(test, card.defects) if not sample.good]
    if run is not None:
        if IMPORTED in run.config:
            log.info(f"imported run {run.name}: valid only if {data} was not used in training")
        return held_out(run, data), bad
    good = list_images(data) or [sample.path for sample in test if sample.good]
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
    return good, bad


def _measure(
    backend: Backend, good: list[Path], bad: list[Path], damaged: DamagedImages
) -> tuple[ScoredSet, tuple[int, int]]:
    card, rows, unknown = backend.card, [], [0, 0]
    for outcome in run_images(backend, [*good, *bad], title="threshold", damaged=damaged):
        is_good = outcome.place < len(good)
        verdict = judge(outcome.score, math.inf, outcome.input_check, card.input_check)
        if verdict.name == UNKNOWN:
            unknown[not is_good] += 1
        else:
            rows.append((outcome.score, float(outcome.anomaly_map.max()), is_good))
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


def _points(measured: ScoredSet, present: float) -> Iterator[tuple[str, OperatingPoint]]:
    """Return the points of the table, the highest threshold first; none twice."""
    good, bad = (measured.scores[kind] for kind in (measured.good, ~measured.good))
    wanted = [(PRESENT, present)]
    wanted += [
        (f"--false-reject {rate:g}", conformal_quantile(good, rate))
        for rate in FALSE_REJECTS
        if rate == FALSE_REJECTS[0] or good.size >= images_needed(rate)
    ]
    wanted += [
        (f"--max-miss {rate:g}", below_misses(bad, rate, measured.scores))
        for rate in MISSES
        if bad.size and (rate == MISSES[0] or bad.size >= images_needed(rate))
    ]
    found: dict[tuple[int, int], tuple[str, OperatingPoint]] = {}
    for words, threshold in wanted:
        point = measured.point(threshold)
        found.setdefault((point.false_rejects.count, point.misses.count), (words, point))
    return iter(sorted(found.values(), key=lambda row: -row[1].threshold))


def _cells(rate: Rate, present: Rate, *, same: bool) -> tuple[str, str]:
    """Return `2 of 40 [1 to 17 %]` and `50 (+25)`: per 1000, and the change from the present."""
    if not rate.total:
        return "-", ""
    low, high = (100 * side for side in rate.interval)
    change = round(1000 * (rate.value - present.value))
    per = f"{1000 * rate.value:.0f}" + ("" if same else f" ({change:+d})")
    return f"{rate.count} of {rate.total} [{low:.2g} to {high:.0f} %]", per
