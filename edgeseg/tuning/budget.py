"""How a budget of minutes is divided: trials, rungs of successive halving, the final training.

A trial of the first rung trains for a time; the best third of a rung is trained again, for three
times as long, on the next one (Li et al., A System for Massively Parallel Hyperparameter Tuning,
MLSys 2020). The default recipe goes to every rung. At least two thirds of the budget train the
model of the result, unless the longest useful training takes less: without a search, the default
recipe has all of it.
"""

import math
from dataclasses import dataclass

from edgeseg.errors import ConfigError

ETA = 3
FINAL_SHARE = 2 / 3
RUNGS = ((3, 18), (2, 9), (2, 6))  # rungs, trials of the first one
FEWEST, MOST = 4, 12  # trials where there is one rung


@dataclass(frozen=True)
class TuneBudget:
    """Seconds of wall-clock time."""

    total: float
    final: float
    """Of the final training, thresholds and report included; what the search leaves is added."""
    rungs: tuple[float, ...]
    """Of one trial on each rung."""
    trials: int
    """On the first rung, as planned."""
    workers: int
    sizes: bool = True
    """Whether the longest trials are as large as a final training: only then are steps compared,
    which in the same time are paid for with resolution."""
    maps: bool = True
    """Whether another profile may win by its maps. Methods learn their maps at different rates: in
    short trials the pixel AP of two says which is ahead by then. So it may only where the final
    training, too, is shorter than the default recipe takes."""

    @property
    def search(self) -> float:
        """Seconds until the final training begins."""
        return self.total - self.final

    def line(self) -> str:
        """Return the plan as text."""
        counts = [max(self.trials // ETA**rung, 1) for rung in range(len(self.rungs))]
        steps = [
            f"{count} of {seconds / 60:.1f} min"
            for count, seconds in zip(counts, self.rungs, strict=True)
        ]
        at_a_time = f", {self.workers} at a time" if self.workers > 1 else ""
        return (
            f"{self.total / 60:g} min: {self.search / 60:.1f} for trials ({', then '.join(steps)}"
            f"{at_a_time}), {self.final / 60:.1f} for the final training"
        )

    def core_minutes(self, trial: int, final: int) -> float:
        """Return minutes x cores at most, of all workers; trial, final: cores of one training."""
        return (self.search * self.workers * trial + self.final * final) / 60


def plan_budget(
    minutes: float, *, spent: float, least: float, useful: float, longest: float, workers: int
) -> TuneBudget:
    """Divide a budget.

    spent: seconds since the start of the program. least: seconds of the shortest trial from which
    anything can be told; useful, longest: those of the shortest and of the longest final training
    that is useful. However many workers there are, a recipe has time to climb all rungs.
    ConfigError (`tune/too-short`) where fewer than four trials fit.
    """
    total = 60 * minutes
    final = min(max(FINAL_SHARE * total, useful), longest)
    left = total - final - spent
    capacity = left * workers
    for count, trials in RUNGS:
        units, climb = _units(count, trials), sum(ETA**rung for rung in range(count))
        seconds = min(capacity / units, left / climb)
        if seconds >= least:
            rungs = tuple(seconds * ETA**rung for rung in range(count))
            many = round(trials * capacity / (units * seconds))
            return TuneBudget(total, final, rungs, many, workers)
    trials = min(int(capacity / least), MOST)
    if trials < FEWEST or left < least:
        search = max(FEWEST / workers, 1) * least + spent
        enough = min(max(search / (1 - FINAL_SHARE), search + useful), search + longest) / 60
        enough = math.ceil(10 * 1.1 * enough) / 10
        raise ConfigError(
            f"{minutes:g} minutes are too few to compare recipes on this machine (expected at "
            f"least {enough:g})",
            remedy=f"--minutes {enough:g}",
            code="tune/too-short",
        )
    return TuneBudget(total, final, (min(capacity / trials, left),), trials, workers)


def _units(count: int, trials: int) -> int:
    """Return the cost of all rungs in trials of the first one; the default is on each rung."""
    return sum((trials // ETA**rung + (rung > 0)) * ETA**rung for rung in range(count))
