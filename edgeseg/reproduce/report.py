"""The report of a table: our results beside the published ones, as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cluster.jobs import Failure
from edgeseg.errors import EdgesegError
from edgeseg.evaluation.report import COLUMNS
from edgeseg.files import write_atomic
from edgeseg.reproduce.results import SECONDS, Cell, Line, RowResult, lines_of, read_result
from edgeseg.reproduce.table import AVERAGE, Row, Table, plus_minus
from edgeseg.text import signed, table

if TYPE_CHECKING:
    from edgeseg.reproduce.runs import TableRun

NAMES = {metric: name for name, metric in COLUMNS.items()}
LEGEND = """\
percent; ours: mean ± sample standard deviation over the seeds (averages: over the seeds that all
categories have)
training: duration of the steps, with the wait for their batches; parallel trainings slow each
other down"""
LEGEND_OF_DIFF = """
diff: ours - paper, in percentage points; * = larger than the sum of both standard deviations (an
unknown one counts as 0)"""


@dataclass(kw_only=True)
class ReproduceReport:
    """The runs of a table and their results so far."""

    table: Table
    rows: tuple[Row, ...]
    categories: Sequence[str]
    data: str
    """The data set, and how it differs from the paper's."""
    comparable: bool
    """The data are those of the paper."""
    complete: bool
    """The categories are all categories of the paper."""
    departures: tuple[str, ...]
    """Settings that differ from those of the table."""
    runs: "Sequence[TableRun]"
    machine: str
    versions: dict[str, str]
    results: dict[Path, RowResult] = field(default_factory=dict)
    """Finished runs, by folder."""
    failures: "list[tuple[TableRun, Failure]]" = field(default_factory=list)

    @property
    def lines(self) -> dict[str, list[Line]]:
        """The lines of each row, by label."""
        return {
            row.label: lines_of(
                row,
                self.table.metrics,
                [found for found in self.results.values() if found.run.row == row.label],
                self.categories,
                comparable=self.comparable,
                complete=self.complete,
            )
            for row in self.rows
        }

    def update(self, folder: Path) -> None:
        """Read the results of finished runs, and write the report to `folder`."""
        for run in self.runs:
            if run.folder not in self.results and (result := read_result(run)):
                self.results[run.folder] = result
        write_report(folder, self.summary(), self.to_json())

    def summary(self) -> str:
        """Return the table with its data, settings and machines, as text."""
        lines = [f"{self.table.name}: {self.table.title}", f"data      {self.data}"]
        lines += [f"paper     {self.table.source}"] * bool(self.table.source)
        if self.departures:
            lines.append(f"settings  not those of the table: {', '.join(self.departures)}")
        lines.append(f"runs      {len(self.results)} of {len(self.runs)}")
        lines += [f"machine   {machine}" for machine in self.machines()]
        lines += ["", *self._grid()]
        lines += [f"failed    {run.folder}: {why.problem}" for run, why in self.failures]
        return "\n".join(lines)

    def machines(self) -> list[str]:
        """Return the machines that the finished runs were trained on."""
        return list(dict.fromkeys(result.trained_on for result in self.results.values()))

    def to_json(self) -> dict[str, Any]:
        """Return everything, metrics in percent; the configuration of a run is in its card."""
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
                label: {
                    line.category: {
                        **{metric: cell.to_json() for metric, cell in line.cells.items()},
                        "runs": line.runs,
                        SECONDS: line.seconds and vars(line.seconds),
                    }
                    for line in lines
                }
                for label, lines in self.lines.items()
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
        """EdgesegError if runs failed."""
        if self.failures:
            run, why = self.failures[0]
            raise EdgesegError(
                f"{len(self.failures)} of {len(self.runs)} runs failed; {run.title}: {why.problem}",
                remedy=f"{why.remedy}; then run the same command again (finished runs are kept)",
                code="reproduce/runs-failed",
            )

    def _grid(self) -> list[str]:
        """Return a line per row, and per category with one row or published categories."""
        found = self.lines
        shown: list[tuple[str, Line]] = []
        for row in self.rows:
            lines, single = found[row.label], len(self.rows) == 1
            if single or set(row.figures) - {AVERAGE}:
                prefix = "" if single else f"{row.label}, "
                shown += [(prefix + line.category, line) for line in lines]
            else:
                shown += [(row.label, line) for line in lines[-1:]]
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
        rows = [[*head, "training"], [*columns, "s"]]
        for label, line in shown:
            texts = [_text(line.cells[m], kind) for m in self.table.metrics for kind in kinds]
            seconds = line.seconds
            digits = 0 if seconds is not None and seconds.mean >= 100 else 1
            duration = plus_minus(seconds.mean, seconds.std, digits) if seconds else "-"
            rows.append([label, str(line.runs), *texts, duration])
        legend = LEGEND + (LEGEND_OF_DIFF if "diff" in kinds else "")
        return [*table(rows, "<" + ">" * len(columns)), "", *legend.splitlines()]


def write_report(folder: Path, text: str, document: dict[str, Any]) -> None:
    """Write report.txt and report.json."""
    write_atomic(folder / "report.txt", f"{text}\n".encode())
    dumped = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / "report.json", f"{dumped}\n".encode())


def _text(cell: Cell, kind: str) -> str:
    if kind == "diff":
        star = "*" * bool(cell.beyond)
        return "" if cell.difference is None else signed(cell.difference, 1) + star
    figure = cell.ours if kind == "ours" else cell.paper
    return "-" if figure is None else str(figure)
