"""What finished runs measured, added up: means and deviations over seeds and categories."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.reproduce.plan import Run
from edgeseg.reproduce.table import AVERAGE, Figure, Row, plus_minus

SECONDS = "training_seconds"  # beside the metrics


@dataclass(frozen=True)
class Result:
    """One finished run."""

    run: Run
    values: dict[str, float | None]
    """By metric, percent; None where the data leave one undefined. And SECONDS of its training."""
    trained_on: str = ""


@dataclass(frozen=True)
class Stat:
    """A mean over `n` seeds; the standard deviation is a sample's (n - 1), from two on."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return plus_minus(self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std, "n": self.n}


@dataclass(frozen=True)
class Cell:
    """Ours beside the paper's, for one metric of one line."""

    ours: Stat | None
    paper: Figure | None
    comparable: bool
    """Measured on the paper's data, over the same categories."""

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in percentage points."""
        if self.ours is None or self.paper is None or not self.comparable:
            return None
        return self.ours.mean - self.paper.mean

    @property
    def beyond(self) -> bool | None:
        """Whether they differ by more than both deviations together; None where none is known."""
        if self.difference is None or self.ours is None or self.paper is None:
            return None
        known = [std for std in (self.ours.std, self.paper.std) if std is not None]
        return abs(self.difference) > sum(known) if known else None

    def to_json(self) -> dict[str, Any]:
        ours, paper = self.ours, self.paper
        return {
            "ours": ours and ours.to_json(),
            "paper": paper and {"mean": paper.mean, "std": paper.std},
            "difference": self.difference,
            "beyond": self.beyond,
        }


@dataclass(frozen=True)
class Line:
    """A category of a row, or the average over them."""

    category: str
    cells: dict[str, Cell]
    """By metric."""
    runs: int
    seconds: Stat | None
    """Of the trainings."""


def read_result(run: Run) -> Result | None:
    """Return what a run's card says; None while it is not finished."""
    card = run.card
    if card is None or not card.metrics:
        return None
    values = {name: None if x is None else 100 * x for name, x in card.metrics.items()}
    return Result(run, {**values, SECONDS: sum(card.seconds.values())}, card.trained_on)


def lines_of(
    row: Row,
    metrics: Sequence[str],
    results: Sequence[Result],
    categories: Sequence[str],
    *,
    comparable: bool,
    whole: bool,
) -> list[Line]:
    """Return a line for each category with a result and, of several, their average.

    results: the row's; comparable: on the paper's data; whole: `categories` are all of the paper's.
    """
    found = {c: [r for r in results if r.run.category == c] for c in categories}
    found = {category: those for category, those in found.items() if those}
    lines = []
    for category, those in found.items():
        figures = row.figures.get(category)
        if figures is None and len(categories) == 1:
            figures = row.figures.get(AVERAGE)
            comparable = comparable and whole
        cells = {
            metric: Cell(_stat(those, metric), figures[place] if figures else None, comparable)
            for place, metric in enumerate(metrics)
        }
        lines.append(Line(category, cells, len(those), _stat(those, SECONDS)))
    if len(categories) > 1 and found:
        lines.append(
            _average(row, metrics, found, comparable, whole and len(found) == len(categories))
        )
    return lines


def _average(
    row: Row, metrics: Sequence[str], found: dict[str, list[Result]], comparable: bool, whole: bool
) -> Line:
    """Average over the categories with a result; the paper's over the same, where it can be."""
    cells = {}
    for place, metric in enumerate(metrics):
        ours = _over_categories(found, metric)
        figures = [row.figures[category][place] for category in found if category in row.figures]
        printed = row.figures[AVERAGE][place] if AVERAGE in row.figures else None
        if not whole and len(figures) == len(found):
            over_these = Figure(round(statistics.fmean(f.mean for f in figures), 1))
            cells[metric] = Cell(ours, over_these, comparable)
        else:
            cells[metric] = Cell(ours, printed, comparable and whole)
    runs = sum(len(those) for those in found.values())
    return Line(AVERAGE, cells, runs, _over_categories(found, SECONDS))


def _over_categories(found: dict[str, list[Result]], name: str) -> Stat | None:
    """Average the categories' means; deviation and n are over the seeds that all of them have."""
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


def _stat(results: Iterable[Result], name: str) -> Stat | None:
    known = [value for result in results if (value := result.values[name]) is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Stat(statistics.fmean(known), std, len(known))
