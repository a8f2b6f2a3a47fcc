from typing import ClassVar

import pytest

from edgeseg.station.config import read_station
from edgeseg.station.gateway import Gateway
from edgeseg.station.inspection import Code
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.link import Link, pair
from edgeseg.station.outputs.base import Deliverer, Indicator
from edgeseg.station.outputs.jsonl import JsonlSettings
from tests.kit.stations import inspection, until, write_station


class Light(Indicator):
    Settings = JsonlSettings
    shown: ClassVar[list] = []

    def show(self, state):
        lamp = state.lamps["top"]
        self.shown.append((lamp.ok, lamp.code))


class Dead(Deliverer):
    Settings = JsonlSettings
    works: ClassVar[list] = []

    def open(self):
        if not self.works:
            raise ConnectionRefusedError("refused")

    def send(self, batch):
        return batch[-1].id


@pytest.fixture
def station(tmp_path, monkeypatch):
    """A gateway with a light and a required output that is dead, and the inspector's end."""
    Light.shown, Dead.works = [], []
    kinds = {"light": f"{__name__}:Light", "dead": f"{__name__}:Dead"}
    monkeypatch.setattr("edgeseg.station.outputs.kinds.KINDS", kinds)
    monkeypatch.setattr("edgeseg.station.gateway.SILENCE", 600.0)
    monkeypatch.setattr("edgeseg.station.gateway.HOUSEKEEPING", 0.01)
    monkeypatch.setattr("edgeseg.station.workers.LONGEST_PAUSE", 0.02)
    monkeypatch.setattr("edgeseg.station.workers.FIRST_PAUSE", 0.02)
    rest = """
[[output]]
kind = "light"
path = "x"
[[output]]
kind = "dead"
path = "x"
require = true
require_s = 0.1
"""
    config = read_station(
        write_station(tmp_path, cameras={"top": {"source": "test://64x48@5"}}, rest=rest)
    )
    Journal(config.folder / FILE).close()
    ours, theirs = pair()
    with Link(ours) as inspector, Link(theirs) as link, Gateway(config, link) as gateway:
        yield gateway, inspector


def works(gateway, condition):
    """Let the gateway work until a condition is true; whether it is."""
    return until(lambda: gateway.step(0.01) or condition())


def shows(gateway, ok, code):
    """Let the gateway work until the light shows this; whether it does."""
    return works(gateway, lambda: Light.shown[-1:] == [(ok, code)])


def commands(gateway, inspector, expected):
    """Let the gateway work until the inspector gets a command; whether it does."""

    def step():
        message = inspector.receive(0) or {}
        return message.items() >= expected.items()

    return works(gateway, step)


def test_nothing_is_ok_before_the_first_verdict_and_when_the_inspector_is_silent(
    station, monkeypatch
):
    gateway, inspector = station
    assert shows(gateway, False, Code.STARTING)
    inspector.send({"inspection": inspection(1).document()})
    assert shows(gateway, True, Code.OK)
    assert set(Light.shown) == {(False, Code.STARTING), (True, Code.OK)}
    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.station.gateway.SILENCE", 0.0)
        assert shows(gateway, False, Code.STALE)
    inspector.send({"status": {}})
    assert shows(gateway, True, Code.OK)


def test_what_is_no_message_is_passed_over(station):
    gateway, inspector = station
    for message in ({"inspection": {"v": 1}}, {"inspection": []}, {"status": 3}, {"other": 1}):
        inspector.send(message)
    inspector.send({"inspection": inspection(1, code=Code.ANOMALOUS).document()})
    assert shows(gateway, False, Code.ANOMALOUS)


def test_nothing_is_ok_while_the_line_is_stopped(station):
    gateway, inspector = station
    inspector.send({"inspection": inspection(1).document()})
    inspector.send({"status": {"stopped": "door open"}})
    assert shows(gateway, False, Code.LINE_STOPPED)
    assert gateway.state.lamps["top"].reason == "line stopped: door open"
    inspector.send({"status": {"stopped": ""}})
    assert shows(gateway, True, Code.OK)


def test_a_record_is_delivered_as_soon_as_it_is_on_the_disk(station, monkeypatch):
    """It is shown before: what is delivered waits for no look into the journal by itself."""
    gateway, inspector = station
    monkeypatch.setattr("edgeseg.station.workers.IDLE", 600.0)
    Dead.works = [True]
    worker = next(each for each in gateway._workers if each.config.kind == "dead")
    assert until(lambda: worker.status()["bad_for"] == 0)
    inspector.send({"inspection": inspection(1).at(1).document()})
    assert shows(gateway, True, Code.OK)
    assert worker.done == 0
    with Journal(gateway._config.folder / FILE) as journal:
        journal.append(inspection(1))
    inspector.send({"stored": 1})
    assert works(gateway, lambda: worker.done == 1)


def test_an_inspector_that_was_started_again_has_judged_nothing_yet(station):
    gateway, inspector = station
    inspector.send({"inspection": inspection(1, boot="one").document()})
    inspector.send({"status": {"boot": "one"}})
    assert shows(gateway, True, Code.OK)
    inspector.send({"status": {"boot": "two"}})
    assert shows(gateway, False, Code.STARTING)
    inspector.send({"inspection": inspection(1, boot="two").document()})
    assert shows(gateway, True, Code.OK)


def test_an_inspector_that_was_killed_is_told_again_that_the_line_is_stopped(station):
    gateway, inspector = station
    inspector.send({"status": {"boot": "one", "stops": {"page": "door open"}}})
    inspector.send({"status": {"boot": "two", "stops": {}}})
    stop = {"command": "stop", "by": "page", "reason": "door open"}
    assert commands(gateway, inspector, stop)


def recent(gateway):
    return [each.id for each in gateway.state.recent]


def test_records_that_the_link_had_no_room_for_come_from_the_journal(station, tmp_path):
    gateway, inspector = station
    stored = []
    with Journal(gateway._config.folder / FILE) as journal:
        journal.tell(stored=stored.extend)
        for number in range(1, 9):
            journal.append(inspection(number))
    for place in (1, 5, 6):
        inspector.send({"inspection": stored[place].document()})
    assert works(gateway, lambda: recent(gateway)[-1:] == [7])
    assert recent(gateway) == [2, 3, 4, 5, 6, 7]
    inspector.send({"inspection": stored[0].document()})
    assert works(gateway, lambda: recent(gateway) == [1]), "a new journal counts from 1"


def test_a_record_that_the_link_had_no_room_for_is_shown_before_the_next_one(station):
    gateway, inspector = station
    with Journal(gateway._config.folder / FILE) as journal:
        journal.append(inspection(1))
        journal.append(inspection(2, code=Code.ANOMALOUS))
    inspector.send({"inspection": inspection(1).at(1).document()})
    assert shows(gateway, True, Code.OK)
    inspector.send({"status": {"journal": {"last": 2}}})
    assert shows(gateway, False, Code.ANOMALOUS)


def test_without_an_output_that_delivers_old_records_may_go(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.station.outputs.kinds.KINDS", {"light": f"{__name__}:Light"})
    rest = '[[output]]\nkind = "light"\npath = "x"\n'
    config = read_station(
        write_station(tmp_path, cameras={"top": {"source": "test://64x48@5"}}, rest=rest)
    )
    with Journal(config.folder / FILE) as journal:
        journal.append(inspection(1))
    ours, theirs = pair()
    with Link(ours) as inspector, Link(theirs) as link, Gateway(config, link) as gateway:
        gateway.step(0.01)
        assert inspector.receive(120.0) == {"kept": 1}


def test_a_dead_output_that_is_required_stops_the_line_until_it_works(station):
    gateway, inspector = station
    reason = "output dead: refused"
    assert commands(gateway, inspector, {"command": "stop", "by": "output dead", "reason": reason})
    Dead.works = [True]
    assert commands(gateway, inspector, {"command": "start", "by": "output dead"})


def test_a_gateway_that_was_started_again_starts_the_line_that_the_one_before_has_stopped(station):
    gateway, inspector = station
    Dead.works = [True]
    start = {"command": "start", "by": "output dead"}
    assert commands(gateway, inspector, start)
    assert gateway._stops == set()
