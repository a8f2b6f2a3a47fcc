"""A table of complexity: the cost of each row's model here, beside the published figures.

OUT/<table>/report.txt, report.json      updated after every row
OUT/<table>/<row>/complexity.json        the measurement and the whole configuration
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.extras import require
from edgeseg.files import write_atomic
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.complexity import FRAMES, IMAGES, STEPS, Complexity, measure_complexity
from edgeseg.reproduce.jobs import Failure, run_jobs
from edgeseg.reproduce.report import write_report
from edgeseg.reproduce.table import MEASURES, Row, Table
from edgeseg.text import table as text_table


@dataclass(frozen=True)
class ComplexityJob:
    """One row to measure."""

    label: str
    config: TrainConfig
    folder: Path

    @property
    def result(self) -> Path:
        return self.folder / "complexity.json"


def measure_table(
    table: Table,
    rows: Sequence[Row],
    overrides: dict[str, Any],
    out: Path,
    *,
    isolate: bool = True,
) -> "ComplexityReport":
    """Measure the model of each row, and write the report to OUT/<table>/.

    isolate: each in its own process; otherwise the peaks of later ones are too low.
    """
    require("torch", extra="train")
    from edgeseg.training.checkpoint import changed_settings
    from edgeseg.training.train import json_config, versions

    folder = out / table.name
    jobs = [ComplexityJob(r.label, table.config(r, overrides), folder / r.slug) for r in rows]
    departures: dict[str, None] = {}
    for row, job in zip(rows, jobs, strict=True):
        paper = json_config(table.config(row, {}))
        departures |= dict.fromkeys(changed_settings(paper, json_config(job.config)))
    report = ComplexityReport(
        table=table,
        rows=rows,
        configs={job.label: job.config for job in jobs},
        departures=tuple(departures),
        machine=this_machine().line(),
        versions=versions(),
    )

    def on_end(job: ComplexityJob, failure: Failure | None) -> None:
        if failure is None:
            measured = json.loads(job.result.read_text(encoding="utf-8"))["found"]
            report.found[job.label] = Complexity(**measured)
        else:
            report.failures[job.label] = failure
        log.info(f"{job.label}: " + ("done" if failure is None else f"FAILED: {failure.problem}"))
        write_report(folder, report.summary(), report.to_json())

    write_report(folder, report.summary(), report.to_json())
    log.info(f"{len(jobs)} models: {FRAMES} frames each, then {STEPS} steps of each phase")
    run_jobs(
        jobs,
        measure_job,
        processes=1,
        isolate=isolate,
        log_file=lambda job: job.folder / "reproduce.log",
        on_end=on_end,
    )
    log.info(f"report: {folder / 'report.txt'}")
    return report


def measure_job(job: ComplexityJob) -> None:
    """Measure the model of one row, and write the result with its configuration."""
    from edgeseg.training.train import json_config

    found = asdict(measure_complexity(job.config))
    document = {"config": json_config(job.config), "found": found}
    write_atomic(job.result, f"{json.dumps(document, indent=1)}\n".encode())


@dataclass(kw_only=True)
class ComplexityReport:
    """The measurements so far, beside the published figures."""

    table: Table
    rows: Sequence[Row]
    configs: dict[str, TrainConfig]
    """By label of the row, as all that follow."""
    departures: tuple[str, ...]
    """Settings that differ from those of the table."""
    machine: str
    versions: dict[str, str]
    found: dict[str, Complexity] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the table with its method, as text."""
        table = self.table
        lines = [f"{table.name}: {table.title}", f"machine   {self.machine}"]
        where = dict.fromkeys(f"{x.device}, {x.threads} threads" for x in self.found.values())
        lines += [f"          PyTorch {self.versions['torch']} on {place}" for place in where]
        if self.departures:
            lines.append(f"settings  not those of the table: {', '.join(self.departures)}")
        if table.machine:
            lines.append(f"paper     {table.source}; measured on {table.machine}")
            lines.append("          (another machine: times are not comparable)")
        lines.append("")
        cells: list[list[str]] = []
        for row in self._measured():
            side = self.configs[row.label].image_size
            cells.append([f"{row.label}, {side} x {side}"])
            cells += _cells(row, self.found[row.label])
        # Titles are wider than the first column; they stand alone on their lines.
        names = text_table([c for c in cells if len(c) > 1], "<><")
        lines += [c[0] if len(c) == 1 else names.pop(0) for c in cells]
        lines += [f"failed    {label}: {why.problem}" for label, why in self.failures.items()]
        batch = next(iter(self.configs.values())).batch
        lines += [
            "",
            f"inference: {FRAMES} frames, one at a time, bytes to mask, random weights",
            f"step: median of {STEPS}, {batch} images each; training: EXTRAPOLATED to all steps,",
            f"for {IMAGES} good images. MACs: of convolutions and matrix products",
        ]
        return "\n".join(lines)

    def _measured(self) -> list[Row]:
        return [row for row in self.rows if row.label in self.found]

    def to_json(self) -> dict[str, Any]:
        """Return the measurements and the published figures."""
        return {
            "table": self.table.name,
            "title": self.table.title,
            "source": self.table.source,
            "paper_machine": self.table.machine,
            "machine": self.machine,
            "versions": self.versions,
            "departures": list(self.departures),
            "failures": {label: why.problem for label, why in self.failures.items()},
            "rows": {
                row.label: {
                    "ours": asdict(self.found[row.label]),
                    "paper": {name: figure.mean for name, (figure,) in row.figures.items()},
                    "image_size": self.configs[row.label].image_size,
                    "batch": self.configs[row.label].batch,
                }
                for row in self._measured()
            },
        }

    def check(self) -> None:
        """EdgesegError if a row was not measured."""
        for label, why in self.failures.items():
            raise EdgesegError(
                f"{label} was not measured: {why.problem}",
                remedy=why.remedy,
                code="reproduce/runs-failed",
            )


def _cells(row: Row, found: Complexity) -> list[list[str]]:
    """Return [name, measured, published] for each line of a row."""
    lines = [
        ["parameters_m", MEASURES["parameters_m"], f"{found.parameters_m:.1f}"],
        ["gmac", MEASURES["gmac"], f"{found.gmac:.2f}"],
        ["memory_mb", f"{MEASURES['memory_mb']}: parameters", f"{found.memory_mb:.0f}"],
    ]
    for name, peak in (("inference", found.peak_mb), ("training", found.training_peak_mb)):
        if peak is not None:
            lines.append(["", f"  peak, added by {name}", f"{peak:.0f}"])
    lines.append(["training_min", MEASURES["training_min"], f"{found.training_min:.1f}"])
    for phase, steps in found.steps.items():
        seconds = f"{found.seconds_per_step[phase]:.3f}"
        lines.append(["", f"  {steps} steps of the {phase}, s each", seconds])
    inference = MEASURES["inference_ms"]
    lines.append(["inference_ms", f"{inference}: median", f"{found.inference_ms:.1f}"])
    lines.append(["", "  99th percentile", f"{found.inference_p99_ms:.1f}"])
    published = {measure: f"paper {figure.mean:g}" for measure, (figure,) in row.figures.items()}
    return [[f"  {name}", text, published.get(measure, "")] for measure, name, text in lines]
