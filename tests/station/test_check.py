"""`edgeseg station check`: what works, what does not, and what is in use by a station that runs."""

from edgeseg.errors import GateFailed
from edgeseg.station.check import check_station
from edgeseg.station.config import read_station
from edgeseg.station.journal import FILE, Journal
from tests.kit.errors import fails
from tests.kit.stations import write_station

OUTPUT = '[[output]]\nkind = "jsonl"\npath = "verdicts.jsonl"\n'
REFUSED = '[[output]]\nkind = "webhook"\nurl = "http://127.0.0.1:9/verdicts"\n'


def station(folder, rest):
    return write_station(folder, cameras={"top": {"source": "test://64x48@20"}}, rest=rest)


def test_everything_that_works_is_told_with_what_was_found(tmp_path):
    report = check_station(station(tmp_path, OUTPUT))
    report.check()
    assert [each.what for each in report.tried] == [
        "folder",
        "recipes",
        "camera top",
        "output jsonl",
    ]
    assert "64x48" in report.summary() and "runs" not in report.summary()


def test_a_station_that_runs_is_named_as_the_reason(tmp_path):
    file = station(tmp_path, REFUSED)
    with Journal(read_station(file).folder / FILE):
        report = check_station(file)
    assert "a station runs in this folder" in report.summary()
    with fails(GateFailed, "gate/station") as caught:
        report.check()
    assert "output webhook" in caught.value.problem
    assert "end the station that runs" in caught.value.remedy
