"""Results of finished runs: means and standard deviations over seeds and categories."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgeseg.reproduce.table import AVERAGE, Figure, Row, plus_minus

if TYPE_CHECKING:
    from edgeseg.reproduce.runs import TableRun

SECONDS = "training_seconds"  # beside the metrics


@dataclass(frozen=True)
class RowResult:
    """The result of one finished run."""

    run: "TableRun"
    values: dict[str, float | None]
    """Metric -> percent, None where undefined; and SECONDS -> duration of the training."""
    trained_on: str = ""


@dataclass(frozen=True)
class Stat:
    """Mean over `n` seeds, and sample standard deviation (n - 1), None for a single one."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return plus_minus(self.mean, self.std)


@dataclass(frozen=True)
class Cell:
    """One metric of a line: our value and the published one."""

    ours: Stat | None
    paper: Figure | None
    comparable: bool
    """Both are on the same data and the same categories."""

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in percentage points."""
        if self.ours is None or self.paper is None or not self.comparable:
            return None
        return self.ours.mean - self.paper.mean

    @property
    def beyond(self) -> bool | None:
        """Whether |difference| exceeds the sum of both deviations; None if both are unknown."""
        if self.difference is None or self.ours is None or self.paper is None:
            return None
        known = [std for std in (self.ours.std, self.paper.std) if std is not None]
        return abs(self.difference) > sum(known) if known else None

    def to_json(self) -> dict[str, Any]:
        return {
            "ours": self.ours and asdict(self.ours),
            "paper": self.paper and asdict(self.paper),
            "difference": self.difference,
            "beyond": self.beyond,
        }


@dataclass(frozen=True)
class Line:
    """A category of a row, or the average of all categories."""

    category: str
    cells: dict[str, Cell]
    """By metric."""
    runs: int
    seconds: Stat | None
    """Duration of the trainings."""


def read_result(run: "TableRun") -> RowResult | None:
    """Return the result in the card of a run; None if the run is not finished."""
    card = run.card
    if card is None or not card.metrics:
        return None
    values = {name: None if x is None else 100 * x for name, x in card.metrics.items()}
    return RowResult(run, {**values, SECONDS: sum(card.seconds.values())}, card.trained_on)


def lines_of(
    row: Row,
    metrics: Sequence[str],
    results: Sequence[RowResult],
    categories: Sequence[str],
    *,
    comparable: bool,
    complete: bool,
) -> list[Line]:
    """Return a line per category with results, followed by their average if there are several.

    results: of this row; comparable: the data are those of the paper; complete: `categories` are
    all categories of the paper.
    """
    found = {c: [r for r in results if r.run.category == c] for c in categories}
    found = {category: those for category, those in found.items() if those}
    lines = []
    for category, those in found.items():
        figures = row.figures.get(category)
        if figures is None and len(categories) == 1:
            figures = row.figures.get(AVERAGE)
            comparable = comparable and complete
        cells = {
            metric: Cell(_stat(those, metric), figures[place] if figures else None, comparable)
            for place, metric in enumerate(metrics)
        }
        lines.append(Line(category, cells, len(those), _stat(those, SECONDS)))
    if len(categories) > 1 and found:
        complete = complete and len(found) == len(categories)
        lines.append(_average(row, metrics, found, comparable, complete))
    return lines


def _average(
    row: Row,
    metrics: Sequence[str],
    found: dict[str, list[RowResult]],
    comparable: bool,
    complete: bool,
) -> Line:
    """Average over the categories with results; the paper's over the same ones if published."""
    cells = {}
    for place, metric in enumerate(metrics):
        ours = _over_categories(found, metric)
        figures = [row.figures[category][place] for category in found if category in row.figures]
        printed = row.figures[AVERAGE][place] if AVERAGE in row.figures else None
        if not complete and len(figures) == len(found):
            same = Figure(round(statistics.fmean(f.mean for f in figures), 1))
            cells[metric] = Cell(ours, same, comparable)
        else:
            cells[metric] = Cell(ours, printed, comparable and complete)
    runs = sum(len(those) for those in found.values())
    return Line(AVERAGE, cells, runs, _over_categories(found, SECONDS))


def _over_categories(found: dict[str, list[RowResult]], name: str) -> Stat | None:
    """Average the means of the categories; std and n are over the seeds that all of them have."""
    known = [stat.mean for those in found.values() if (stat := _stat(those, name))]
    if not known:
        return None
    by_seed: dict[int, list[float]] = {}
    for those in found.values():
        for result in those:
            if (value := result.values[name]) is not None:
                by_seed.setdefault(result.run.config.seed, []).append(value)
    complete = [statistics.fmean(v) for v in by_seed.values() if len(v) == len(found)]
    std = statistics.stdev(complete) if len(complete) > 1 else None
    return Stat(statistics.fmean(known), std, len(complete))


def _stat(results: Iterable[RowResult], name: str) -> Stat | None:
    known = [value for result in results if (value := result.values[name]) is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Stat(statistics.fmean(known), std, len(known))
