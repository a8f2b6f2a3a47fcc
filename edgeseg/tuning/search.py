"""The search: recipes are proposed, trained and judged until its part of the budget is used.

Trials at a time begin together, and the next ones when the last of them has ended.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeseg.cluster.jobs import Executor, Failure, run_jobs
from edgeseg.errors import EdgesegError
from edgeseg.log import log
from edgeseg.text import counted
from edgeseg.tuning.asha import BASE, TriedRecipe, promotion
from edgeseg.tuning.budget import TuneBudget
from edgeseg.tuning.journal import TrialJournal, TrialRow
from edgeseg.tuning.sizes import Seconds
from edgeseg.tuning.space import Choices, combined, words
from edgeseg.tuning.trial import TrialJob, TrialResult, read_trial

LOG = "log.txt"
MOST_FAILING = 3  # trials in a row, after which not the recipes are to blame
FITS = 0.6  # of a trial that has to fit into the rest of the search
Work = Callable[[TrialJob], None]


@dataclass
class RecipeSearch:
    """Runs trials of a journal; `make` turns a recipe into a job."""

    journal: TrialJournal
    budget: TuneBudget
    first: Sequence[Choices]
    """Recipes that are tried before any other one is proposed; the first is the default."""
    make: "Callable[[Choices, Path, float, Seconds, float], TrialJob]"
    """(choices, folder, seconds, known step times, overhead) -> job."""
    kind: Callable[[Choices], str]
    """What the cost of a step of a recipe depends on."""
    folder: Path
    work: Work
    executor: Executor
    clock: Callable[[], float] = time.perf_counter
    before: float = 0.0
    """Seconds of this session before `run`, and of earlier ones."""
    results: dict[tuple[int, int], TrialResult] = field(default_factory=dict)
    """(recipe, rung) -> what was found."""
    timed: tuple[Seconds, float] = field(default_factory=lambda: ({}, 0.0))
    """What a step of the default recipe costs, and its overhead, before any trial."""
    _kinds: dict[int, str] = field(default_factory=dict)
    _failing: list[tuple[int, str]] = field(default_factory=list)
    """(trial, problem) since the last success. They are recorded with the next one: what made all
    fail, such as a full disk, is no property of a recipe, and they are run again."""
    _stop: EdgesegError | None = None

    def run(self) -> None:
        """Train and judge until the time is used or nothing is left to try.

        Interrupted: what ended is kept. EdgesegError (`tune/trials-fail`): the default recipe
        failed, or several trials in a row.
        """
        self._began = self.clock()
        for row in self.journal.rows():
            if row.state == "done":
                self.results[row.recipe, row.rung] = read_trial(self._path(row.recipe, row.rung))
                self._kinds[row.recipe] = self.kind(row.choices)
        while jobs := self._next_jobs():
            numbers = {job.folder: number for number, job in jobs}

            def on_end(
                job: TrialJob, failure: Failure | None, known: dict[Path, int] = numbers
            ) -> None:
                self._on_end(known[job.folder], job, failure)

            run_jobs(
                [job for _, job in jobs],
                self.work,
                executor=self.executor,
                log_file=lambda job: job.folder / LOG,
                on_end=on_end,
            )
            if self._stop is not None:
                raise self._stop
        self._record_failures()

    @property
    def spent(self) -> float:
        """Seconds of the budget that are used."""
        return self.before + self.clock() - self._began

    def _next_jobs(self) -> list[tuple[int, TrialJob]]:
        jobs: list[tuple[int, TrialJob]] = []
        while len(jobs) < self.budget.workers and (found := self._next()):
            jobs.append(found)
        return jobs

    def _next(self) -> tuple[int, TrialJob] | None:
        """Begin the next trial that fits into the rest of the time; None if there is none."""
        rest, rungs = self.budget.search - self.spent, self.budget.rungs
        tried = self.journal.tried()
        recipes = self.journal.recipes()
        again = self._lost(tried)
        promoted = promotion(tried, len(rungs))
        for recipe, rung in [*again, *([promoted] if promoted else [])]:
            if rest >= FITS * rungs[rung]:
                number = self.journal.begin(recipes[recipe], recipe, rung)
                return number, self._job(recipes[recipe], recipe, rung)
        if rest < FITS * sum(rungs[:2]):  # it could not be promoted any more
            return None
        for choices in self._planned(tried, recipes):
            if choices not in recipes.values():
                recipe = len(recipes)
                number = self.journal.begin(choices, recipe, 0)
                return number, self._job(choices, recipe, 0)
        proposed = self.journal.propose()
        if proposed is None:
            return None
        number, choices = proposed
        return number, self._job(choices, len(recipes), 0)

    def _planned(
        self, tried: Sequence[TriedRecipe], recipes: Mapping[int, Choices]
    ) -> Iterator[Choices]:
        """Yield recipes to try before any that Optuna proposes: single changes, then all that help.

        Their combination is tried even where the time is too short for all of them.
        """
        most = max(self.budget.trials - 1, 1)
        yield from self.first[:most]
        scored = (
            (recipes[r.recipe], r.score) for r in tried if r.rung == 0 and r.score is not None
        )
        if (best := combined(scored, self.first[0])) is not None:
            yield best
        yield from self.first[most:]

    def _lost(self, tried: Sequence[TriedRecipe]) -> Iterator[tuple[int, int]]:
        """Yield what killed processes began and nobody ended."""
        known = {(each.recipe, each.rung) for each in tried}
        lost = {(r.recipe, r.rung) for r in self.journal.rows() if r.state == "retired"}
        yield from sorted(lost - known)

    def _job(self, choices: Choices, recipe: int, rung: int) -> TrialJob:
        kind = self._kinds.setdefault(recipe, self.kind(choices))
        similar = [found for (n, _), found in self.results.items() if self._kinds.get(n) == kind]
        known: Seconds = {each.image_size: each.step_seconds for each in similar}
        overhead = statistics.median([each.overhead for each in similar] or [0.0])
        if not similar and kind == self.kind(self.first[0]):
            known, overhead = self.timed
        folder, seconds = self._path(recipe, rung).parent, self.budget.rungs[rung]
        title = f"recipe {recipe}, {words(choices, self.first[0])}"
        log.info(f"{title}: {seconds / 60:.1f} min on rung {rung}")
        return self.make(choices, folder, seconds, known, overhead)

    def _path(self, recipe: int, rung: int) -> Path:
        return self.folder / f"{recipe:03}-{rung}" / "result.json"

    def _on_end(self, number: int, job: TrialJob, failure: Failure | None) -> None:
        row = next(row for row in self.journal.rows() if row.number == number)
        title = f"recipe {row.recipe}, {words(row.choices, self.first[0])}"
        if failure is not None:
            log.info(f"{title}: FAILED: {failure.problem}")
            self._failing.append((number, failure.problem))
            if row.recipe == BASE or len(self._failing) >= MOST_FAILING:
                count = counted(len(self._failing), "trial")
                what = "the default recipe" if row.recipe == BASE else f"{count} in a row"
                self._stop = EdgesegError(
                    f"{what} failed: {failure.problem}",
                    remedy=f"{failure.remedy}; then the same command continues",
                    code="tune/trials-fail",
                )
        else:
            self._record_failures()
            result = read_trial(job.result)
            self.results[row.recipe, row.rung] = result
            score = self._comparable(row.recipe, row.rung).scores.score
            self.journal.end(number, score, facts_of(result))
            log.info(f"{title}: {self._line(row, result, score)}")
        self.journal.spend(self.spent)

    def comparable(self) -> dict[tuple[int, int], TrialResult]:
        """Return the results, those of another profile perhaps with the default recipe's maps."""
        return {key: self._comparable(*key) for key in self.results}

    def _comparable(self, recipe: int, rung: int) -> TrialResult:
        found, base = self.results[recipe, rung], self.results.get((BASE, rung))
        if base is None or self.budget.maps or self._kinds[recipe] == self._kinds[BASE]:
            return found
        return replace(found, scores=replace(found.scores, aps=base.scores.aps))

    def _record_failures(self) -> None:
        for number, problem in self._failing:
            self.journal.fail(number, problem)
        self._failing.clear()

    def _line(self, row: TrialRow, result: TrialResult, score: float) -> str:
        done = sum(each.score is not None for each in self.journal.tried())
        left = max(self.budget.search - self.spent, 0) / 60
        return (
            f"score {score:.4f} (image AUROC {result.scores.image_auroc:.3f}, pixel "
            f"AP {result.scores.pixel_ap:.3f}) after {result.seconds / 60:.1f} min at "
            f"{result.image_size} px, rung {row.rung}; {counted(done, 'trial')}, {left:.1f} min of "
            "search left"
        )


def facts_of(result: TrialResult) -> dict[str, Any]:
    """Return what the table of trials says of a result."""
    return {
        "image_auroc": round(result.scores.image_auroc, 5),
        "pixel_ap": round(result.scores.pixel_ap, 5),
        "score_maps": result.score_maps,
        "image_size": result.image_size,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
    }
