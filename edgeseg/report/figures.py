"""The figures of the page: rates in words, operating points, types of defects."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgeseg.data.defective.known import described
from edgeseg.evaluation.operating_points import OperatingPoint, Rate, below_misses, rates
from edgeseg.evaluation.threshold import conformal_quantile, images_needed
from edgeseg.report.facts import METHODS, ModelFacts
from edgeseg.report.measured import Judgements
from edgeseg.text import counted, percent

REJECTED, MISSED = (0.01, 0.05), (0.02, 0.1)  # rates that thresholds are shown for


@dataclass(frozen=True)
class PointRow:
    """A row of the table of operating points."""

    threshold: str
    reason: str
    rates: OperatingPoint
    current: bool


@dataclass(frozen=True)
class TypeRow:
    """A row of the table of types of defects."""

    label: str
    photos: int
    missed: Rate
    unknown: int


def points(measured: Judgements, threshold: float) -> list[PointRow]:
    """Return the thresholds that are worth a look, the lowest first; equal ones once."""
    scores, good = measured.scores, measured.good
    reasons = {threshold: "in use"}
    if good.any():
        for rate in REJECTED:
            found = conformal_quantile(scores[good], rate)
            reasons.setdefault(found, _at_most(rate, "good parts rejected", int(good.sum())))
    if not good.all():
        for rate in MISSED:
            found = below_misses(scores[~good], rate, scores)
            reasons.setdefault(found, _at_most(rate, "defects missed", int((~good).sum())))
    return [
        PointRow(number(place), reasons[place], rates(scores, good, place), place == threshold)
        for place in sorted(reasons)
    ]


def _at_most(rate: float, what: str, photos: int) -> str:
    """Return the rate that a threshold is chosen for, and whether there are too few photos."""
    words, needed = f"at most {percent(rate)} of {what}", images_needed(rate)
    return words if photos >= needed else f"{words} (too few photos: needs {needed})"


def types(measured: Judgements, trained: Mapping[str, str] | None = None) -> list[TypeRow]:
    """Return the types of defects, those with the most misses first; trained: see `described`."""
    return [
        TypeRow(
            described(label, trained or {}),
            sum(row.label == label for row in measured.rows),
            measured.missed(label),
            sum(row.label == label for row in measured.rows) - measured.missed(label).total,
        )
        for label in measured.types()
    ]


def trained(facts: ModelFacts) -> str:
    """Say in one sentence what the model is."""
    photos = "photos of good parts" if facts.photos != 1 else "photo of a good part"
    if facts.photos is not None:
        photos = f"{facts.photos} {photos}"
    method = METHODS.get(facts.graph.model, facts.graph.model).split(":")[0]
    words = f"A {method} model that learned from {photos} what a good part looks like"
    if known := sum(facts.defects.values()):
        words += f" and from {counted(known, 'photo')} of defects how these look"
    kept = f" Another {facts.held_out} were kept back to set its threshold." * bool(facts.held_out)
    return f"{words}, and marks what differs.{kept}"


def histogram_text(measured: Judgements, threshold: float) -> str:
    """Say what the histogram shows, for those who do not see it."""
    kind = measured.kinds[0]
    lines = [f"Histogram of the {kind} scores, threshold {number(threshold)}."]
    for kind, chosen in (("good", measured.good), ("defective", ~measured.good)):
        values = measured.scores[chosen]
        if len(values):
            lines.append(
                f"{len(values)} {kind} photos from {number(values.min())} to "
                f"{number(values.max())}, {int((values > threshold).sum())} above the threshold."
            )
    return " ".join(lines)


def number(value: float | None) -> str:
    """Return a score or a threshold with three digits."""
    return "-" if value is None else f"{value:.3g}"


def interval(rate: Rate) -> str:
    """Return the 95 % interval of a rate as `95 % interval 2 to 11 %`."""
    return f"95 % interval {rate.bounds()}"
