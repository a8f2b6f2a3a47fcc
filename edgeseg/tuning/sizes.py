"""How large a recipe is trained in a time: resolution and steps, on this machine.

The rules are those of `edgeseg train --minutes` (training/plan.py), with two differences: trials
may be smaller than a useful training, because they are compared with each other only, which the
final training may not; and a recipe may want fewer or more steps at a resolution. What a step costs
is timed once for a kind of training and then taken from the trials themselves.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from edgeseg.presets import LONGEST
from edgeseg.recipes import TrainConfig
from edgeseg.training.plan import LEAST, SIDES, Costs, Known, Planner, Recipe, TrainPlan

TRIAL_SIDES = (64, 96, *SIDES)  # px
MEASURED = 128  # px, at which a kind of training is timed before anything is known of it
SHORTEST = 0.06  # of the recipe's steps: what a trial has in any case

Seconds = dict[int, dict[str, float]]
"""Side in px -> phase -> seconds of a step."""


def kind_of(config: TrainConfig) -> str:
    """Return what the cost of a step depends on most, apart from the resolution, as text."""
    return f"{config.profile} {config.model}"


def recipe_of(
    config: TrainConfig,
    times: float,
    given: Collection[str],
    images: int,
    *,
    sides: tuple[int, ...] = TRIAL_SIDES,
) -> Recipe:
    """Return what is sized. times: of the profile's steps; given: settings that keep values."""
    steps = {"student": config.first_steps(images)}
    if config.head:
        steps["head"] = config.head_steps
    fixed = {"side"} if "image_size" in given else set()
    if {"student_steps", "epochs"} & set(given):
        fixed.add("student")
    if "head_steps" in given:
        fixed.add("head")
    wanted = {p: n if p in fixed else max(round(times * n), 1) for p, n in steps.items()}
    return Recipe(
        side=config.image_size,
        batch=config.batch,
        steps=wanted,
        longest=LONGEST[config.profile] / min(times, 1.0),
        given=fixed | {"batch"},
        sides=sides,
    )


def with_judging(costs: Costs, images: int) -> Costs:
    """Return the costs of a trial, after whose steps a number of images is judged.

    An image that is judged takes less than an image of a step: there is no backward pass.
    """
    return dataclasses.replace(costs, after=images * costs.steps["student"] / costs.batch)


def plan_training(
    recipe: Recipe,
    seconds: float,
    known: Mapping[int, Costs],
    measure: Callable[[int, int], Costs],
    *,
    exact: bool,
) -> TrainPlan:
    """Return resolution and steps that fit a time.

    exact: of the final training, which is useful and whose resolution is timed too.
    """
    least = LEAST if exact else SHORTEST
    planner = Planner(recipe, Known(recipe.batch, measure, dict(known)), 0.0)
    for side in (planner.sides[0], MEASURED) if not planner.known.measured else ():
        if side in planner.sides:
            planner.known.time(side)
    plan = planner.plan_trial(seconds, least)
    while exact and plan.costs.side not in planner.known.measured:
        planner.known.time(plan.costs.side)
        plan = planner.plan_trial(seconds, least)
    return plan


def with_sizes(config: TrainConfig, plan: TrainPlan, given: Collection[str]) -> TrainConfig:
    """Return a configuration with the resolution and the steps of a plan."""
    found: dict[str, Any] = {"image_size": plan.costs.side, "minutes": None}
    if "epochs" not in given:
        found |= {"epochs": None, "student_steps": plan.steps["student"]}
    if config.head:
        found["head_steps"] = plan.steps["head"]
    return dataclasses.replace(config, **found)
