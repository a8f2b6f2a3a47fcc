"""A budget is divided before the first trial, and refused where it decides nothing."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.tuning.budget import plan_budget
from tests.kit.errors import fails

HOUR = {"spent": 20.0, "useful": 60.0, "longest": 1e6, "workers": 1}


def units(budget):
    """Seconds of all planned trials, the default on each rung."""
    counts = [budget.trials // 3**rung + (rung > 0) for rung in range(len(budget.rungs))]
    return sum(n * seconds for n, seconds in zip(counts, budget.rungs, strict=True))


@pytest.mark.parametrize(("least", "rungs"), [(10.0, 3), (40.0, 2), (70.0, 2), (200.0, 1)])
def test_the_longer_a_trial_has_to_be_the_fewer_rungs(least, rungs):
    budget = plan_budget(60, least=least, **HOUR)
    assert len(budget.rungs) == rungs and budget.rungs[0] >= least
    assert budget.final == pytest.approx(2400) and budget.search == pytest.approx(1200)
    assert units(budget) == pytest.approx(1200 - 20)
    pairs = zip(budget.rungs, budget.rungs[1:], strict=False)
    assert all(b == pytest.approx(3 * a) for a, b in pairs)


def test_a_final_training_that_ends_early_leaves_its_time_to_the_search():
    budget = plan_budget(60, spent=0, least=10, useful=60, longest=600, workers=1)
    assert budget.final == 600 and units(budget) == pytest.approx(3000)


def test_two_at_a_time_try_twice_as_long():
    one, two = (
        plan_budget(60, least=40, spent=0, useful=60, longest=1e6, workers=n) for n in (1, 2)
    )
    assert units(two) == pytest.approx(2 * units(one))
    assert one.core_minutes(trial=4, final=4) == pytest.approx(60 * 4)
    assert two.core_minutes(trial=2, final=4) == pytest.approx(60 * 4), "shared cores of a machine"
    assert two.core_minutes(trial=4, final=4) == pytest.approx(80 * 4), "two machines search"
    assert "2 at a time" in two.line() and "at a time" not in one.line()


@pytest.mark.parametrize("least", [10, 100, 250])
def test_however_many_at_a_time_a_recipe_has_time_to_climb_all_rungs(least):
    for workers in (1, 2, 6, 40, 256):
        budget = plan_budget(60, spent=0, least=least, useful=60, longest=1e6, workers=workers)
        assert least <= budget.rungs[0] and sum(budget.rungs) <= budget.search + 1e-6
        assert workers == 1 or budget.trials > workers or len(budget.rungs) == 1
    with fails(ConfigError, "tune/too-short") as raised:
        plan_budget(2, spent=0, least=60, useful=60, longest=1e6, workers=40)
    enough = float(str(raised.value.remedy).split()[1])
    assert plan_budget(enough, spent=0, least=60, useful=60, longest=1e6, workers=40).trials >= 4


def test_the_final_training_has_time_to_be_useful():
    budget = plan_budget(10, spent=0, least=20, useful=500, longest=1e6, workers=1)
    assert budget.final == 500 and units(budget) == pytest.approx(100)


@pytest.mark.parametrize(("useful", "longest"), [(60, 1e6), (600, 1e6), (60, 70)])
def test_too_few_minutes_are_refused_with_the_number_that_suffices(useful, longest):
    needs = {"spent": 20, "least": 30, "useful": useful, "longest": longest, "workers": 1}
    with fails(ConfigError, "tune/too-short") as raised:
        plan_budget(2, **needs)
    enough = float(str(raised.value.remedy).split()[1])
    budget = plan_budget(enough, **needs)
    assert budget.trials >= 4 and budget.final >= useful
    with fails(ConfigError, "tune/too-short"):
        plan_budget(enough / 1.3, **needs)
