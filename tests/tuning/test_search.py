"""The search on planted recipes: the best wins, nothing is done twice, the time is kept."""

from dataclasses import replace

import pytest

from edgeseg.errors import EdgesegError, Interrupted, ModelError
from edgeseg.tuning.result import choose_recipe
from edgeseg.tuning.space import default_choices
from tests.kit.errors import fails
from tests.tuning.fakes import BEST, Clock, Planted, search_in, write_result

pytest.importorskip("optuna")


def chosen(search):
    return choose_recipe(tuple(search.journal.rows()), search.comparable(), default_choices({}))


@pytest.mark.parametrize("least", [10.0, 40.0, 200.0])
def test_the_planted_recipe_wins_within_the_time(tmp_path, least):
    clock = Clock()
    work = Planted(clock)
    search = search_in(tmp_path, work, clock, least=least)
    search.run()
    found = chosen(search)
    assert clock.now == pytest.approx(search.budget.search, rel=0.15)
    assert found.recipe != 0 and found.gain > found.error > 0
    assert found.choices.items() >= BEST.items()
    assert found.rung == len(search.budget.rungs) - 1
    assert len(work.done) == len(set(work.done)), "a trial was done twice"


@pytest.mark.parametrize("slower", [0.7, 1.4])
def test_a_machine_of_another_speed_keeps_the_time_as_well(tmp_path, slower):
    clock = Clock()
    search = search_in(tmp_path, Planted(clock, slower), clock, least=40.0)
    search.run()
    assert clock.now == pytest.approx(search.budget.search, rel=0.15)


def test_the_default_recipe_is_the_first_trial_and_on_every_rung(tmp_path):
    clock = Clock()
    search = search_in(tmp_path, Planted(clock), clock)
    search.run()
    first = next(search.journal.rows())
    assert first.recipe == 0 and first.choices == default_choices({})
    assert {(0, rung) for rung in range(3)} <= set(search.results)


def test_a_stopped_search_continues_and_does_no_trial_twice(tmp_path):
    clock = Clock()
    work = Planted(clock)

    def stops(job):
        if len(work.done) == 5:
            raise Interrupted("stopped", remedy="again")
        work(job)

    with pytest.raises(Interrupted):
        search_in(tmp_path, stops, clock).run()
    assert len(work.done) == 5
    again = search_in(tmp_path, work, clock)
    assert again.journal.retired == 1
    again.run()
    assert len(work.done) == len(set(work.done))
    assert clock.now == pytest.approx(again.budget.search, rel=0.15), "both sessions count"
    states = [row.state for row in again.journal.rows()]
    assert states.count("retired") == 1 and "running" not in states
    assert chosen(again).choices.items() >= BEST.items()


def test_the_trial_of_a_killed_process_is_retired_and_done_again(tmp_path):
    clock = Clock()
    first = search_in(tmp_path, Planted(clock), clock)
    number = first.journal.begin(default_choices({}), 0, 0)  # and then the process was killed
    assert [row.state for row in first.journal.rows()] == ["running"]
    work = Planted(clock)
    second = search_in(tmp_path, work, clock, least=40.0)
    assert [row.state for row in second.journal.rows()] == ["retired"]
    second.run()
    rows = [*second.journal.rows()]
    assert rows[1].number == number + 1 and (rows[1].recipe, rows[1].rung) == (0, 0)
    assert rows[1].state == "done" and work.done.count("000-0") == 1


def test_a_result_that_is_gone_is_named_with_a_way_out(tmp_path):
    clock = Clock()
    search = search_in(tmp_path, Planted(clock), clock, least=200.0)
    search.run()
    (tmp_path / "trials" / "000-0" / "result.json").unlink()
    with fails(ModelError, "tune/damaged-result") as raised:
        search_in(tmp_path, Planted(clock), clock, least=200.0).run()
    assert "000-0" in raised.value.problem and "--out" in raised.value.remedy


def test_a_recipe_that_fails_is_recorded_and_not_tried_again(tmp_path):
    clock = Clock()
    work = Planted(clock)

    def diverges(job):
        if job.config.lighting == 0.2:
            clock.now += job.seconds
            raise EdgesegError("training diverged", remedy="a lower rate", code="train/diverged")
        work(job)

    search = search_in(tmp_path, diverges, clock, least=40.0)
    search.run()
    failed = [row for row in search.journal.rows() if row.state == "failed"]
    assert failed and all(row.facts["problem"] == "training diverged" for row in failed)
    assert len({row.recipe for row in failed}) == len(failed)
    assert chosen(search).choices["lighting"] != 0.2


@pytest.mark.parametrize(("first", "failing"), [(0, 1), (5, 3)])
def test_what_makes_all_trials_fail_stops_the_search_and_burns_no_recipe(tmp_path, first, failing):
    clock = Clock()
    work = Planted(clock)

    def full_disk(job):
        if len(work.done) >= first:
            raise EdgesegError("disk full", remedy="free space")
        work(job)

    with fails(EdgesegError, "tune/trials-fail") as raised:
        search_in(tmp_path, full_disk, clock, least=40.0).run()
    assert "disk full" in raised.value.problem and "free space" in raised.value.remedy
    again = search_in(tmp_path, work, clock, least=40.0)
    assert again.journal.retired == failing
    again.run()
    assert "failed" not in {row.state for row in again.journal.rows()}
    assert len(work.done) == len(set(work.done))
    assert chosen(again).choices.items() >= BEST.items()


@pytest.mark.parametrize("maps", [True, False])
def test_a_profile_whose_maps_are_learned_earlier_wins_only_a_short_final_training(tmp_path, maps):
    def work(job):
        clock.now += job.seconds
        write_result(job, 0.5, pixel_ap=0.6 if job.config.profile == "edge" else 0.2)

    clock = Clock()
    search = search_in(tmp_path, work, clock)
    search.budget = replace(search.budget, maps=maps)
    search.run()
    assert (chosen(search).choices["profile"] == "edge") == maps
    again = search_in(tmp_path, work, clock)
    again.budget = search.budget
    again.run()
    assert again.comparable() == search.comparable()
