"""The journal is bound to its data and settings, and reads back what it was told."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.tuning.journal import JOURNAL
from edgeseg.tuning.space import default_choices
from tests.kit.errors import fails
from tests.tuning.fakes import BOUND, journal_in

pytest.importorskip("optuna")


def test_what_is_told_is_read_back_by_the_next_process(tmp_path):
    journal = journal_in(tmp_path)
    done = journal.begin(default_choices({}), 0, 0)
    journal.end(done, 0.75, {"seconds": 12.5, "steps": {"student": 3}})
    failed = journal.begin(default_choices({}) | {"steps": 2.0}, 1, 0)
    journal.fail(failed, "out of memory")
    journal.spend(30.5)
    again = journal_in(tmp_path)
    first, second = again.rows()
    assert (first.state, first.score, first.choices) == ("done", 0.75, default_choices({}))
    assert first.facts == {"seconds": 12.5, "steps": {"student": 3}}
    assert (second.state, second.facts) == ("failed", {"problem": "out of memory"})
    assert again.spent == 30.5 and again.retired == 0


def test_proposals_are_new(tmp_path):
    journal = journal_in(tmp_path)
    journal.end(journal.begin(default_choices({}), 0, 0), 0.5, {})
    found = [default_choices({})]
    for place in range(1, 15):
        number, choices = journal.propose()
        assert choices not in found
        found.append(choices)
        journal.end(number, 0.5 + place / 100, {})
    assert [*journal.recipes()] == list(range(15))


@pytest.mark.parametrize("name", BOUND)
def test_trials_of_other_data_and_settings_are_refused(tmp_path, name):
    journal_in(tmp_path).begin(default_choices({}), 0, 0)
    with fails(ConfigError, "tune/changed") as raised:
        journal_in(tmp_path, BOUND | {name: "other"})
    assert f"{tmp_path}-2" in raised.value.remedy
    assert journal_in(tmp_path).retired == 1, "as before"


@pytest.mark.parametrize("name", BOUND)
def test_a_journal_without_a_trial_is_bound_anew(tmp_path, name):
    assert not journal_in(tmp_path).bound_anew
    assert journal_in(tmp_path, BOUND | {name: "other"}).bound_anew
    assert not journal_in(tmp_path, BOUND | {name: "other"}).bound_anew


def test_half_a_line_of_a_full_disk_is_removed(tmp_path):
    journal = journal_in(tmp_path)
    journal.end(journal.begin(default_choices({}), 0, 0), 0.75, {})
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"f2')
    journal_in(tmp_path).spend(30.5)
    again = journal_in(tmp_path)
    assert again.spent == 30.5 and [row.score for row in again.rows()] == [0.75]


@pytest.mark.parametrize("line", ["no journal", "[]", "1", '{"op_code": 99, "worker_id": "a"}'])
def test_a_file_that_is_no_journal_is_refused(tmp_path, line):
    (tmp_path / JOURNAL).write_text(f"{line}\n")
    with fails(ConfigError, "tune/damaged-journal"):
        journal_in(tmp_path)


def test_the_lock_of_a_killed_process_is_removed_before_optuna_waits_for_it(tmp_path, monkeypatch):
    lock = tmp_path / f"{JOURNAL}.lock"
    lock.symlink_to(tmp_path / JOURNAL)
    backends = pytest.importorskip("optuna.storages.journal")
    found = []

    def opened(path):
        found.append(lock.is_symlink())
        raise KeyError

    monkeypatch.setattr(backends, "JournalFileBackend", opened)
    with fails(ConfigError, "tune/damaged-journal"):
        journal_in(tmp_path)
    assert found == [False]


def test_a_proposal_of_which_a_killed_process_noted_a_half_is_left_out(tmp_path):
    journal = journal_in(tmp_path)
    journal.study.ask(journal._space).set_user_attr("recipe", 0)
    assert [*journal_in(tmp_path).rows()] == []
