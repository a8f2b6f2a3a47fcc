"""A table of complexity: its rows measured here, beside what the paper measured elsewhere.

OUT/<table>/report.txt, report.json      rewritten after every row
OUT/<table>/<row>/complexity.json        what was measured, with the whole configuration
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import write_atomic
from edgeseg.errors import EdgesegError
from edgeseg.extras import require
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.complexity import FRAMES, IMAGES, STEPS, Complexity, measure_complexity
from edgeseg.reproduce.table import MEASURES, Figure, Row, Settings, Table
from edgeseg.reproduce.workers import Failure, run_jobs


@dataclass(frozen=True)
class Job:
    """One row to measure."""

    label: str
    config: TrainConfig
    folder: Path

    @property
    def found(self) -> Path:
        return self.folder / "complexity.json"


def measure_table(
    table: Table,
    rows: tuple[Row, ...],
    overrides: Settings,
    out: Path,
    *,
    apart: bool = True,
) -> "ComplexityReport":
    """Measure every row's model, and write the report to OUT/<table>/.

    apart: each in a process of its own, without which the peaks of the later ones are too low.
    """
    require("torch", extra="train")
    from edgeseg.reproduce.report import write_report
    from edgeseg.training.checkpoint import changes
    from edgeseg.training.train import json_config, versions

    folder = out / table.name
    jobs = [Job(row.label, table.config(row, overrides), folder / row.slug) for row in rows]
    departures: dict[str, None] = {}
    for row, job in zip(rows, jobs, strict=True):
        paper, ours = json_config(table.config(row, {})), json_config(job.config)
        departures |= dict.fromkeys(changes(paper, ours))
    report = ComplexityReport(
        table=table,
        rows=rows,
        found={},
        failures={},
        configs={job.label: job.config for job in jobs},
        departures=tuple(departures),
        machine=this_machine().line(),
        versions=versions(),
    )

    def ended(job: Job, failure: Failure | None) -> None:
        if failure is None:
            measured = json.loads(job.found.read_text(encoding="utf-8"))["found"]
            report.found[job.label] = Complexity(**measured)
        else:
            report.failures[job.label] = failure
        log.info(f"{job.label}: " + ("done" if failure is None else f"FAILED: {failure.problem}"))
        write_report(folder, report.summary(), report.to_json())

    write_report(folder, report.summary(), report.to_json())
    log.info(f"{len(jobs)} models: {FRAMES} frames each, then {STEPS} steps of each phase")
    run_jobs(jobs, measure_job, processes=1, apart=apart, log=_log, ended=ended)
    log.info(f"report: {folder / 'report.txt'}")
    return report


def measure_job(job: Job) -> None:
    """Measure one row's model, and write what was found with its configuration."""
    from edgeseg.training.train import json_config

    found = asdict(measure_complexity(job.config))
    document = {"config": json_config(job.config), "found": found}
    write_atomic(job.found, f"{json.dumps(document, indent=1)}\n".encode())


def _log(job: Job) -> Path:
    return job.folder / "reproduce.log"


@dataclass(frozen=True, kw_only=True)
class ComplexityReport:
    """The table, measured here, beside what the paper measured elsewhere."""

    table: Table
    rows: tuple[Row, ...]
    found: dict[str, Complexity]
    """By a row's label, as far as it was measured."""
    failures: dict[str, Failure]
    configs: dict[str, TrainConfig]
    departures: tuple[str, ...]
    """In what the configurations are not the table's."""
    machine: str
    versions: dict[str, str]

    def summary(self) -> str:
        """Return the table with its method, as text."""
        lines = [f"{self.table.name}: {self.table.title}", f"machine   {self.machine}"]
        where = dict.fromkeys(f"{x.device}, {x.threads} threads" for x in self.found.values())
        lines += [f"          PyTorch {self.versions['torch']} on {place}" for place in where]
        if self.departures:
            lines.append(f"recipe    not the table's: {', '.join(self.departures)}")
        if self.table.machine:
            lines.append(f"paper     {self.table.source}; measured on {self.table.machine}")
            lines.append("          two machines: the times are not to be compared")
        lines.append("")
        for row in self._measured():
            found, config = self.found[row.label], self.configs[row.label]
            lines.append(f"{row.label}, {config.image_size} x {config.image_size}")
            lines += [
                f"  {name:<34}{text:>12}  {_printed(row.figures.get(measure))}".rstrip()
                for measure, name, text in _texts(found)
            ]
        lines += [f"failed    {label}: {why.problem}" for label, why in self.failures.items()]
        return "\n".join([*lines, "", *self._legend()])

    def _measured(self) -> list[Row]:
        return [row for row in self.rows if row.label in self.found]

    def to_json(self) -> dict[str, Any]:
        """Return what was measured, and the paper's figures."""
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
        """Raise what kept rows from being measured."""
        for label, why in self.failures.items():
            raise EdgesegError(f"{label} was not measured: {why.problem}", remedy=why.remedy)

    def _legend(self) -> list[str]:
        batch = next(iter(self.configs.values())).batch
        return [
            "multiply-accumulates: two floating-point operations each; of convolutions and matrix",
            f"products alone. inference: n {FRAMES}, one frame at a time, bytes to mask, weights",
            f"random. a step: median of {STEPS}, of {batch} images; training: EXTRAPOLATED from it",
            f"to the recipe's steps, for {IMAGES} good images",
        ]


def _texts(found: Complexity) -> list[tuple[str, str, str]]:
    """Return (measure, its name, its text) for each line."""
    lines = [
        ("parameters_m", MEASURES["parameters_m"], f"{found.parameters_m:.1f}"),
        ("gmac", MEASURES["gmac"], f"{found.gmac:.2f}"),
        ("memory_mb", f"{MEASURES['memory_mb']}: parameters", f"{found.memory_mb:.0f}"),
    ]
    for name, peak in (("inference", found.peak_mb), ("training", found.training_peak_mb)):
        if peak is not None:
            lines.append(("", f"  at its peak, {name} adds", f"{peak:.0f}"))
    lines.append(("training_min", MEASURES["training_min"], f"{found.training_min:.1f}"))
    for phase, steps in found.steps.items():
        name = f"  {steps} steps of the {phase}, s each"
        lines.append(("", name, f"{found.seconds_per_step[phase]:.3f}"))
    inference = MEASURES["inference_ms"]
    lines.append(("inference_ms", f"{inference}: median", f"{found.inference_ms:.1f}"))
    lines.append(("", "  99th percentile", f"{found.inference_p99_ms:.1f}"))
    return lines


def _printed(figures: tuple[Figure, ...] | None) -> str:
    return f"paper {figures[0].mean:g}" if figures else ""
