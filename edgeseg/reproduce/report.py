"""A table of ours beside the paper's: what people read, and the document with everything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import write_atomic
from edgeseg.errors import EdgesegError
from edgeseg.evaluation.report import COLUMNS
from edgeseg.reproduce.plan import Run
from edgeseg.reproduce.results import SECONDS, Cell, Line, Result, Stat
from edgeseg.reproduce.table import AVERAGE, Row, Table, plus_minus
from edgeseg.reproduce.workers import Failure

NAMES = {metric: name for name, metric in COLUMNS.items()}


@dataclass(frozen=True, kw_only=True)
class ReproduceReport:
    """What was run of a table, and what came out."""

    table: Table
    rows: tuple[Row, ...]
    lines: dict[str, list[Line]]
    """By a row's label."""
    data: str
    """Which data set it is, whether the paper's, what of it is missing."""
    departures: tuple[str, ...]
    """In what the recipe is not the paper's."""
    runs: tuple[Run, ...]
    results: dict[Path, Result]
    """Of the finished runs, by folder."""
    failures: tuple[tuple[Run, Failure], ...]
    machine: str
    versions: dict[str, str]

    def summary(self) -> str:
        """Return the table with where its figures are from and what they do not show, as text."""
        table = self.table
        lines = [f"{table.name}: {table.title}", f"data      {self.data}"]
        lines += [f"paper     {table.source}"] * bool(table.source)
        if self.departures:
            lines.append(f"recipe    not the table's: {', '.join(self.departures)}")
        lines.append(f"runs      {len(self.results)} of {len(self.runs)}")
        lines += [f"{'machine':<10}{machine}" for machine in self.machines()]
        lines += ["", *self._grid()]
        lines += [f"failed    {run.folder}: {why.problem}" for run, why in self.failures]
        return "\n".join(lines)

    def machines(self) -> list[str]:
        """Return on what the finished runs were trained, which need not be this machine."""
        return list(dict.fromkeys(result.trained_on for result in self.results.values()))

    def to_json(self) -> dict[str, Any]:
        """Return everything, metrics in percent; a run's configuration is in its card."""
        failed = {run.folder: why.problem for run, why in self.failures}
        return {
            "table": self.table.name,
            "title": self.table.title,
            "source": self.table.source,
            "data": self.data,
            "departures": list(self.departures),
            "machine": self.machine,
            "trained_on": self.machines(),
            "versions": self.versions,
            "rows": {
                row.label: {
                    line.category: {
                        **{metric: cell.to_json() for metric, cell in line.cells.items()},
                        "runs": line.runs,
                        SECONDS: line.seconds and line.seconds.to_json(),
                    }
                    for line in self.lines[row.label]
                }
                for row in self.rows
            },
            "runs": [
                {
                    "folder": str(run.folder),
                    "row": run.row,
                    "category": run.category,
                    "seed": run.config.seed,
                    "values": found.values if (found := self.results.get(run.folder)) else None,
                    "failure": failed.get(run.folder),
                }
                for run in self.runs
            ],
        }

    def check(self) -> None:
        """Raise what kept runs from their end."""
        if self.failures:
            run, why = self.failures[0]
            raise EdgesegError(
                f"{len(self.failures)} of {len(self.runs)} runs failed; {run.title}: {why.problem}",
                remedy=f"{why.remedy}; then the same command, which keeps what is finished",
            )

    def _grid(self) -> list[str]:
        """Return the table itself: a line for each row, and for each category where there is room.

        With several rows the categories are left to the document, unless the paper printed them.
        """
        shown = []
        for row in self.rows:
            lines = self.lines[row.label]
            by_category = len(self.rows) == 1 or set(row.figures) - {AVERAGE}
            for line in lines if by_category else lines[-1:]:
                of = line.category if len(self.rows) == 1 else f"{row.label}, {line.category}"
                shown.append((of if by_category else row.label, line))
        if not shown:
            return ["no run is finished yet"]
        cells = [cell for _, line in shown for cell in line.cells.values()]
        kinds = ["ours"]
        kinds += ["paper"] * any(cell.paper is not None for cell in cells)
        kinds += ["diff"] * any(cell.difference is not None for cell in cells)
        head, columns = ["", ""], ["", "runs"]
        for metric in self.table.metrics:
            head += [NAMES[metric], *[""] * (len(kinds) - 1)]
            columns += kinds
        body = [
            [label, str(line.runs)]
            + [_text(line.cells[metric], kind) for metric in self.table.metrics for kind in kinds]
            + ["-" if line.seconds is None else _seconds(line.seconds)]
            for label, line in shown
        ]
        grid = _aligned([[*head, "training"], [*columns, "s"], *body])
        return [*grid, "", *self._legend("diff" in kinds)]

    def _legend(self, compared: bool) -> list[str]:
        lines = [
            "percent; ours: mean ± sample standard deviation over the seeds; of an average, over",
            "the seeds that all its categories have",
            "training: of the steps and the wait for their batches; trainings that ran side by",
            "side slowed each other",
        ]
        if compared:
            lines += [
                "diff: ours less the paper's, in points; * where it is more than both deviations",
                "together (an unknown one counts as 0; with neither there is no mark)",
            ]
        return lines


def write_report(folder: Path, text: str, document: dict[str, Any]) -> None:
    """Write report.txt and report.json."""
    write_atomic(folder / "report.txt", f"{text}\n".encode())
    dumped = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / "report.json", f"{dumped}\n".encode())


def _text(cell: Cell, kind: str) -> str:
    if kind == "diff":
        return "" if cell.difference is None else f"{cell.difference:+.1f}{'*' * bool(cell.beyond)}"
    figure = cell.ours if kind == "ours" else cell.paper
    return "-" if figure is None else str(figure)


def _seconds(found: Stat) -> str:
    return plus_minus(found.mean, found.std, digits=0 if found.mean >= 100 else 1)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad the cells of each column to one width, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True)]
        lines.append(f"{first:<{widths[0]}}  " + "  ".join(cells).rstrip())
    return [line.rstrip() for line in lines]
