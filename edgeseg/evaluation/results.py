"""What finished runs measured, added up: means and deviations over seeds and categories."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.evaluation.plan import EVALUATION, Run
from edgeseg.evaluation.table import AVERAGE, Figure, Row
from edgeseg.training.history import training_seconds


@dataclass(frozen=True)
class Result:
    """One finished run."""

    run: Run
    metrics: dict[str, float | None]
    """In [0, 1]; None where the data leave one undefined."""
    seconds: float
    """Of its training's steps."""


@dataclass(frozen=True)
class Stat:
    """Percent, over `n` seeds; the standard deviation is a sample's (n - 1), from two on."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.1f}" + ("" if self.std is None else f" ± {self.std:.1f}")


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
            "ours": ours and {"mean": ours.mean, "std": ours.std, "n": ours.n},
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
    seconds: float | None
    """Mean of the trainings'."""


def read_result(run: Run) -> Result:
    """Read a finished run; ModelError for a document that is damaged."""
    path = run.folder / EVALUATION
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        seconds = training_seconds(run.folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} or the history beside it is damaged: {error}.",
            remedy=f"rm '{path}', and the same command measures again",
        ) from error
    return Result(run, document, seconds)


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
            metric: Cell(
                _stat([r.metrics[metric] for r in those]),
                figures[place] if figures else None,
                comparable,
            )
            for place, metric in enumerate(metrics)
        }
        lines.append(Line(category, cells, len(those), _mean(r.seconds for r in those)))
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
        means = [_stat([r.metrics[metric] for r in those]) for those in found.values()]
        known = [stat.mean for stat in means if stat]
        by_seed = _complete_seeds(found, metric)
        std = statistics.stdev(by_seed) if len(by_seed) > 1 else None
        ours = Stat(statistics.fmean(known), std, len(by_seed)) if known else None
        figures = [row.figures[category][place] for category in found if category in row.figures]
        printed = row.figures[AVERAGE][place] if AVERAGE in row.figures else None
        if not whole and len(figures) == len(found):
            over_these = Figure(round(statistics.fmean(f.mean for f in figures), 1))
            cells[metric] = Cell(ours, over_these, comparable)
        else:
            cells[metric] = Cell(ours, printed, comparable and whole)
    every = [result for those in found.values() for result in those]
    return Line(AVERAGE, cells, len(every), _mean(r.seconds for r in every))


def _complete_seeds(found: dict[str, list[Result]], metric: str) -> list[float]:
    """Return the average over the categories for each seed that every one of them has, percent."""
    by_seed: dict[int, list[float]] = {}
    for those in found.values():
        for result in those:
            if (value := result.metrics[metric]) is not None:
                by_seed.setdefault(result.run.config.seed, []).append(100 * value)
    return [statistics.fmean(v) for v in by_seed.values() if len(v) == len(found)]


def _stat(values: Iterable[float | None]) -> Stat | None:
    known = [100 * value for value in values if value is not None]
    if not known:
        return None
    std = statistics.stdev(known) if len(known) > 1 else None
    return Stat(statistics.fmean(known), std, len(known))


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
