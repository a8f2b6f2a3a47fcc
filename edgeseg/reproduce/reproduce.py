"""A table of the papers, run here: trained, measured, and printed beside what they printed.

    OUT/<table>/report.txt, report.json                  rewritten after every run
    OUT/<table>/<category>/<row>-s<seed>/                a run as any other: card, weights, ...

Stopped or killed, the same command goes on. Runs that share a training have it once, those of
another table in OUT included.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeseg.config import ReproduceConfig
from edgeseg.data import published
from edgeseg.data.layouts import Dataset, open_datasets
from edgeseg.data.policy import published_name, published_shortfall
from edgeseg.errors import ConfigError, DataError
from edgeseg.extras import require
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.reproduce.complexity_table import ComplexityReport, measure_table
from edgeseg.reproduce.measure import measure
from edgeseg.reproduce.memory_budget import processes_for
from edgeseg.reproduce.plan import Run, Training, check_begun, make_runs, resolve, trainings
from edgeseg.reproduce.report import ReproduceReport, write_report
from edgeseg.reproduce.results import Result, lines_of, read_result
from edgeseg.reproduce.table import (
    MAGNETIC_TILE,
    MVTEC_3D_AD,
    MVTEC_AD,
    Row,
    Settings,
    Table,
    read_settings,
    read_table,
)
from edgeseg.reproduce.workers import Failure, run_jobs
from edgeseg.settings import read_toml

Work = Callable[[Training], None]

LOG = "reproduce.log"
PUBLISHED = {
    MVTEC_AD: published.MVTEC,
    MVTEC_3D_AD: published.MVTEC_3D,
    MAGNETIC_TILE: published.TILE,
}
CATEGORIES: dict[str | None, Sequence[str]] = {
    MVTEC_AD: tuple(published.MVTEC_CATEGORIES),
    MVTEC_3D_AD: tuple(published.MVTEC_3D_CATEGORIES),
}


def reproduce(
    name: str, config: ReproduceConfig, *, work: Work = measure
) -> ReproduceReport | ComplexityReport:
    """Run a table, `destseg-2` or the path of a file of yours, and report it.

    Errors: ConfigError for settings and runs that do not fit, DataError for the data, Interrupted.
    What fails within a run is in the report.
    """
    table = read_table(name)
    overrides = (
        read_settings(read_toml(config.train_config), config.train_config)
        if config.train_config
        else {}
    )
    if config.textures:
        overrides["textures"] = config.textures
    rows = table.select(config.rows)
    if table.complexity:
        return measure_table(table, rows, overrides, config.out)
    datasets = _datasets(config)
    runs = make_runs(table, rows, datasets, config.seeds or table.seeds, overrides, config.out)
    require("torch", extra="train")
    check_begun(runs, datasets)
    reporter = _Reporter(table, rows, datasets, runs, overrides, config.out)
    reporter.write()
    open_ones = trainings(runs, config.out)
    finished = len(reporter.results)
    log.info(f"{len(runs)} runs, {finished} of them finished; {len(open_ones)} trainings to do")
    if open_ones:
        processes, threads = processes_for(open_ones, datasets, config.processes)
        jobs = [dataclasses.replace(job, threads=threads) for job in open_ones]
        if processes > 1:
            log.info(f"each tells its progress in {config.out / table.name}/*/*/{LOG}")
        ended = _Ended(reporter, len(jobs), processes)
        run_jobs(jobs, work, processes=processes, log=_log, ended=ended)
    log.info(f"report: {reporter.folder / 'report.txt'}")
    return reporter.write()


def _log(training: Training) -> Path:
    return training.runs[0].folder / LOG


class _Ended:
    """Hears of each training's end: rewrites the report, says how long the rest may take."""

    def __init__(self, reporter: "_Reporter", jobs: int, processes: int) -> None:
        self._reporter, self._jobs, self._processes = reporter, jobs, processes
        self._began, self._done = time.monotonic(), 0

    def __call__(self, training: Training, failure: Failure | None) -> None:
        self._done += 1
        state = "done" if failure is None else f"FAILED: {failure.problem}"
        line = f"{training.title}: {state}; {self._done} of {self._jobs} trainings"
        if self._processes <= self._done < self._jobs:  # before that, no pace is known
            left = (time.monotonic() - self._began) / self._done * (self._jobs - self._done)
            line += f", about {left / 60:.0f} min left"
        log.info(line)
        if failure is not None:
            unfinished = [run for run in training.runs if not run.finished]
            self._reporter.failures += [(run, failure) for run in unfinished]
        self._reporter.write()


class _Reporter:
    """Makes the report of what is finished, and writes it."""

    def __init__(
        self,
        table: Table,
        rows: tuple[Row, ...],
        datasets: Sequence[Dataset],
        runs: Sequence[Run],
        overrides: Settings,
        out: Path,
    ) -> None:
        self.table, self.rows, self.runs = table, rows, tuple(runs)
        self.folder = out / table.name
        self.results: dict[Path, Result] = {}
        self.failures: list[tuple[Run, Failure]] = []
        self._categories = [dataset.name for dataset in datasets]
        self._data, self._comparable, self._whole = _compare(table, datasets)
        self._departures = _departures(table, rows, datasets, overrides)

    def write(self) -> ReproduceReport:
        """Return the report of now, and write it as text and as JSON, whole or not at all."""
        from edgeseg.training.train import versions

        for run in self.runs:
            if run.folder not in self.results and (result := read_result(run)):
                self.results[run.folder] = result
        report = ReproduceReport(
            table=self.table,
            rows=self.rows,
            lines={
                row.label: lines_of(
                    row,
                    self.table.metrics,
                    [found for found in self.results.values() if found.run.row == row.label],
                    self._categories,
                    comparable=self._comparable,
                    whole=self._whole,
                )
                for row in self.rows
            },
            data=self._data,
            departures=self._departures,
            runs=self.runs,
            results=dict(self.results),
            failures=tuple(self.failures),
            machine=this_machine().line(),
            versions=versions(),
        )
        write_report(self.folder, report.summary(), report.to_json())
        return report


def _datasets(config: ReproduceConfig) -> list[Dataset]:
    if config.data is None:
        raise ConfigError("No data were named.", remedy="--data FOLDER, of MVTec AD for instance")
    datasets = open_datasets(config.data)
    wanted = config.names()
    if wanted is not None:
        there = [dataset.name for dataset in datasets]
        if missing := [name for name in wanted if name not in there]:
            raise DataError(
                f"{config.data} holds no {', '.join(missing)}; it holds {', '.join(there)}.",
                remedy=f"--categories {there[0]}",
            )
        datasets = [dataset for dataset in datasets if dataset.name in wanted]
    return datasets


def _compare(table: Table, datasets: Sequence[Dataset]) -> tuple[str, bool, bool]:
    """Return the data in words, whether they are the paper's, and whether all of them."""
    names = [dataset.name for dataset in datasets]
    expected = CATEGORIES.get(table.dataset)
    wanted = PUBLISHED.get(table.dataset or "")
    found = ", ".join(names) if len(names) < 4 else f"{len(names)} categories"
    if wanted is None:
        return found, True, True
    if any(published_name(dataset) != wanted for dataset in datasets):
        return f"{found}: ANOTHER data set than the paper's {wanted}; no difference", False, False
    for dataset in datasets:
        if lacking := published_shortfall(dataset):
            what = f"{dataset.name} has {lacking}; no difference"
            return f"{wanted}, not as published: {what}", False, False
    if missing := [name for name in expected or () if name not in names]:
        text = f"{found} of {wanted}; not there: {', '.join(missing)}; averages are over fewer"
        return text, True, False
    return f"{found}: {wanted}, as the paper's", True, True


def _departures(
    table: Table, rows: Sequence[Row], datasets: Sequence[Dataset], overrides: Settings
) -> tuple[str, ...]:
    """Return in what the runs differ from the table's own settings, each thing once."""
    from edgeseg.training.checkpoint import changes
    from edgeseg.training.train import json_config

    found: dict[str, None] = {}
    for dataset in datasets:
        for row in rows:
            paper, ours = table.config(row, {}), resolve(table.config(row, overrides), dataset)
            if paper.rotation == "paper" and ours.rotation != "none":
                ours = dataclasses.replace(ours, rotation="paper")
            differing = changes(json_config(paper), json_config(ours))
            found |= dict.fromkeys(line for line in differing if not line.startswith("textures"))
            if table.textures and any(ours.corrupts) and not _is_dtd(ours.textures):
                found |= {f"textures ({table.textures} -> {ours.textures or 'built in'})": None}
    return tuple(found)


def _is_dtd(folder: Path | None) -> bool:
    return folder is not None and published.textures_folder(folder) is not None
