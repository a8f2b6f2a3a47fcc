"""The command `reproduce`: train and evaluate a table of the papers, and compare the figures.

    OUT/<table>/report.txt, report.json                  updated after every training
    OUT/<table>/<category>/<row>-s<seed>/                ordinary run directories

Run the same command again to resume. Runs that share a training, also with those of another table
in OUT, are trained once.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.cluster.config import LOCAL, SLURM, open_executor
from edgeseg.cluster.jobs import Countdown, Executor, Failure, run_jobs
from edgeseg.cluster.slurm import FOLDER as SLURM_LOGS
from edgeseg.data import published
from edgeseg.data.layouts import Dataset, open_datasets
from edgeseg.errors import ConfigError, DataError
from edgeseg.files import quoted, shown
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require
from edgeseg.reproduce.complexity import ComplexityReport, measure_table
from edgeseg.reproduce.config import ReproduceConfig
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
        if config.on != LOCAL:
            raise ConfigError(
                f"{table.name} is measured on this machine, and --on {config.on} is given",
                remedy="remove --on, or run the command on that machine",
                code="config/conflict",
            )
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
    jobs = table_runs.open_trainings(runs)
    table_runs.reuse_weights(jobs, config.out)
    log.info(f"{len(runs)} runs, {len(report.results)} finished; {len(jobs)} trainings to do")
    if jobs:
        with open_executor(config, needs=("torch",)) as executor:
            logs = SLURM_LOGS if config.on == SLURM else folder / "*" / "*" / LOG
            if (at_a_time := min(executor.processes, len(jobs))) > 1:
                threads = counted(executor.cores, "thread")
                log.info(f"{at_a_time} at a time, {threads} each; logs: {shown(logs)}")
            _run(jobs, work or table_runs.train_and_evaluate, executor, report, folder)
    log.info(f"report: {folder / 'report.txt'}")
    return report


def _run(
    jobs: Sequence["Training"],
    work: "Callable[[Training], None]",
    executor: Executor,
    report: ReproduceReport,
    folder: Path,
) -> None:
    """Run the trainings, and update the report after each."""
    countdown = Countdown(len(jobs), executor.processes, "trainings")

    def on_end(training: "Training", failure: Failure | None) -> None:
        state = "done" if failure is None else f"FAILED: {failure.problem}"
        log.info(f"{training.title}: {state}; {countdown.ended(failure)}")
        if failure is not None:
            report.failures += [(run, failure) for run in training.runs if not run.finished]
        report.update(folder)

    run_jobs(
        [dataclasses.replace(job, threads=executor.cores) for job in jobs],
        work,
        executor=executor,
        log_file=lambda training: training.folders[0] / LOG,
        on_end=on_end,
    )


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
