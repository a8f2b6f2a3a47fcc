"""A table of complexity: parameters, MACs, memory and time of each row's model on this machine.

Measured in PyTorch on the network that is exported, with random weights and random images:

    parameters_m   of teacher, students and head, as far as inference uses them
    gmac           multiply-accumulates for one image: half of PyTorch's FLOP count, which covers
                   convolutions and matrix products
    memory_mb      the parameters, four bytes each
    training_min   EXTRAPOLATED from a few steps to the number of steps of the paper; the teacher
                   runs at each step, synthetic anomalies are not included
    inference_ms   one frame, bytes to mask: median

OUT/<table>/report.txt, report.json      updated after every row
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.cluster.jobs import Failure, run_jobs
from edgeseg.cluster.local import Local
from edgeseg.errors import EdgesegError
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.report import write_report
from edgeseg.reproduce.table import MEASURES, Row, Table
from edgeseg.text import counted
from edgeseg.text import table as text_table

if TYPE_CHECKING:
    import torch

    from edgeseg.model.detector import Detector

IMAGES = 242  # good training images of a category of MVTec AD: 3629 / 15
STEPS, WARM_STEPS = 3, 1  # of each phase
FRAMES, WARM_FRAMES = 100, 5


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """The cost of one model; fields are named as in MEASURES."""

    parameters_m: float
    gmac: float
    memory_mb: float
    training_min: float
    inference_ms: float
    inference_p99_ms: float
    seconds_per_step: dict[str, float]
    """Median, by phase."""
    steps: dict[str, int]
    """Training steps of the configuration, by phase."""
    frames: int
    device: str
    threads: int


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
        where = dict.fromkeys(
            f"{x.device}, {counted(x.threads, 'thread')}" for x in self.found.values()
        )
        lines += [f"          PyTorch {self.versions['torch']} on {place}" for place in where]
        if self.departures:
            lines.append(f"settings  not those of the table: {', '.join(self.departures)}")
        if table.machine:
            lines.append(f"paper     {table.source}; measured on {table.machine}")
            lines.append("          (another machine: times are not comparable)")
        measured = [row for row in self.rows if row.label in self.found]
        cells = [["", *(text for row in measured for text in (row.label, "paper"))]]
        for measure, name in (MEASURES | {"inference_p99_ms": "  99th percentile"}).items():
            line = [name]
            for row in measured:
                paper = row.figures.get(measure)
                digits = 2 if measure == "gmac" else 1
                line.append(f"{getattr(self.found[row.label], measure):.{digits}f}")
                line.append(f"{paper[0].mean:g}" if paper else "-")
            cells.append(line)
        lines += ["", *text_table(cells, "<" + ">>" * len(measured))]
        lines += [f"failed    {label}: {why.problem}" for label, why in self.failures.items()]
        config = next(iter(self.configs.values()))
        lines += [
            "",
            f"inference: {FRAMES} frames, one at a time, bytes to mask, random weights; training:",
            f"EXTRAPOLATED from {STEPS} steps per phase with {config.batch} images of "
            f"{config.image_size} x {config.image_size},",
            f"for {IMAGES} good images. MACs: of convolutions and matrix products",
        ]
        return "\n".join(lines)

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
                for row in self.rows
                if row.label in self.found
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


def measure_table(
    table: Table, rows: Sequence[Row], overrides: dict[str, Any], out: Path
) -> ComplexityReport:
    """Measure the model of each row, and write the report to OUT/<table>/."""
    require("torch", extra="train")
    from edgeseg.training.folder import changed_settings
    from edgeseg.training.train import versions

    folder = out / table.name
    configs = {row.label: table.config(row, overrides) for row in rows}
    departures: dict[str, None] = {}
    for row in rows:
        paper = table.config(row, {}).to_json()
        departures |= dict.fromkeys(changed_settings(paper, configs[row.label].to_json()))
    report = ComplexityReport(
        table=table,
        rows=rows,
        configs=configs,
        departures=tuple(departures),
        machine=this_machine().line(),
        versions=versions(),
    )

    def work(row: Row) -> None:
        report.found[row.label] = measure_complexity(configs[row.label])

    def on_end(row: Row, failure: Failure | None) -> None:
        if failure is not None:
            report.failures[row.label] = failure
        log.info(f"{row.label}: " + ("done" if failure is None else f"FAILED: {failure.problem}"))
        write_report(folder, report.summary(), report.to_json())

    write_report(folder, report.summary(), report.to_json())
    log.info(f"{len(rows)} models: {FRAMES} frames each, then {STEPS} steps of each phase")
    run_jobs(rows, work, on_end=on_end, executor=Local())
    log.info(f"report: {folder / 'report.txt'}")
    return report


def measure_complexity(config: TrainConfig) -> Complexity:
    """Measure one model: seconds on a GPU, minutes on a CPU."""
    torch = require("torch", extra="train")
    from torch.utils.flop_counter import FlopCounterMode

    from edgeseg.model.detectors import build_detector
    from edgeseg.model.teacher import Teacher
    from edgeseg.training.checkpoint import torch_device

    device = torch_device(config.device)
    torch.manual_seed(config.seed)
    side = config.image_size
    network = (side, side)
    teacher = Teacher(config.teacher, standard=config.features == "standard")
    detector = build_detector(config.model, teacher, config.to_json(), network)
    detector = detector.to(device).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        detector(torch.zeros(1, 3, side, side, device=device))
    parameters = list(detector.parameters())
    seconds = _time_frames(detector, config, device)
    median, p99 = 1e3 * np.percentile(seconds, (50, 99))
    per_step, steps = _time_steps(detector, config, device)
    return Complexity(
        parameters_m=sum(p.numel() for p in parameters) / 1e6,
        gmac=counter.get_total_flops() / 2e9,
        memory_mb=sum(p.nbytes for p in parameters) / 1e6,
        training_min=sum(per_step[name] * steps[name] for name in steps) / 60,
        inference_ms=float(median),
        inference_p99_ms=float(p99),
        seconds_per_step=per_step,
        steps=steps,
        frames=len(seconds),
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _time_frames(detector: "Detector", config: TrainConfig, device: "torch.device") -> list[float]:
    """Return the duration of each frame in seconds, bytes to mask."""
    torch = require("torch", extra="train")
    from edgeseg.model.fused import Fused

    side = config.image_size
    fused = Fused(
        detector,
        network_size=(side, side),
        frame_size=(side, side),
        frame_format="rgb",
        aspect="stretch",
        top=config.top,
    ).to(device)
    rng = np.random.default_rng(config.seed)
    frame = torch.from_numpy(rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8))
    threshold = torch.full((1,), 0.5)
    seconds = []
    with torch.inference_mode():
        for _ in range(WARM_FRAMES + FRAMES):
            began = time.perf_counter()
            mask, _, _ = fused(frame.to(device), threshold.to(device))
            mask.cpu()  # synchronizes
            seconds.append(time.perf_counter() - began)
    return seconds[WARM_FRAMES:]


def _time_steps(
    detector: "Detector", config: TrainConfig, device: "torch.device"
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the median duration of a step, and the number of steps, by phase."""
    torch = require("torch", extra="train")
    from edgeseg.training.batches import Batches
    from edgeseg.training.checkpoint import Checkpoint
    from edgeseg.training.phases import phases
    from edgeseg.training.step import Stepper

    rng = np.random.default_rng(config.seed)
    shape = (config.image_size, config.image_size, 3)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(config.batch)]
    batches = Batches(images, config)
    detector = detector.to(memory_format=torch.channels_last)
    per_step, steps = {}, {}
    for phase in phases(detector, config, IMAGES):
        stepper = Stepper(phase, detector, config, Checkpoint())
        batch = batches.make(phase.index, 0)
        taken = []
        for _ in range(WARM_STEPS + STEPS):
            began = time.perf_counter()
            stepper.backward(stepper.forward(batch))
            stepper.update(0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - began)
        per_step[phase.name] = sorted(taken[WARM_STEPS:])[STEPS // 2]
        steps[phase.name] = phase.steps
        phase.trained.eval()
    return per_step, steps
