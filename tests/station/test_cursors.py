from edgeseg.station.cursors import FILE, Cursors, furthest
from edgeseg.station.journal import FILE as JOURNAL
from edgeseg.station.journal import Journal, JournalReader
from edgeseg.station.page.labels import PartLabels
from tests.kit.stations import inspection


def test_an_output_gets_all_from_the_first_record_on_although_labels_were_there_before(tmp_path):
    PartLabels(tmp_path).close()  # as `edgeseg station check` leaves them
    with Cursors(tmp_path / FILE, last=55) as cursors:
        assert cursors.of("jsonl") == 0


def test_no_number_is_given_out_twice_when_the_journal_has_less_than_an_output(tmp_path):
    with Cursors(tmp_path / FILE, last=0) as cursors:
        cursors.move("slow", 3)
        cursors.move("fast", 7)
    with Journal(tmp_path / JOURNAL, after=furthest(tmp_path / FILE)) as journal:
        journal.append(inspection(1))
    with JournalReader(tmp_path / JOURNAL) as reader:
        assert [each.id for each in reader.after(7, 9)] == [8]


def test_without_cursors_the_numbers_begin_at_one(tmp_path):
    assert furthest(tmp_path / FILE) == 0
    PartLabels(tmp_path).close()
    assert furthest(tmp_path / FILE) == 0
    (tmp_path / FILE).write_text("no database, but long enough to be read as one" * 99)
    assert furthest(tmp_path / FILE) == 0
