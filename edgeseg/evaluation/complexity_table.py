"""A table of complexity: its rows measured here, beside what the paper measured elsewhere."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.evaluation.complexity import FRAMES, IMAGES, STEPS, Complexity, measure_complexity
from edgeseg.evaluation.table import MEASURES, Figure, Row, Settings, Table
from edgeseg.extras import require
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.machine import this_machine

Say = Callable[[str], None]


def measure_table(
    table: Table, rows: tuple[Row, ...], overrides: Settings, out: Path, say: Say
) -> "ComplexityReport":
    """Measure every row's model, and write the report to OUT/<table>/."""
    torch = require("torch", extra="train")
    from edgeseg.evaluation.reproduce_report import write_report
    from edgeseg.training.checkpoint import torch_device
    from edgeseg.training.train import versions

    configs = {row.label: table.config(row, overrides) for row in rows}
    found: dict[str, Complexity] = {}
    for place, (label, config) in enumerate(configs.items(), 1):
        say(f"{label}: inference, then {STEPS} steps of each phase")
        found[label] = measure_complexity(config)
        report = ComplexityReport(
            table=table,
            rows=rows[:place],
            found=found,
            configs=configs,
            machine=this_machine().line(),
            device=str(torch_device(config.device)),
            threads=torch.get_num_threads(),
            versions=versions(),
        )
        write_report(out / table.name, report.summary(), report.to_json())
    say(f"report: {out / table.name / 'report.txt'}")
    return report


@dataclass(frozen=True, kw_only=True)
class ComplexityReport:
    """The table, measured here, beside what the paper measured elsewhere."""

    table: Table
    rows: tuple[Row, ...]
    found: dict[str, Complexity]
    """By a row's label."""
    configs: dict[str, TrainConfig]
    machine: str
    device: str
    threads: int
    versions: dict[str, str]

    def summary(self) -> str:
        """Return the table with its method, as text."""
        torch = f"PyTorch {self.versions['torch']} on {self.device}"
        lines = [f"{self.table.name}: {self.table.title}", f"machine   {self.machine}"]
        lines.append(f"          {torch}, {self.threads} threads")
        if self.table.machine:
            lines.append(f"paper     {self.table.source}; measured on {self.table.machine}")
            lines.append("          two machines: the times are not to be compared")
        lines.append("")
        for row in self.rows:
            found, config = self.found[row.label], self.configs[row.label]
            lines.append(f"{row.label}, {config.image_size} x {config.image_size}")
            lines += [
                f"  {name:<34}{text:>12}  {_printed(row.figures.get(measure))}".rstrip()
                for measure, name, text in _texts(found)
            ]
        return "\n".join([*lines, "", *self._legend()])

    def to_json(self) -> dict[str, Any]:
        """Return what was measured, and the paper's figures."""
        return {
            "table": self.table.name,
            "title": self.table.title,
            "source": self.table.source,
            "paper_machine": self.table.machine,
            "machine": self.machine,
            "device": self.device,
            "threads": self.threads,
            "versions": self.versions,
            "rows": {
                row.label: {
                    "ours": asdict(self.found[row.label]),
                    "paper": {name: figure.mean for name, (figure,) in row.figures.items()},
                    "image_size": self.configs[row.label].image_size,
                    "batch": self.configs[row.label].batch,
                }
                for row in self.rows
            },
        }

    def check(self) -> None:
        """Nothing can have failed here."""

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
