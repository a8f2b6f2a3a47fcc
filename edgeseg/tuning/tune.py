"""The command `tune`: find the best recipe for these parts within a budget, and train it.

tunings/NAME/journal.log     the trials (journal.py); the same command continues them
tunings/NAME/judge/          what judges (judge.py)
tunings/NAME/trials/         the result of each trial
tunings/NAME/recipe.toml, trials.csv, trials.png
runs/NAME/                   the model: an ordinary run, with thresholds and report.html
"""

import dataclasses
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import RUNS
from edgeseg.cluster.config import LOCAL, open_executor
from edgeseg.cluster.jobs import Executor
from edgeseg.data.defective.known import refuse_good_and_bad
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.errors import ConfigError
from edgeseg.files import check_outputs, check_writable, locked, shown
from edgeseg.log import log
from edgeseg.machine.threads import cpu_threads, limit_threads
from edgeseg.packages.extras import require
from edgeseg.recipes import TrainConfig
from edgeseg.report.report import WrittenReport
from edgeseg.settings import fit, plain, read_toml
from edgeseg.text import counted
from edgeseg.training.folder import choose, run_path
from edgeseg.tuning.budget import TuneBudget
from edgeseg.tuning.config import TuneConfig
from edgeseg.tuning.final import is_own, report_run, train_chosen
from edgeseg.tuning.journal import TrialJournal, TrialRow
from edgeseg.tuning.judge import judging_images, split_parts
from edgeseg.tuning.result import (
    PICTURE,
    RECIPE,
    TRIALS,
    ChosenRecipe,
    choose_recipe,
    draw_trials,
    table_lines,
    write_recipe,
    write_table,
)
from edgeseg.tuning.search import RecipeSearch, Work
from edgeseg.tuning.session import Tuning, bound_to, budget_of, timed_before
from edgeseg.tuning.sizes import Seconds, kind_of
from edgeseg.tuning.space import (
    STEPS,
    Choices,
    default_choices,
    first_choices,
    settings_of,
    space_for,
)
from edgeseg.tuning.trial import TrialJob, run_trial

TUNINGS = Path("tunings")
NOT_TUNED = {"minutes": "--minutes of this command", "use_defects": "--judge-defects"}
"""Settings of `edgeseg train` that this command has in another form."""


@dataclass(frozen=True, kw_only=True)
class TuneReport:
    """The result of a search, and the run that it ended with."""

    run: Path
    folder: Path
    chosen: ChosenRecipe
    default: Choices
    rows: tuple[TrialRow, ...]
    minutes: float
    """Spent, in all sessions."""
    budget: TuneBudget
    report: WrittenReport

    def summary(self) -> str:
        """Return the table of trials, the choice and the verdict on the model, as text."""
        return "\n".join(
            [
                *table_lines(self.rows, self.default),
                "",
                self.chosen.line(self.default),
                f"{self.minutes:.1f} of {self.budget.total / 60:g} minutes used",
                f"trials: {shown(self.folder / TRIALS)}",
                f"picture: {shown(self.folder / PICTURE)}",
                f"recipe: {shown(self.folder / RECIPE)}",
                f"run: {shown(self.run)}",
                "",
                self.report.summary(),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the choice, the trials and the report of the run."""
        return {
            "run": str(self.run),
            "folder": str(self.folder),
            "chosen": asdict(self.chosen),
            "minutes": round(self.minutes, 2),
            "trials": [asdict(row) for row in self.rows],
            "report": self.report.to_json(),
        }


def tune(
    data: Path,
    config: TuneConfig,
    *,
    name: str | None = None,
    runs_dir: Path = RUNS,
    false_reject_rate: float | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    work: Work | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TuneReport:
    """Search, train the best recipe, set its thresholds and write its report.

    work, clock: for tests. What can be checked is checked before the first trial. Errors:
    DataError (`tune/few-images`), ConfigError (`tune/too-short`, `tune/changed`,
    `train/run-exists`), MissingExtra; Interrupted keeps the trials that ended.
    """
    from edgeseg.evaluation.threshold import FALSE_REJECT_RATE, check_rate

    began = clock()
    limit_threads(threads)
    for module in ("optuna", "torch"):
        require(module, extra="tune")
    for module in ("jinja2", "matplotlib"):
        require(module, extra="report")
    rate = FALSE_REJECT_RATE if false_reject_rate is None else false_reject_rate
    check_rate(rate)
    base = base_settings(config.train_config)
    run = run_path(data, name, runs_dir, resume=False)
    folder = config.out or TUNINGS / run.name
    if config.on == LOCAL and config.cores is None:
        share = max(cpu_threads(threads) // (config.processes or 1), 1)
        config = dataclasses.replace(config, cores=share)
    dataset = open_dataset(data)
    refuse_good_and_bad(dataset)
    default = default_choices(base)
    first = TrainConfig(**settings_of(default, base))
    parts = split_parts(dataset, first, config.judge_defects)
    check_outputs({"--out": folder}, [data])
    _refuse_among(folder, dataset)
    for place in (folder, run):
        check_writable(place)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        tuning = Tuning(dataset, parts, base, config, folder, began, clock, cpu_threads(threads))
        journal = TrialJournal(folder, space_for(base), bound_to(tuning), first.seed)
        if journal.bound_anew:
            shutil.rmtree(tuning.judge, ignore_errors=True)  # drawn on other parts
        for left in folder.glob(f".{tuning.judge.name}-*"):  # of killed processes
            shutil.rmtree(left, ignore_errors=True)
        if not is_own(run, journal):
            choose(run, resume=False, overwrite=overwrite)
        with open_executor(config, needs=("torch",)) as executor:
            search = _searched(tuning, journal, executor, work)
        rows, chosen = _chosen(tuning, search)
        try:
            train_chosen(tuning, chosen, search, run, rate, overwrite=overwrite)
        finally:
            journal.spend(search.spent)
        report = report_run(tuning, run)
    return TuneReport(
        run=run,
        folder=folder,
        chosen=chosen,
        default=default,
        rows=rows,
        minutes=search.spent / 60,
        budget=search.budget,
        report=report,
    )


def base_settings(path: Path | None) -> dict[str, Any]:
    """Read the settings that every recipe keeps; ConfigError (`tune/other-setting`)."""
    base = fit(read_toml(path), TrainConfig, path) if path else {}
    for name, instead in NOT_TUNED.items():
        if name in base:
            raise ConfigError(
                f"{name} in {shown(path or '')} has no meaning in a search",
                remedy=f"remove it, and use {instead}",
                code="tune/other-setting",
            )
    return base


def _refuse_among(folder: Path, dataset: Dataset) -> None:
    """ConfigError (`tune/out-in-data`) for a folder whose drawn images would be read as data."""
    root, out = dataset.root.resolve(), folder.resolve()
    if not out.is_relative_to(root):
        return
    first = out.relative_to(root).parts[0]
    images = (sample.path for sample in (*dataset.train, *dataset.test))
    places = [path.relative_to(dataset.root).parts for path in images]
    if any(len(parts) == 1 or parts[0] == first for parts in places):
        raise ConfigError(
            f"the images that are drawn in {shown(folder)} would be read as images of "
            f"{shown(dataset.root)}",
            remedy="--out FOLDER outside of it",
            code="tune/out-in-data",
        )


def _searched(
    tuning: Tuning, journal: TrialJournal, executor: Executor, work: Work | None
) -> RecipeSearch:
    """Plan the budget and run the search."""
    seed = tuning.recipe(tuning.default).seed
    judging = len(judging_images(tuning.parts, tuning.judge, seed))
    limit_threads(executor.cores)  # those of a trial, which is timed
    budget = budget_of(tuning, journal, executor, judging)
    log.info(budget.line())
    log.info(f"at most {budget.core_minutes(executor.cores, tuning.threads):.0f} core minutes")
    if journal.retired:
        log.info(f"{counted(journal.retired, 'trial')} that a stopped process began: run again")

    def make(
        choices: Choices, folder: Path, seconds: float, known: Seconds, overhead: float
    ) -> TrialJob:
        return tuning.job(choices, folder, seconds, known, overhead, executor.cores)

    first = [*first_choices(tuning.base)]
    if STEPS in tuning.default and not budget.sizes:
        steps = tuning.default[STEPS]
        journal.keep(STEPS, steps)
        first = [choices for choices in first if choices[STEPS] == steps]
    search = RecipeSearch(
        journal=journal,
        budget=budget,
        first=first,
        make=make,
        kind=lambda choices: kind_of(tuning.recipe(choices)),
        folder=tuning.folder / "trials",
        work=work or run_trial,
        executor=executor,
        clock=tuning.clock,
        timed=timed_before(journal),
        before=journal.spent + tuning.clock() - tuning.began,
    )
    search.run()
    return search


def _chosen(tuning: Tuning, search: RecipeSearch) -> tuple[tuple[TrialRow, ...], ChosenRecipe]:
    """Choose the recipe, and write it with the table of trials and the picture."""
    rows = tuple(search.journal.rows())
    chosen = choose_recipe(rows, search.comparable(), tuning.default)
    line = chosen.line(tuning.default)
    log.info(line)
    settings = plain(settings_of(chosen.choices, tuning.base))
    if chosen.score_maps is not None:
        settings["score_maps"] = chosen.score_maps
    write_table(tuning.folder, rows)
    write_recipe(tuning.folder / RECIPE, settings, line)
    draw_trials(tuning.folder / PICTURE, rows, chosen.recipe)
    return rows, chosen
