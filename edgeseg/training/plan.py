"""How a training fits a time budget: the resolution, the batch and the steps of each phase.

A plan is a pure function of step times, which timing.py measures. Its rules, and what they rest on
(docs/experiments.md):

- The steps of the phases keep the ratio of the recipe, at every resolution.
- The resolution is the largest at which the recipe's steps fit the time; at twice the recipe's
  side, twice its steps. Resolution was worth more than steps, but not at half of them: students
  that were undertrained cost 10 points of image AUROC.
- Batches are those of the recipe, and half as large before a budget is refused: at the same time
  of training their size hardly mattered.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from edgeseg.errors import ConfigError

SIDES = (128, 160, 192, 224, 256)  # px; at 320, verdicts were worse
LEAST = 0.15  # of the recipe's steps; about those of the demo, whose maps find its defects
LONGER = 2.0
"""A budget is refused if the shortest useful training takes more than so many times as long. What a
refusal proposes is thus accepted, although a loaded machine is measured otherwise each time."""
LATE = 0.2  # of the planned time, by which a training is clearly slower than planned ...
LATE_SECONDS, LATE_STEPS = 30.0, 20  # ... if it is as much, and seen in as many steps
MINUTES = {"cpu": 30.0, "cuda": 10.0}
"""Default budgets. A GPU seldom needs its own: `Recipe.longest` ends the training before."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a training costs at one resolution and size of batch, in seconds."""

    side: int
    batch: int
    steps: Mapping[str, float]
    """Phase -> one step."""
    before: float
    """Reading all images, and what else is done once before the first step."""
    after: float
    """Thresholds and input check, from all held-out images."""
    measuring: float = 0.0
    """What it took to find this out."""

    def of(self, steps: Mapping[str, float]) -> float:
        """Return the time of some steps of each phase."""
        return sum(number * self.steps[phase] for phase, number in steps.items())


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is sized: steps that suit a resolution. What was given keeps its value."""

    side: int
    batch: int
    steps: Mapping[str, int]
    longest: float
    """At most so many times the steps that a resolution wants."""
    given: Collection[str] = ()
    """Of `side`, `batch` and the names of the phases."""
    sides: tuple[int, ...] = SIDES
    """The resolutions to choose from, in ascending order."""

    def part(self, *, given: bool) -> dict[str, int]:
        """Return the phases whose steps were given, or the others."""
        return {phase: n for phase, n in self.steps.items() if (phase in self.given) is given}

    def density(self, side: int) -> float:
        """Return how many times the recipe's steps a resolution wants."""
        return side / self.side


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """The size of a training and its predicted time."""

    costs: Costs
    steps: dict[str, int]
    spent: float
    """Seconds since the start of the program, measurements included."""

    def parts(self) -> dict[str, float]:
        """Return part of the work -> seconds."""
        phases = {phase: n * self.costs.steps[phase] for phase, n in self.steps.items()}
        before = {"timing": self.spent, "reading": self.costs.before}
        return before | phases | {"input check and thresholds": self.costs.after}

    def ahead(self, phase: str) -> tuple[float, float]:
        """Return the seconds of a step of a phase, and those of all that comes after the phase."""
        parts = self.parts()
        later = list(parts).index(phase) + 1
        return self.costs.steps[phase], sum([*parts.values()][later:])

    def rest(self, phase: str, step: int) -> float:
        """Return the seconds from a step of a phase to the end."""
        cost, later = self.ahead(phase)
        return cost * (self.steps[phase] - step) + later

    @property
    def seconds(self) -> float:
        """The predicted time of the whole."""
        return sum(self.parts().values())

    def size(self) -> str:
        """Return `192 px, 1900 + 780 steps of 8 images`."""
        steps = " + ".join(map(str, self.steps.values()))
        return f"{self.costs.side} px, {steps} steps of {self.costs.batch} images"


@dataclass
class Lateness:
    """Compares a training with its plan, and tells once that it is clearly slower."""

    plan: TrainPlan
    planned: float
    """Seconds from the first step to the end."""
    began: float | None = None
    """When the first step ended: what precedes it, such as filling a cache, is not compared."""
    told: bool = False

    def look(self, step: int, now: float, left: float) -> str | None:
        """Return a warning, once.

        step: of this phase, since it began or was resumed; left: seconds at the present pace.
        """
        self.began = now if self.began is None else self.began
        later = now - self.began + left - self.planned
        late = later > max(LATE * self.plan.seconds, LATE_SECONDS)
        if self.told or step < LATE_STEPS or not late:
            return None
        self.told = True
        return (
            f"slower than planned: about {left / 60:.1f} min left, "
            f"{(self.plan.seconds + later) / 60:.1f} min in all instead of "
            f"{self.plan.seconds / 60:.1f}; probably other programs use this machine"
        )


Measure = Callable[[int, int], Costs]
"""(side, batch) -> the costs on this machine."""


@dataclass
class Known:
    """The costs of one size of batch: measured at some resolutions, predicted at others."""

    batch: int
    measure: Measure
    measured: dict[int, Costs]

    def at(self, side: int) -> Costs:
        """Return measured costs, or predict them: linear in the pixels."""
        if side in self.measured:
            return self.measured[side]
        near = sorted(self.measured, key=lambda known: abs(known - side))[:2]
        one = self.measured[near[0]]
        if len(near) == 1:
            steps = {phase: cost * (side / near[0]) ** 2 for phase, cost in one.steps.items()}
        else:
            two = self.measured[near[1]]
            part = (side**2 - near[0] ** 2) / (near[1] ** 2 - near[0] ** 2)
            steps = {
                phase: max(cost + part * (two.steps[phase] - cost), cost / 4)
                for phase, cost in one.steps.items()
            }
        return replace(one, side=side, steps=steps, measuring=0.0)

    def time(self, side: int) -> None:
        """Measure one more resolution."""
        self.measured[side] = self.measure(side, self.batch)


@dataclass(frozen=True)
class Planner:
    """Plans for one recipe on one machine."""

    recipe: Recipe
    known: Known
    started: float
    """Seconds that had passed before the first measurement."""

    @property
    def sides(self) -> tuple[int, ...]:
        """The resolutions to choose from."""
        return (self.recipe.side,) if "side" in self.recipe.given else self.recipe.sides

    def plan(self, seconds: float) -> TrainPlan | None:
        """Return the plan of a budget; None if it leaves no useful training."""
        scale, plan = self._best(seconds)
        return plan if scale >= LEAST else None

    def plan_trial(self, seconds: float, least: float) -> TrainPlan:
        """Return the plan of a budget, however short: at least a share of the recipe's steps."""
        _, plan = self._best(seconds)
        shortest = {
            phase: math.ceil(least * n) for phase, n in self.recipe.part(given=False).items()
        }
        steps = {phase: max(n, shortest.get(phase, n)) for phase, n in plan.steps.items()}
        return replace(plan, steps=steps)

    def least(self) -> float:
        """Return the seconds of the shortest useful training."""
        costs, recipe = self.known.at(self.sides[0]), self.recipe
        wanted = {phase: LEAST * n for phase, n in recipe.part(given=False).items()}
        return self._once(costs) + costs.of(recipe.part(given=True)) + costs.of(wanted)

    def shortest(self) -> TrainPlan:
        """Return the plan of the shortest useful training."""
        return self._plan(1.01 * self.least(), self.sides[0])[1]

    def _best(self, seconds: float) -> tuple[float, TrainPlan]:
        plans = {side: self._plan(seconds, side) for side in self.sides}
        full = [side for side, (scale, _) in plans.items() if scale >= self.recipe.density(side)]
        return plans[max(full, default=self.sides[0])]

    def _once(self, costs: Costs) -> float:
        return self._spent() + costs.before + costs.after

    def _spent(self) -> float:
        return self.started + sum(costs.measuring for costs in self.known.measured.values())

    def _plan(self, seconds: float, side: int) -> tuple[float, TrainPlan]:
        """Return the plan at a resolution, and how many times the recipe's steps it has."""
        costs, recipe = self.known.at(side), self.recipe
        fixed, wanted = recipe.part(given=True), recipe.part(given=False)
        free = seconds - self._once(costs) - costs.of(fixed)
        if any(wanted.values()):
            scale = max(min(free / costs.of(wanted), recipe.longest * recipe.density(side)), 0.0)
        else:  # the steps are given, and the resolution is what fits
            scale = math.inf if free >= 0 or self.sides == (side,) else 0.0
        found = {p: n if p in fixed else _round(scale * n) for p, n in recipe.steps.items()}
        return scale, TrainPlan(costs=costs, steps=found, spent=self._spent())


def make_plan(
    minutes: float | None, recipe: Recipe, measure: Measure, *, started: float = 0.0
) -> tuple[TrainPlan, Planner]:
    """Return the plan of a budget, and its planner for other budgets.

    minutes: None for a training whose sizes are all given, which is timed only. Where the shortest
    useful training takes a little longer than the budget, the plan is that. ConfigError
    (`train/too-short`): it takes much longer, and the remedy is its time.
    """
    seconds = math.inf if minutes is None else 60 * minutes
    batches = [recipe.batch] if "batch" in recipe.given else [recipe.batch, recipe.batch // 2]
    for batch in batches:
        planner = Planner(recipe, Known(batch, measure, {}), started)
        planner.known.time(planner.sides[0])
        plan = planner.plan(seconds)
        while plan is not None and plan.costs.side not in planner.known.measured:
            planner.known.time(plan.costs.side)
            plan = planner.plan(seconds)
        if plan is not None:
            return plan, planner
        started += sum(costs.measuring for costs in planner.known.measured.values())
    assert minutes is not None, "without a budget every plan fits"
    if planner.least() <= LONGER * seconds:
        return planner.shortest(), planner
    enough = math.ceil(10 * 1.05 * planner.least() / 60) / 10
    raise ConfigError(
        f"{minutes:g} minutes are too few for a useful training on this machine (expected at least "
        f"{enough:g})",
        remedy=f"--minutes {enough:g}",
        code="train/too-short",
    )


def _round(steps: float) -> int:
    """Round down to two digits, or to tens: nobody compares 1873 with 1868 steps."""
    return int(steps) if steps < 100 else int(steps) // 10 * 10
