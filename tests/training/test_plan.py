"""Plans are made of step times: with known times every plan is known."""

from dataclasses import replace

import pytest

from edgeseg.errors import ConfigError
from edgeseg.training.plan import LATE_STEPS, LEAST, SIDES, Costs, Lateness, Recipe, make_plan
from tests.kit.errors import fails

RECIPE = Recipe(side=128, batch=8, steps={"student": 1100, "head": 450}, longest=4.0)


def machine(student=0.1, head=0.05, *, before=10.0, after=5.0, asked=None):
    """A machine whose steps cost these seconds at 128 px and batches of 8, and pixels in turn."""

    def measure(side, batch):
        if asked is not None:
            asked.append((side, batch))
        factor = (side / 128) ** 2 * batch / 8
        steps = {"student": student * factor, "head": head * factor}
        return Costs(side=side, batch=batch, steps=steps, before=before, after=after, measuring=1.0)

    return measure


@pytest.mark.parametrize("minutes", [1.2, 3, 6, 15, 30, 60])
def test_a_plan_fills_its_budget_and_never_exceeds_it(minutes):
    plan, _ = make_plan(minutes, RECIPE, machine())
    assert 0.93 * 60 * minutes < plan.seconds <= 60 * minutes


def test_the_steps_of_the_phases_keep_the_ratio_of_the_recipe():
    plan, _ = make_plan(30, RECIPE, machine())
    assert plan.steps["student"] / plan.steps["head"] == pytest.approx(1100 / 450, rel=0.02)


def test_more_time_buys_resolution_and_then_steps():
    plans = [make_plan(m, RECIPE, machine())[0] for m in (1.2, 3, 6, 12, 24, 48, 96)]
    sides = [plan.costs.side for plan in plans]
    assert sides == sorted(sides) and sides[0] == SIDES[0] and sides[-1] == SIDES[-1]
    for plan in plans:  # twice the side has twice the steps, once the recipe's steps fit at all
        if plan.costs.side > SIDES[0]:
            assert plan.steps["student"] >= 0.98 * 1100 * plan.costs.side / 128
    longest, _ = make_plan(100_000, RECIPE, machine())
    assert longest.steps["student"] == 4 * 1100 * SIDES[-1] / 128
    most, _ = make_plan(100_000, replace(RECIPE, longest=1.25), machine())
    assert most.steps["student"] == 1.25 * 1100 * SIDES[-1] / 128


def test_the_resolution_that_is_taken_was_measured():
    asked = []
    plan, _ = make_plan(30, RECIPE, machine(asked=asked))
    assert (plan.costs.side, 8) in asked and plan.spent == len(asked) <= 3


def test_a_machine_whose_large_steps_cost_more_than_their_pixels_gets_fewer():
    def measure(side, batch):
        even = machine()(side, batch)
        slow = 3.0 if side > 160 else 1.0
        steps = {phase: slow * cost for phase, cost in even.steps.items()}
        return Costs(side=side, batch=batch, steps=steps, before=0.0, after=0.0)

    plan, _ = make_plan(10, RECIPE, measure)
    assert plan.costs.side < make_plan(10, RECIPE, machine())[0].costs.side
    assert plan.seconds <= 600


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"side"}, (128, 8)),
        ({"batch", "side"}, (128, 8)),
    ],
)
def test_what_is_given_keeps_its_value(given, size):
    recipe = replace(RECIPE, given=given)
    plan, _ = make_plan(8, recipe, machine())
    assert (plan.costs.side, plan.costs.batch) == size
    assert 440 < plan.seconds <= 480


def test_given_steps_leave_the_rest_of_the_time_to_the_others():
    recipe = replace(RECIPE, steps={"student": 50, "head": 450}, given={"student"})
    plan, _ = make_plan(5, recipe, machine())
    assert plan.steps["student"] == 50 and 0.9 * 300 < plan.seconds <= 300


def test_given_steps_of_all_phases_are_trained_at_the_resolution_that_fits():
    recipe = replace(RECIPE, given={"student", "head"})
    plan, _ = make_plan(12, recipe, machine())
    assert plan.steps == RECIPE.steps
    assert plan.costs.side > 160 and plan.seconds <= 720


def test_half_a_batch_comes_before_a_refusal():
    plan, _ = make_plan(0.65, RECIPE, machine(before=5, after=1, student=0.15, head=0.12))
    assert plan.costs.batch == 4 and plan.seconds <= 39


def test_a_budget_that_is_too_small_is_refused_with_one_that_holds_under_twice_the_load():
    with fails(ConfigError, "train/too-short") as caught:
        make_plan(0.2, RECIPE, machine())
    enough = float(caught.value.remedy.removeprefix("--minutes "))
    plan, _ = make_plan(enough, RECIPE, machine())
    assert plan.steps["student"] >= int(LEAST * 1100) and plan.seconds <= 60 * enough
    loaded, _ = make_plan(enough, RECIPE, machine(0.2, 0.1, before=20, after=10))
    assert loaded.steps["student"] >= LEAST * 1000 and loaded.seconds > 60 * enough


@pytest.mark.parametrize("given", [{"student"}, {"student", "head"}])
def test_given_steps_that_take_a_little_longer_than_the_budget_are_trained(given):
    recipe = replace(RECIPE, steps={"student": 500, "head": 450}, given=given)
    plan, _ = make_plan(0.8, recipe, machine())
    assert (plan.costs.side, plan.steps["student"]) == (SIDES[0], 500)


@pytest.fixture
def lateness():
    recipe = replace(RECIPE, given={"side", "student", "head"})
    plan, _ = make_plan(None, recipe, machine())  # 16 s, 110 s of the student, 22.5 s of the head
    return Lateness(plan, plan.rest("student", 0))


def test_a_training_that_is_clearly_slower_than_planned_is_told_of_once(lateness):
    rest = lateness.planned
    assert lateness.look(0, 1000.0, 9 * rest) is None
    assert lateness.look(LATE_STEPS, 1010.0, rest - 10) is None  # as planned
    assert lateness.look(LATE_STEPS, 1010.0, rest + 15) is None  # 25 s more are few
    assert lateness.look(LATE_STEPS - 1, 1010.0, 3 * rest) is None  # of too few steps
    assert "3.1 min left, 3.4 min in all instead of 2.5" in lateness.look(LATE_STEPS, 1010.0, 183.6)
    assert lateness.look(LATE_STEPS, 1010.0, 200.0) is None


def test_a_resumed_training_is_compared_with_what_was_left(lateness):
    assert lateness.plan.rest("student", 0) - lateness.plan.rest("student", 100) == pytest.approx(
        10
    )
    assert lateness.plan.rest("head", 450) == pytest.approx(5)


def test_without_a_budget_the_training_is_timed_only():
    given = {"side", "batch", "student", "head"}
    recipe = Recipe(
        side=256, batch=32, steps={"student": 1000, "head": 4000}, longest=1.0, given=given
    )
    plan, _ = make_plan(None, recipe, machine(), started=2.0)
    assert plan.steps == recipe.steps
    assert plan.seconds == pytest.approx(2 + 1 + 10 + 5 + 16 * (1000 * 0.1 + 4000 * 0.05))
    assert plan.ahead("student") == (pytest.approx(1.6), pytest.approx(16 * 4000 * 0.05 + 5))


def test_the_same_times_give_the_same_plan():
    assert make_plan(17, RECIPE, machine())[0] == make_plan(17, RECIPE, machine())[0]
