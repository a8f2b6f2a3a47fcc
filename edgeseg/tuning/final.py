"""The end of a search: the chosen recipe is trained in the rest of the minutes, and reported."""

import dataclasses
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.cluster.jobs import AGAIN
from edgeseg.errors import Interrupted
from edgeseg.files import sha256
from edgeseg.log import log
from edgeseg.machine.threads import limit_threads
from edgeseg.report.report import Inputs, WrittenReport
from edgeseg.report.report import report as write_report
from edgeseg.training.folder import checkpoint_of, resumed, unfinished
from edgeseg.training.plan import SIDES
from edgeseg.tuning.journal import TrialJournal
from edgeseg.tuning.result import ChosenRecipe
from edgeseg.tuning.search import RecipeSearch
from edgeseg.tuning.session import ENDS, Tuning, timer_of
from edgeseg.tuning.sizes import plan_training, recipe_of, with_sizes
from edgeseg.tuning.space import STEPS

RUN_OF, REPLACED = "run", "replaced"
"""Attributes of the journal: the run that is trained, and the SHA-256 of its card before, or ""."""
LEAST_FINAL = 0.5  # of its planned time, which the final training gets in any case


def train_chosen(
    tuning: Tuning,
    chosen: ChosenRecipe,
    search: RecipeSearch,
    run: Path,
    rate: float,
    *,
    overwrite: bool,
) -> None:
    """Train the chosen recipe in the rest of the budget, and set its thresholds.

    What an earlier session did of it is not repeated, and its training is resumed.
    """
    from edgeseg.evaluation.threshold import threshold_run
    from edgeseg.training.train import train

    limit_threads(tuning.threads)
    study, card = search.journal.study, sha256(run / CARD) if (run / CARD).is_file() else ""
    own = is_own(run, search.journal)
    if own and unfinished(run) is None and card not in ("", study.user_attrs.get(REPLACED)):
        if read_card(run / CARD, ModelCard).threshold is None:
            threshold_run(run, tuning.dataset.root, rate)
        return
    plan = None
    checkpoint = checkpoint_of(run) if own else None
    resume = checkpoint is not None
    if checkpoint is not None:
        _, config, _ = resumed(checkpoint, run, tuning.dataset.root, {})
    else:
        config = tuning.recipe(chosen.choices, chosen.score_maps)
        timer = timer_of(tuning, chosen.choices, small=False)
        times, images = chosen.choices.get(STEPS, 1.0), len(timer.paths)
        recipe = recipe_of(config, times, tuning.given, images, sides=SIDES)
        left = max(search.budget.total - search.spent - ENDS, LEAST_FINAL * search.budget.final)
        plan = plan_training(recipe, left, {}, timer.measure, exact=True)
        config = with_sizes(config, plan, tuning.given)
        log.info(f"final training: {plan.size()}, about {plan.seconds / 60:.1f} min")
    if not own:
        study.set_user_attr(REPLACED, card)
        study.set_user_attr(RUN_OF, str(run.absolute()))
    try:
        train(
            tuning.dataset,
            config,
            run,
            resume=resume,
            overwrite=(overwrite or own) and not resume,
            false_reject_rate=rate,
            plan=plan,
        )
    except Interrupted as stopped:  # whose remedy is `train --resume`, which writes no report
        raise Interrupted(stopped.problem, remedy=AGAIN) from stopped
    threshold_run(run, tuning.dataset.root, rate)


def is_own(run: Path, journal: TrialJournal) -> bool:
    """Return whether an earlier session of this search began to train the run."""
    return bool(journal.study.user_attrs.get(RUN_OF) == str(run.absolute()))


def report_run(tuning: Tuning, run: Path) -> WrittenReport:
    """Write the report of the run, with the test set, if there is one."""
    left = dataclasses.replace(tuning.dataset, test=tuning.parts.left)
    if not left.test:
        return write_report(Inputs(model=run))
    return write_report(Inputs(model=run, data=tuning.dataset.root), dataset=left)
