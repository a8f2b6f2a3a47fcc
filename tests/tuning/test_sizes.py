"""A trial may be smaller than a useful training, the final training may not."""

import math

from edgeseg.recipes import TrainConfig
from edgeseg.training.plan import LEAST, SIDES, Costs
from edgeseg.tuning.sizes import SHORTEST, TRIAL_SIDES, plan_training, recipe_of

CONFIG = TrainConfig(profile="line")
STEPS = {"student": 0.2, "head": 0.1}


def measure(side, batch):
    return Costs(side=side, batch=batch, steps=STEPS, before=1.0, after=1.0)


def test_in_a_short_time_a_trial_is_small_and_a_final_training_useful():
    trial = recipe_of(CONFIG, 1.0, (), 40)
    final = recipe_of(CONFIG, 1.0, (), 40, sides=SIDES)
    wanted = trial.steps["student"]
    short = plan_training(trial, 10.0, {}, measure, exact=False)
    assert short.costs.side == TRIAL_SIDES[0] == 64
    assert short.steps["student"] == math.ceil(SHORTEST * wanted)
    useful = plan_training(final, 10.0, {}, measure, exact=True)
    assert useful.costs.side == SIDES[0] == 128
    assert useful.steps["student"] == math.ceil(LEAST * wanted)


def test_in_a_long_time_both_are_as_large_as_is_useful():
    for sides in (SIDES, TRIAL_SIDES):
        recipe = recipe_of(CONFIG, 1.0, (), 40, sides=sides)
        plan = plan_training(recipe, 1e5, {}, measure, exact=True)
        assert plan.costs.side == 256
