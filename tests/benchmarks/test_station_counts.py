"""What the proof of the station counts."""

from array import array
from pathlib import Path

import numpy as np
import pytest

from edgeseg.station.inspection import Inspection
from edgeseg.station.journal import Journal
from station_counts import Latencies, Lines, Records, delivered


def test_a_record_that_came_again_is_neither_lost_nor_out_of_order():
    found = delivered([1, 2, 3, 4, 5], [1, 2, 3, 2, 3, 4])
    assert (found["lost"], found["again"], found["behind"]) == (0, 2, 1)
    assert found["in_order"]


def test_a_record_that_later_ones_passed_is_lost():
    found = delivered([1, 2, 3, 4], [1, 4, 2])
    assert found["lost_ids"] == [3]
    assert not found["in_order"]
    assert delivered([1], [1, 9])["unknown"] == 1


def test_the_records_of_a_journal_are_counted_by_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.station.journal.WAIT", 120.0)  # until they are on the disk
    path = tmp_path / "journal.sqlite3"
    records = Records(path)
    with Journal(path) as journal:
        for frame in (0, 1, 3, 3):
            journal.append(_inspection(frame))
        records.read()
        journal.append(_inspection(5))
        records.read()
        assert list(records.ids) == [1, 2, 3, 4, 5]
        assert records.accounted() == (2, 1)
        for frame in (200, 0, 1):  # the file was read again
            journal.append(_inspection(frame))
        records.read()
    assert records.accounted() == (2 + 194, 1)


def test_half_a_line_waits_for_its_end(tmp_path: Path):
    path = tmp_path / "verdicts.jsonl"
    lines = Lines(path)
    lines.read()
    path.write_bytes(b'{"v":1,"id":7}\n{"v":1,"id"')
    lines.read()
    path.write_bytes(b'{"v":1,"id":7}\n{"v":1,"id":8}\n')
    lines.read()
    assert list(lines.ids) == [7, 8]


def test_latencies_belong_to_the_window_they_were_decided_in(tmp_path):
    records = Records(tmp_path)
    records.times, records.dropped = array("d", [2.5, 1.0, 1.5]), array("b", [0, 0, 1])
    records.ms = array("f", [9.0, 4.0, float("nan")])
    found = Latencies(records, [("quiet", 0.5, 2.0), ("broken", 2.0, 3.0), ("never", 5.0, 6.0)])
    assert list(found.of("quiet")) == [4.0]
    assert found.dropped["quiet"] == 1
    assert found.ratio(["broken"], "quiet") == pytest.approx((2.25, 2.25, 2.25))
    assert np.isnan(found.ratio(["never"], "quiet")[0])


def _inspection(frame: int) -> Inspection:
    return Inspection(
        device="d",
        boot="b",
        sequence=frame,
        camera="c",
        recipe="r",
        arrived=1.0,
        decided=1.0,
        frame=frame,
        verdict="good",
        code=0,
    )
