from dataclasses import replace

import pytest

from edgeseg.station.inspection import Code
from edgeseg.station.outputs.base import Lamp, StationState
from edgeseg.station.outputs.signals import NO_RESULT, CameraSignals
from tests.kit.plc import Line


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def line(tmp_path):
    return Line(tmp_path)


@pytest.fixture
def top(line, clock):
    signals = CameraSignals("top", "plc", line.commands.append, answer_s=5.0, now=clock)
    line.verdicts = []
    line.show = lambda state: line.verdicts.extend(signals.follow(state))
    return signals


def test_nothing_is_ok_before_the_first_state_and_the_first_verdict(top, line):
    assert (top.newest().ok, top.newest().code, top.newest().ready) == (False, Code.STARTING, False)
    line.change()
    assert (top.newest().ok, top.newest().code, top.newest().ready) == (False, Code.STARTING, True)


def test_each_verdict_of_the_camera_comes_once_and_is_counted(top, line):
    line.change()
    first = line.judge()
    line.judge("side", Code.ANOMALOUS)
    line.show = lambda state: None
    line.judge(code=Code.ANOMALOUS)
    line.judge(code=Code.UNKNOWN)
    line.show = lambda state: line.verdicts.extend(top.follow(state))
    line.change()
    assert [each.inspection.id for each in line.verdicts] == [first.id, 3, 4]
    assert [each.code for each in line.verdicts] == [Code.OK, Code.ANOMALOUS, Code.UNKNOWN]
    assert [each.ok for each in line.verdicts] == [True, False, False]
    assert [each.count for each in line.verdicts] == [1, 2, 3]
    assert (top.newest().code, top.newest().count) == (Code.UNKNOWN, 3)


def test_what_was_judged_before_the_output_began_is_no_news(top, line):
    show, line.show = line.show, lambda state: None
    line.judge()
    line.show = show
    line.change()
    assert line.verdicts == []
    assert (top.newest().ok, top.newest().count) == (True, 0)


def test_a_new_journal_is_followed(top, line):
    line.change()
    line.judge()
    line.judge()
    line.change(recent=(line.state.recent[0],))
    line.change(recent=(replace(line.state.recent[0], boot="b2"),))
    assert [each.inspection.id for each in line.verdicts] == [1, 2, 1, 1]


def test_an_old_state_is_not_ok(top, line, clock):
    line.change()
    line.judge()
    assert top.newest().ok
    clock.now += 2.5
    newest = top.newest()
    assert (newest.ok, newest.code, newest.ready, newest.alive) == (False, Code.STALE, False, False)
    line.change()
    assert top.newest().ok


def test_the_heartbeat_counts_while_the_station_answers(top, line):
    line.change()
    beats = [top.newest().heartbeat]
    line.change()
    beats.append(top.newest().heartbeat)
    top.follow(line.state)
    beats.append(top.newest().heartbeat)
    assert beats[1] == beats[0] + 1 == beats[2]


def test_a_stopped_line_is_not_ready(top, line):
    line.change()
    line.judge()
    line.stop("door open")
    newest = top.newest()
    assert (newest.ok, newest.code, newest.ready) == (False, Code.LINE_STOPPED, False)
    assert newest.inspection.id == 1
    line.change()
    assert top.stopped().code == Code.LINE_STOPPED


def handshake(top):
    newest = top.newest()
    return newest.ready, newest.busy, newest.done, newest.result


def test_a_trigger_is_busy_until_its_own_frame_is_judged(top, line):
    line.change()
    assert handshake(top) == (True, False, False, NO_RESULT)
    assert top.trigger("4711")
    command = line.commands[-1]
    assert (command["command"], command["camera"]) == ("trigger", "top")
    assert (command["part"], command["by"]) == ("4711", "plc")
    assert handshake(top) == (False, True, False, NO_RESULT)
    assert not top.trigger(), "one at a time"
    number = line.answer()
    line.judge("side", trigger=number)
    line.judge(trigger=number + 1)
    assert handshake(top) == (False, True, False, NO_RESULT)
    line.judge(trigger=number, code=Code.ANOMALOUS)
    assert handshake(top) == (True, False, True, Code.ANOMALOUS)
    top.release()
    assert handshake(top) == (True, False, False, Code.ANOMALOUS)


def test_a_verdict_that_overtakes_the_answer_counts_too(top, line):
    line.change()
    top.trigger()
    line.judge(trigger=1)
    assert handshake(top)[1:] == (True, False, NO_RESULT)
    line.answer()
    assert handshake(top) == (True, False, True, Code.OK)


def test_an_old_frame_with_the_number_of_the_trigger_is_no_answer(top, line):
    line.change()
    line.judge(trigger=1)
    top.trigger()
    line.answer()
    assert handshake(top)[1:] == (True, False, NO_RESULT)


def test_every_trigger_is_answered(top, line, clock):
    line.change()
    top.trigger()
    line.answer("camera top takes no triggers by program")
    assert handshake(top)[1:] == (False, True, Code.LATE)
    top.trigger()
    clock.now += 1.9
    line.change()
    clock.now += 1.9
    line.change()
    clock.now += 1.9
    top.settle()
    assert handshake(top)[1:] == (False, True, Code.LATE)
    line.change(alive=False, lamps={"top": Lamp(code=Code.STALE)})
    top.trigger()
    assert handshake(top) == (False, False, True, Code.STALE)


def test_a_camera_that_is_lost_is_not_ready(top, line):
    cameras = {"top": {"state": "lost"}}
    line.change(status={**line.state.status, "cameras": cameras})
    assert not top.newest().ready


def test_what_was_acknowledged_waits_no_more(top, line):
    line.change()
    for _ in range(3):
        line.judge()
    assert top.newest().waiting == 3
    assert top.acknowledge(2)
    assert top.newest().waiting == 1
    assert not top.acknowledge(1), "that was acknowledged before"
    assert not top.acknowledge(4), "that is not there yet"
    assert top.newest().waiting == 1


def test_commands_name_who_gave_them(top, line):
    top.choose_recipe("caps")
    top.name_part("17")
    top.stop("door")
    top.start()
    assert line.commands == [
        {"command": "recipe", "camera": "top", "by": "plc", "recipe": "caps"},
        {"command": "part", "camera": "top", "by": "plc", "part": "17"},
        {"command": "stop", "by": "plc", "reason": "door"},
        {"command": "start", "by": "plc"},
    ]


def test_a_station_without_a_status_is_followed(top):
    assert top.follow(StationState(alive=True)) == []
    assert not top.newest().ready
