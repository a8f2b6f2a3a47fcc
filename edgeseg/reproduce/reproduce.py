"""The command `reproduce`: train and evaluate a table of the papers, and compare the figures.

    OUT/<table>/report.txt, report.json                  updated after every training
    OUT/<table>/<category>/<row>-s<seed>/                ordinary run directories

Run the same command again to resume. Runs that share a training, also with those of another table
in OUT, are trained once.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgeseg.config import ReproduceConfig
from edgeseg.data import published
from edgeseg.data.layouts import Dataset, open_datasets
from edgeseg.errors import ConfigError, DataError
from edgeseg.files import quoted
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require
from edgeseg.reproduce.complexity import ComplexityReport, measure_table
from edgeseg.reproduce.jobs import Failure, run_jobs
from edgeseg.reproduce.report import ReproduceReport
from edgeseg.reproduce.table import (
    MAGNETIC_TILE,
    MVTEC_3D_AD,
    MVTEC_AD,
    Table,
    read_settings,
    read_table,
)
from edgeseg.settings import read_toml
from edgeseg.text import counted

if TYPE_CHECKING:
    from edgeseg.reproduce.runs import Training

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
    name: str, config: ReproduceConfig, *, work: "Callable[[Training], None] | None" = None
) -> ReproduceReport | ComplexityReport:
    """Run a table, `destseg-2` or the path of a TOML file, and return its report.

    work: replaces `train_and_evaluate`. Errors: ConfigError for settings and for runs on disk with
    other ones, DataError, Interrupted. Failures of single runs are in the report.
    """
    table = read_table(name)
    overrides = {}
    if config.train_config:
        overrides = read_settings(read_toml(config.train_config), config.train_config)
    if config.textures:
        overrides["textures"] = config.textures
    rows = table.select(config.rows)
    if table.complexity:
        return measure_table(table, rows, overrides, config.out)
    datasets = _datasets(config)
    require("torch", extra="train")
    from edgeseg.reproduce import runs as table_runs
    from edgeseg.training.train import versions

    seeds = config.seeds or table.seeds
    runs = table_runs.make_runs(table, rows, datasets, seeds, overrides, config.out)
    table_runs.check_unchanged(runs, datasets)
    data, comparable, complete = _compare(table, datasets)
    report = ReproduceReport(
        table=table,
        rows=rows,
        categories=[dataset.name for dataset in datasets],
        data=data,
        comparable=comparable,
        complete=complete,
        departures=table_runs.departures(table, rows, datasets, overrides),
        runs=runs,
        machine=this_machine().line(),
        versions=versions(),
    )
    folder = config.out / table.name
    report.update(folder)
    jobs = table_runs.open_trainings(runs, config.out)
    log.info(f"{len(runs)} runs, {len(report.results)} finished; {len(jobs)} trainings to do")
    threads = max(this_machine().threads // config.processes, 1)
    jobs = [dataclasses.replace(job, threads=threads) for job in jobs]
    if config.processes > 1:
        each = counted(threads, "thread")
        log.info(f"{config.processes} processes, {each} each; logs: {folder}/*/*/{LOG}")
    began, done = time.monotonic(), 0

    def on_end(training: "Training", failure: Failure | None) -> None:
        nonlocal done
        done += 1
        state = "done" if failure is None else f"FAILED: {failure.problem}"
        line = f"{training.title}: {state}; {done} of {len(jobs)} trainings"
        if config.processes <= done < len(jobs):  # earlier the rate is unknown
            left = (time.monotonic() - began) / done * (len(jobs) - done)
            line += f", about {left / 60:.0f} min left"
        log.info(line)
        if failure is not None:
            report.failures += [(run, failure) for run in training.runs if not run.finished]
        report.update(folder)

    run_jobs(
        jobs,
        work or table_runs.train_and_evaluate,
        processes=config.processes,
        log_file=lambda training: training.runs[0].folder / LOG,
        on_end=on_end,
    )
    log.info(f"report: {folder / 'report.txt'}")
    return report


def _datasets(config: ReproduceConfig) -> list[Dataset]:
    if config.data is None:
        raise ConfigError(
            "missing --data: the table is evaluated on images",
            remedy="--data FOLDER, for instance of MVTec AD",
            code="reproduce/no-data",
        )
    datasets = open_datasets(config.data)
    wanted = config.names()
    if wanted is not None:
        there = [dataset.name for dataset in datasets]
        if missing := [name for name in wanted if name not in there]:
            raise DataError(
                f"categories not found in {config.data}: {', '.join(missing)} "
                f"(found: {', '.join(there)})",
                remedy=f"--categories {quoted(there[0])}",
                code="reproduce/unknown-category",
            )
        datasets = [dataset for dataset in datasets if dataset.name in wanted]
    return datasets


def _compare(table: Table, datasets: Sequence[Dataset]) -> tuple[str, bool, bool]:
    """Return a description of the data, whether they are the paper's, and whether all of them."""
    names = [dataset.name for dataset in datasets]
    expected = CATEGORIES.get(table.dataset)
    wanted = PUBLISHED.get(table.dataset or "")
    found = ", ".join(names) if len(names) < 4 else f"{len(names)} categories"
    if wanted is None:
        return found, True, True
    if any(published.published_name(dataset) != wanted for dataset in datasets):
        return f"{found}: not the data of the paper ({wanted}); no difference", False, False
    for dataset in datasets:
        if lacking := published.published_shortfall(dataset):
            return f"{wanted}, but {dataset.name} has {lacking}; no difference", False, False
    if missing := [name for name in expected or () if name not in names]:
        text = f"{found} of {wanted}; missing: {', '.join(missing)}; averages are over the others"
        return text, True, False
    return f"{found}: {wanted}, as in the paper", True, True
