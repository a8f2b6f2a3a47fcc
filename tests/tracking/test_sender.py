"""The thread of a tracker: nothing that the other side does reaches the training."""

import threading
import time

import numpy as np
import pytest

from edgeseg.tracking import sender as sender_module
from edgeseg.tracking.sender import Sender
from edgeseg.tracking.tracker import Beginning, NotRecorded, Scalars, Snapshot

BEGINNING = Beginning(name="plates", settings={"seed": "0"})


class Recorder:
    """A tracker that fails as it is told: call number -> exception."""

    def __init__(self, failures=(), *, gate=None):
        self.failures, self.gate = dict(failures), gate
        self.calls, self.events, self.closed = 0, [], None

    def open(self, beginning):
        self.beginning = beginning
        self._call()

    def send(self, events):
        self._call()
        self.events += events

    def close(self, complete):
        self._call()
        self.closed = complete

    def _call(self):
        self.calls += 1
        if self.gate is not None:
            self.gate.wait(30)
        if self.calls in self.failures:
            raise self.failures[self.calls]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sender_module, "INTERVAL", 0.01)
    monkeypatch.setattr(sender_module, "LONGEST_PAUSE", 0.05)


def send(tracker, count=1000, *, drain=30.0):
    """Track steps; the tracker answers when all of them wait, so its calls are known."""
    gate = threading.Event()
    tracker.gate = tracker.gate or gate
    sender = Sender("tracker", tracker, BEGINNING)
    for step in range(count):
        sender.put(Scalars(step, {"student/loss": 1 / (1 + step)}))
    gate.set()
    sender.finish(True, time.monotonic() + drain)
    sender.join()
    return sender


def test_everything_arrives_in_order_and_in_batches(said):
    tracker = Recorder()
    send(tracker)
    assert [event.step for event in tracker.events] == list(range(1000))
    assert tracker.beginning == BEGINNING and tracker.closed is True
    assert tracker.calls == 6, "open, four batches of 300, close"
    assert said == []


def test_a_failure_is_told_once_and_what_waits_is_sent_again(said):
    tracker = Recorder(dict.fromkeys((1, 3, 4, 5), OSError("connection refused")))
    send(tracker)
    assert {event.step for event in tracker.events} == set(range(1000))
    assert tracker.closed is True
    assert said == [
        "tracker: connection refused; the training goes on",
        "tracker: all was recorded after all",
    ]


def test_a_tracker_that_never_answers_costs_its_deadline_and_is_told_with_the_loss(said):
    gate = threading.Event()
    send(Recorder(gate=gate), 500, drain=0.2)
    assert said == [
        "tracker: 500 of 500 steps and 0 of 0 pictures were not recorded (no answer in time); the "
        "run directory has them"
    ]
    gate.set()  # what the thread does afterwards is not counted and not told
    for thread in threading.enumerate():
        if thread.name == "track tracker":
            thread.join(10)
    assert len(said) == 1


def test_what_finds_no_room_is_lost_and_counted(said, monkeypatch):
    monkeypatch.setattr(sender_module, "MOST_EVENTS", 100)
    gate = threading.Event()
    tracker = Recorder(gate=gate)
    sender = Sender("tracker", tracker, BEGINNING)
    for step in range(150):
        sender.put(Scalars(step, {"student/loss": 1.0}))
    gate.set()
    sender.finish(False, time.monotonic() + 30)
    sender.join()
    assert [event.step for event in tracker.events] == list(range(100))
    assert tracker.closed is False, "a training that did not end"
    assert said == [
        "tracker: 50 of 150 steps and 0 of 0 pictures were not recorded (no answer in time); the "
        "run directory has them"
    ]


def test_pictures_have_a_bound_of_their_own(monkeypatch):
    monkeypatch.setattr(sender_module, "MOST_SNAPSHOTS", 2)
    gate = threading.Event()
    tracker = Recorder(gate=gate)
    sender = Sender("tracker", tracker, BEGINNING)
    for step in range(3):
        sender.put(Snapshot(step, "maps", np.zeros((2, 2, 3), np.uint8)))
    gate.set()
    sender.finish(True, time.monotonic() + 30)
    sender.join()
    assert [event.step for event in tracker.events] == [0, 1]


def test_pictures_that_find_no_place_do_not_keep_values_and_the_end_from_the_server(said):
    class Full(Recorder):
        def send(self, events):
            if isinstance(events[0], Snapshot):
                raise OSError("no place for pictures")
            super().send(events)

    tracker = Full()
    sender = Sender("tracker", tracker, BEGINNING)
    for step in range(1000):
        if step % 400 == 0:
            sender.put(Snapshot(step, "maps", np.zeros((2, 2, 3), np.uint8)))
        sender.put(Scalars(step, {"student/loss": 1.0}))
    sender.finish(True, time.monotonic() + 30)
    sender.join()
    assert [event.step for event in tracker.events] == list(range(1000))
    assert tracker.closed is True
    assert said[-1].startswith("tracker: 0 of 1000 steps and 3 of 3 pictures were not recorded")


def test_a_batch_that_is_refused_is_not_sent_for_ever(said):
    tracker = Recorder({2: NotRecorded("name too long: http://user:secret@host/x")})
    send(tracker, 700)
    assert tracker.closed is True and tracker.events[-1].step == 699
    assert len(said) == 2 and "secret" not in "".join(said)
    assert "of 700 steps" in said[1]


def test_the_cause_at_the_end_of_a_long_error_is_told(said):
    long = "API request to http://host failed: " + "Max retries exceeded, " * 20
    send(Recorder({1: OSError(f"{long} (Caused by [Errno 111] Connection refused)")}), 10)
    assert said[0].startswith("tracker: API request") and len(said[0]) < 300
    assert "[Errno 111] Connection refused); the training goes on" in said[0]


def test_a_server_that_forgets_what_it_acknowledged_is_told(said):
    send(Recorder({3: NotRecorded("the server does not return what it acknowledged")}), 10)
    assert said == ["tracker: the server does not return what it acknowledged"]
