"""Trials without a training: a clock that only work moves, and recipes of known quality."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edgeseg.cluster.local import Local
from edgeseg.recipes import TrainConfig
from edgeseg.tuning.budget import plan_budget
from edgeseg.tuning.journal import TrialJournal
from edgeseg.tuning.score import TrialScores
from edgeseg.tuning.search import RecipeSearch
from edgeseg.tuning.space import first_choices, settings_of, space_for
from edgeseg.tuning.trial import TrialJob, TrialResult

BEST = {"lighting": 0.2, "anomalies": "material", "profile": "edge"}
"""The planted recipe: each of these choices makes a recipe better."""
BOUND = {"data": "d", "settings": "s"}


class Clock:
    """Seconds that pass only where something is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Planted:
    """Writes the result that a recipe deserves, and lets its time pass."""

    def __init__(self, clock, slower=1.0):
        self.clock, self.slower, self.done, self.threads = clock, slower, [], set()

    def __call__(self, job):
        self.clock.now += self.slower * job.seconds
        self.done.append(job.folder.name)
        self.threads.add(job.threads)
        write_result(job, quality_of(job.config))


def quality_of(config):
    shares = config.shading + config.marks + config.patches + config.natural
    right = [config.lighting == 0.2, shares > 0.99, config.profile == "edge"]
    return 0.3 + 0.2 * sum(right)


def write_result(job, quality, pixel_ap=None):
    rng = np.random.default_rng(0)
    good = rng.normal(0, 1, 30)
    bad = rng.normal(4 * quality, 1, 36)
    groups = tuple(f"family {k % 6}" for k in range(36))
    ap = quality if pixel_ap is None else pixel_ap
    scores = TrialScores(tuple(good), tuple(bad), groups, (ap,) * 36)
    result = TrialResult(
        scores=scores,
        score_maps=None,
        image_size=64,
        steps={"student": 10},
        step_seconds={"student": job.seconds / 20},
        seconds=job.seconds,
        overhead=1.0,
    )
    job.folder.mkdir(parents=True, exist_ok=True)
    job.result.write_text(json.dumps(asdict(result)))


def journal_in(folder, bound=BOUND):
    return TrialJournal(folder, space_for({}), bound, seed=0)


def job_of(choices, folder, seconds=10.0, known=None, overhead=0.0):
    return TrialJob(
        data=Path("parts"),
        folder=folder,
        judge=Path("judge"),
        config=TrainConfig(**settings_of(choices, {})),
        times=1.0,
        given=(),
        score_maps=(None,),
        seconds=seconds,
        known=known or {},
        overhead=overhead,
    )


def search_in(folder, work, clock, *, minutes=60.0, least=10.0, executor=None, workers=1):
    """Return a search whose trials are planted."""
    journal = journal_in(folder)
    budget = plan_budget(minutes, spent=0, least=least, useful=60.0, longest=1e6, workers=workers)
    return RecipeSearch(
        journal=journal,
        budget=budget,
        first=[*first_choices({})],
        make=job_of,
        kind=lambda choices: str(choices["profile"]),
        folder=folder / "trials",
        work=work,
        executor=executor or Local(),
        clock=clock,
        before=journal.spent,
    )
