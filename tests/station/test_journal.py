import errno
import sqlite3
import threading
from contextlib import closing

import pytest

from edgeseg.errors import EdgesegError, WriteError
from edgeseg.station.inspection import Code
from edgeseg.station.journal import CHECK_EVERY, FILE, Journal, JournalReader
from tests.kit.errors import fails
from tests.kit.stations import inspection, until


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A disk that other tests keep busy is none that does not answer."""
    monkeypatch.setattr("edgeseg.station.journal.WAIT", 120.0)


def sequences(path):
    with JournalReader(path) as reader:
        return [each.sequence for each in reader.after(0, 100_000)]


def journal_of_three(folder, change):
    """Write a journal, change it by SQL, and return its path."""
    with Journal(folder / FILE) as journal:
        for number in range(1, 4):
            journal.append(inspection(number))
    with closing(sqlite3.connect(folder / FILE)) as file, file:
        file.execute(change)
    return folder / FILE


def test_records_are_on_the_disk_in_order_before_they_are_delivered(tmp_path):
    path, told = tmp_path / FILE, []
    with Journal(path) as journal:
        journal.tell(
            stored=lambda stored: told.extend((each.id, sequences(path)[-1]) for each in stored)
        )
        for number in range(1, 4):
            assert journal.append(inspection(number))
        assert until(lambda: len(told) == 3)
    assert told == [(1, 1), (2, 2), (3, 3)]


def test_a_second_start_continues_the_numbers(tmp_path):
    for boot in ("one", "two"):
        with Journal(tmp_path / FILE) as journal:
            journal.append(inspection(1, boot=boot))
    with JournalReader(tmp_path / FILE) as reader:
        assert [(each.id, each.boot) for each in reader.after(0, 9)] == [(1, "one"), (2, "two")]


def test_threads_lose_nothing(tmp_path):
    with Journal(tmp_path / FILE) as journal:
        cameras = [
            threading.Thread(
                target=lambda name=name: [
                    journal.append(inspection(n, camera=name)) for n in range(1, 101)
                ]
            )
            for name in ("a", "b", "c")
        ]
        for camera in cameras:
            camera.start()
        for camera in cameras:
            camera.join()
    with JournalReader(tmp_path / FILE) as reader:
        found = reader.after(0, 1000)
    assert [each.id for each in found] == list(range(1, 301))
    for name in ("a", "b", "c"):
        assert [e.sequence for e in found if e.camera == name] == list(range(1, 101))


def test_a_full_disk_costs_no_record(tmp_path, monkeypatch, said):
    full = [True]
    write = Journal._write

    def failing(self, batch):
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return write(self, batch)

    monkeypatch.setattr(Journal, "_write", failing)
    monkeypatch.setattr("edgeseg.station.journal.RETRY", 0.01)
    with Journal(tmp_path / FILE) as journal:
        monkeypatch.setattr("edgeseg.station.journal.WAIT", 0.05)
        assert not journal.append(inspection(1))
        assert until(lambda: journal.trouble)
        assert not journal.append(inspection(2))
        monkeypatch.setattr("edgeseg.station.journal.WAIT", 120.0)
        full[0] = False
        assert until(lambda: not journal.trouble)
        assert journal.append(inspection(3))
    assert sequences(tmp_path / FILE) == [1, 2, 3]
    assert [line for line in said if "disk is full" in line]


def test_a_disk_that_does_not_answer_is_waited_for_only_once(tmp_path, monkeypatch):
    answer = threading.Event()
    write = Journal._write

    def frozen(self, batch):
        answer.wait(120)
        return write(self, batch)

    monkeypatch.setattr(Journal, "_write", frozen)
    monkeypatch.setattr("edgeseg.station.journal.WAIT", 0.05)
    with Journal(tmp_path / FILE) as journal:
        assert not journal.append(inspection(1))
        answer.set()
    assert sequences(tmp_path / FILE) == [1]


def test_whoever_shows_the_newest_record_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    answer, write, told = threading.Event(), Journal._write, []
    monkeypatch.setattr(Journal, "_write", lambda self, b: answer.wait(120) and write(self, b))
    monkeypatch.setattr("edgeseg.station.journal.WAIT", 0.05)
    with Journal(tmp_path / FILE) as journal:
        journal.tell(taken=told.append)
        for number in range(1, 4):
            assert not journal.append(inspection(number, boot="one"))
        assert [(each.id, each.sequence) for each in told] == [(1, 1), (2, 2), (3, 3)]
        answer.set()
    with JournalReader(tmp_path / FILE) as reader:
        assert reader.after(0, 9) == told, "with the ids that were told"


def test_a_record_without_room_in_memory_is_told_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.station.journal.MOST_WAITING", 0)
    told = []
    with Journal(tmp_path / FILE) as journal:
        journal.tell(taken=told.append)
        assert not journal.append(inspection(1))
        assert (journal.lost, len(told)) == (1, 1)


def test_a_journal_has_one_writer(tmp_path):
    with Journal(tmp_path / FILE), fails(EdgesegError, "files/locked"):
        Journal(tmp_path / FILE)
    Journal(tmp_path / FILE).close()


@pytest.mark.parametrize("content", [b"no journal", b"SQLite format 3\0" + bytes(100)])
def test_another_file_is_left_as_it_is(tmp_path, content):
    path = tmp_path / FILE
    path.write_bytes(content)
    with fails(WriteError, "station/journal"):
        Journal(path)
    assert path.read_bytes() == content
    path.unlink()
    Journal(path).close()


@pytest.mark.parametrize(
    "change",
    [
        "alter table inspection add column robot text not null default ''",
        "update inspection set line = json_set(line, '$.v', 2) where id = 3",
    ],
)
def test_a_journal_of_another_version_is_left_as_it_is(tmp_path, change):
    path = journal_of_three(tmp_path, change)
    with fails(WriteError, "station/journal"):
        Journal(path)


def test_a_damaged_record_holds_up_no_other(tmp_path, said):
    change = "update inspection set line = 'x' where id in (1, 2)"
    path = journal_of_three(tmp_path, change)
    with JournalReader(path) as reader:
        assert [each.id for each in reader.after(0, 1)] == [3]
        assert [each.id for each in reader.newest(9)] == [3]
        assert reader.one(1) is None
    assert len([line for line in said if "cannot be read" in line]) == 2
    with Journal(path) as journal:
        assert journal.append(inspection(4))


def test_a_record_that_a_stop_loses_is_said(tmp_path, monkeypatch, said):
    def full(self, batch):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Journal, "_write", full)
    monkeypatch.setattr("edgeseg.station.journal.RETRY", 0.01)
    monkeypatch.setattr("edgeseg.station.journal.WAIT", 0.05)
    with Journal(tmp_path / FILE) as journal:
        journal.append(inspection(1))
        assert until(lambda: journal.trouble)
    assert [line for line in said if "are lost: 1" in line and "disk is full" in line]


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(WriteError, match=f"{errno.errorcode[errno.EEXIST]}|cannot write"):
        Journal(tmp_path / "state" / FILE)


def test_good_parts_go_first_and_nothing_that_an_output_lacks(tmp_path):
    path = tmp_path / FILE
    with Journal(path, limit_bytes=1) as journal:
        journal.kept_until = lambda: CHECK_EVERY // 2
        for number in range(1, CHECK_EVERY + 2):
            code = Code.ANOMALOUS if number <= 10 else Code.OK
            journal._waiting.append(journal._place(inspection(number, code=code)))
        journal.append(inspection(CHECK_EVERY + 2))
        assert until(lambda: len(sequences(path)) < CHECK_EVERY)
    left = sequences(path)
    assert left[:10] == list(range(1, 11))
    assert left[-1] == CHECK_EVERY + 2
    assert len(left) == CHECK_EVERY + 2 - (CHECK_EVERY + 2) // 10
    assert set(range(CHECK_EVERY // 2 + 1, CHECK_EVERY + 3)) <= set(left)


def test_the_newest_are_read_backwards(tmp_path):
    with Journal(tmp_path / FILE) as journal:
        for number, code in enumerate([Code.OK, Code.ANOMALOUS, Code.OK, Code.LATE], 1):
            journal.append(inspection(number, code=code))
    with JournalReader(tmp_path / FILE) as reader:
        assert [each.id for each in reader.newest(2)] == [4, 3]
        assert [each.id for each in reader.newest(9, not_ok=True)] == [4, 2]
        assert [each.id for each in reader.newest(9, before=3)] == [2, 1]
        assert reader.one(2).code == Code.ANOMALOUS
        assert reader.one(9) is None
        assert reader.last == 4
