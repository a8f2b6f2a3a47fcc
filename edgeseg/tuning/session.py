"""One search: the data, the settings that every recipe keeps, and what follows from both."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cluster.jobs import Executor
from edgeseg.data.layouts import Dataset
from edgeseg.data.rotation_policy import resolve_rotation
from edgeseg.errors import ConfigError
from edgeseg.files import shown
from edgeseg.log import log
from edgeseg.recipes import TrainConfig
from edgeseg.settings import plain
from edgeseg.training.plan import SIDES, Known, Planner
from edgeseg.training.prepare import image_hashes
from edgeseg.tuning.budget import TuneBudget, plan_budget
from edgeseg.tuning.config import TuneConfig
from edgeseg.tuning.journal import TrialJournal
from edgeseg.tuning.judge import GoodParts
from edgeseg.tuning.sizes import MEASURED, SHORTEST, TRIAL_SIDES, Seconds, recipe_of, with_judging
from edgeseg.tuning.space import STEPS, Choices, default_choices, score_maps_of, settings_of
from edgeseg.tuning.trial import TrialJob, reduced

if TYPE_CHECKING:
    from edgeseg.training.timing import StepTimer

ENDS = 10.0  # seconds for thresholds and report, which no plan contains


@dataclass
class Tuning:
    """One search: what every part of it needs."""

    dataset: Dataset
    parts: GoodParts
    base: dict[str, Any]
    """Settings that every recipe keeps."""
    config: TuneConfig
    folder: Path
    began: float
    clock: Callable[[], float]
    threads: int
    """Of the final training."""

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the settings that every recipe keeps."""
        return tuple(self.base)

    @property
    def default(self) -> Choices:
        """The default recipe."""
        return default_choices(self.base)

    @property
    def judge(self) -> Path:
        """The folder of the judging images."""
        return self.folder / "judge"

    def recipe(self, choices: Choices, score_maps: str | None = None) -> TrainConfig:
        """Return the settings of a recipe; its sizes are the profile's."""
        settings = settings_of(choices, self.base)
        if score_maps is not None:
            settings["score_maps"] = score_maps
        return resolve_rotation(TrainConfig(**settings), self.dataset)

    def job(
        self,
        choices: Choices,
        folder: Path,
        seconds: float,
        known: Seconds,
        overhead: float,
        threads: int,
    ) -> TrialJob:
        """Return the trial of a recipe."""
        config = self.recipe(choices)
        return TrialJob(
            data=self.dataset.root,
            folder=folder,
            judge=self.judge,
            config=config,
            times=choices.get(STEPS, 1.0),
            given=self.given,
            score_maps=score_maps_of(config, self.base),
            seconds=seconds,
            known=known,
            overhead=overhead,
            defect_share=self.config.judge_defects,
            threads=threads,
        )


def bound_to(tuning: Tuning) -> dict[str, str]:
    """Return hashes of the images and of what else the scores depend on."""
    dataset = tuning.dataset
    images = image_hashes(dataset, (*dataset.train, *tuning.parts.defects))
    settings = [plain(tuning.base), tuning.config.judge_defects]
    return {"data": _digest(images), "settings": _digest(settings)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def budget_of(
    tuning: Tuning, journal: TrialJournal, executor: Executor, judging: int
) -> TuneBudget:
    """Return the plan of an earlier session, or measure this machine and make one.

    judging: number of images that judge.
    """
    known = journal.study.user_attrs.get("budget")
    if known is not None and any(journal.rows()):
        wanted = known["total"] / 60
        if known["total"] != 60 * tuning.config.minutes:
            raise ConfigError(
                f"the trials in {shown(tuning.folder)} are those of {wanted:g} minutes "
                f"(found --minutes {tuning.config.minutes:g})",
                remedy=f"--minutes {wanted:g}, or another folder: --out DIR",
                code="tune/other-minutes",
            )
        return TuneBudget(**known | {"rungs": tuple(known["rungs"]), "workers": executor.processes})
    timer = timer_of(tuning, tuning.default, small=True)
    config = tuning.recipe(tuning.default)
    recipe = recipe_of(config, 1.0, tuning.given, len(timer.paths))
    fixed = "image_size" in tuning.given
    sides = (recipe.side,) if fixed else (TRIAL_SIDES[0], MEASURED)
    costs = Known(recipe.batch, timer.measure, {s: timer.measure(s, recipe.batch) for s in sides})
    low, high = costs.at(sides[0]), costs.at(recipe.side if fixed else TRIAL_SIDES[-1])
    low = with_judging(low, judging * len(score_maps_of(config, tuning.base)))
    shortest = {phase: SHORTEST * n for phase, n in recipe.part(given=False).items()}
    least = low.before + low.after + low.of(shortest) + low.of(recipe.part(given=True))
    final = Planner(dataclasses.replace(recipe, sides=SIDES), costs, 0.0)
    most = recipe.longest * recipe.density(high.side) * high.of(recipe.steps)
    found = plan_budget(
        tuning.config.minutes,
        spent=journal.spent + tuning.clock() - tuning.began,
        least=least,
        useful=final.least() + ENDS,
        longest=most + high.before + high.after + ENDS,
        workers=executor.processes,
    )
    side = final.sides[0]
    whole = final.known.at(side).of(recipe.steps) * recipe.density(side) + high.before + high.after
    short = found.final < min(whole, most)
    if short:
        log.warning(
            f"the final training gets {found.final / 60:.1f} min, and the default recipe takes "
            f"{whole / 60:.1f} min at {side} px: edgeseg train alone may give the better model"
        )
    trials = Planner(recipe, costs, 0.0)
    largest = trials.plan_trial(found.rungs[-1], SHORTEST).costs.side
    found = dataclasses.replace(found, sizes=not fixed and largest >= SIDES[0], maps=short)
    journal.study.set_user_attr("budget", asdict(found))
    steps = {str(side): dict(each.steps) for side, each in costs.measured.items()}
    journal.study.set_user_attr("timed", [steps, low.before + low.after])
    return found


def timed_before(journal: TrialJournal) -> tuple[Seconds, float]:
    """Return the seconds of a step of the default recipe, and of all that is beside its steps."""
    steps, overhead = journal.study.user_attrs.get("timed", [{}, 0.0])
    return {int(side): each for side, each in steps.items()}, overhead


def timer_of(tuning: Tuning, choices: Choices, *, small: bool) -> "StepTimer":
    """Return what times a recipe on this machine. small: on the data of a trial."""
    from edgeseg.training.timing import StepTimer

    dataset = reduced(tuning.dataset, tuning.parts) if small else tuning.dataset
    return StepTimer(dataset, tuning.recipe(choices), resume=False)
