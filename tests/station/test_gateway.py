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
    monkeypatch.setattr("edgeseg.station.gateway.SILENCE", 0.3)
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


def told(gateway, inspector, seconds=0.2):
    """Let the gateway work; return the commands that the inspector got."""
    commands = []

    def step():
        gateway.step(0.01)
        message = inspector.receive(0)
        if message and "command" in message:
            commands.append(message)
        return False

    until(step, seconds)
    return commands


def test_nothing_is_ok_before_the_first_verdict_and_when_the_inspector_is_silent(station):
    gateway, inspector = station
    told(gateway, inspector)
    assert set(Light.shown) == {(False, Code.STARTING)}
    inspector.send({"inspection": inspection(1).document()})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (True, Code.OK)
    told(gateway, inspector, 0.5)
    assert Light.shown[-1] == (False, Code.STALE)
    inspector.send({"status": {}})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (True, Code.OK)


def test_what_is_no_message_is_passed_over(station):
    gateway, inspector = station
    for message in ({"inspection": {"v": 1}}, {"inspection": []}, {"status": 3}, {"other": 1}):
        inspector.send(message)
    inspector.send({"inspection": inspection(1, code=Code.ANOMALOUS).document()})
    told(gateway, inspector)
    assert Light.shown[-1] == (False, Code.ANOMALOUS)


def test_nothing_is_ok_while_the_line_is_stopped(station):
    gateway, inspector = station
    inspector.send({"inspection": inspection(1).document()})
    inspector.send({"status": {"stopped": "door open"}})
    told(gateway, inspector)
    assert Light.shown[-1] == (False, Code.LINE_STOPPED)
    assert gateway.state.lamps["top"].reason == "line stopped: door open"
    inspector.send({"status": {"stopped": ""}})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (True, Code.OK)


def test_a_record_is_delivered_as_soon_as_it_is_on_the_disk(station, monkeypatch):
    """It is shown before: what is delivered waits for no look into the journal by itself."""
    gateway, inspector = station
    monkeypatch.setattr("edgeseg.station.workers.IDLE", 60.0)
    Dead.works = [True]
    worker = next(each for each in gateway._workers if each.config.kind == "dead")
    assert until(lambda: worker.status()["bad_for"] == 0)
    inspector.send({"inspection": inspection(1).at(1).document()})
    told(gateway, inspector)
    assert Light.shown[-1] == (True, Code.OK)
    assert worker.done == 0
    with Journal(gateway._config.folder / FILE) as journal:
        journal.append(inspection(1))
    inspector.send({"stored": 1})
    told(gateway, inspector)
    assert worker.done == 1


def test_an_inspector_that_was_started_again_has_judged_nothing_yet(station):
    gateway, inspector = station
    inspector.send({"inspection": inspection(1, boot="one").document()})
    inspector.send({"status": {"boot": "one"}})
    told(gateway, inspector)
    assert Light.shown[-1] == (True, Code.OK)
    inspector.send({"status": {"boot": "two"}})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (False, Code.STARTING)
    inspector.send({"inspection": inspection(1, boot="two").document()})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (True, Code.OK)


def test_an_inspector_that_was_killed_is_told_again_that_the_line_is_stopped(station):
    gateway, inspector = station
    inspector.send({"status": {"boot": "one", "stops": {"page": "door open"}}})
    told(gateway, inspector, 0.05)
    inspector.send({"status": {"boot": "two", "stops": {}}})
    stop = {"command": "stop", "by": "page", "reason": "door open"}
    assert stop in told(gateway, inspector)


def test_records_that_the_link_had_no_room_for_come_from_the_journal(station, tmp_path):
    gateway, inspector = station
    stored = []
    with Journal(gateway._config.folder / FILE) as journal:
        journal.tell(stored=stored.extend)
        for number in range(1, 9):
            journal.append(inspection(number))
    for place in (1, 5, 6):
        inspector.send({"inspection": stored[place].document()})
    told(gateway, inspector)
    assert [each.id for each in gateway.state.recent] == [2, 3, 4, 5, 6, 7]
    inspector.send({"inspection": stored[0].document()})
    told(gateway, inspector, 0.1)
    assert [each.id for each in gateway.state.recent] == [1], "a new journal counts from 1"


def test_a_record_that_the_link_had_no_room_for_is_shown_before_the_next_one(station):
    gateway, inspector = station
    with Journal(gateway._config.folder / FILE) as journal:
        journal.append(inspection(1))
        journal.append(inspection(2, code=Code.ANOMALOUS))
    inspector.send({"inspection": inspection(1).at(1).document()})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (True, Code.OK)
    inspector.send({"status": {"journal": {"last": 2}}})
    told(gateway, inspector, 0.1)
    assert Light.shown[-1] == (False, Code.ANOMALOUS)


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
        assert inspector.receive(1.0) == {"kept": 1}


def test_a_dead_output_that_is_required_stops_the_line_until_it_works(station):
    gateway, inspector = station
    commands = until(lambda: told(gateway, inspector, 0.3))
    assert {(each["command"], each["by"]) for each in commands} == {("stop", "output dead")}
    assert "refused" in commands[-1]["reason"]
    Dead.works = [True]
    start = {"command": "start", "by": "output dead"}
    assert until(lambda: told(gateway, inspector)[-1:] == [start])


def test_a_gateway_that_was_started_again_starts_the_line_that_the_one_before_has_stopped(station):
    gateway, inspector = station
    Dead.works = [True]
    start = {"command": "start", "by": "output dead"}
    assert until(lambda: told(gateway, inspector)[-1:] == [start])
    assert told(gateway, inspector) == []
