"""Sinks that block, fail and want no more: inference goes on, records are never lost."""

import threading

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.stream.pipeline.dispatcher import PICTURES, Outlet
from edgeseg.stream.pipeline.results import Record
from edgeseg.stream.pipeline.stages import Stages
from edgeseg.stream.sink.sinks import JsonlSink, RecordSink, Sink
from edgeseg.stream.stream import stream
from tests.kit.cards import make_card
from tests.kit.fakes import Collector, ListSource, RedBackend, picture

WAIT = 10.0  # seconds; a test that waits so long has failed
CARD = make_card()
SLOT = RedBackend(CARD).new_slot()


class Records(RecordSink):
    def __init__(self):
        self.indices = []

    def write(self, record):
        self.indices.append(record.index)


class Blocked(Sink):
    """Blocks in its first picture until it is let go."""

    def __init__(self):
        self.entered, self.released, self.shown = threading.Event(), threading.Event(), []

    def write(self, result):
        self.shown.append(result.record.index)
        self.entered.set()
        assert self.released.wait(WAIT)
        return True


def make_outlet(sinks, *, live=True, limit=1000):
    return Outlet(sinks, CARD, Stages(), live=live, threshold=0.5, limit=limit)


def make_record(index):
    return Record(
        index=index,
        label=None,
        arrival=0.0,
        milliseconds=1.0,
        score=0.0,
        anomalous=False,
        verdict="good",
    )


def test_a_blocked_sink_stops_no_live_stream_and_costs_no_frame():
    blocked, records = Blocked(), Records()

    class Camera(ListSource):
        def read_into(self, frame):
            more = super().read_into(frame)
            if more and frame.image[0, 0, 2] == 1:
                assert blocked.entered.wait(WAIT)  # the others come while the sink is blocked
            return more

    def on_run(count):
        computed.append(count)
        if len(computed) == 3 + 2:  # warm-up, the first frame, and one after it
            going_on.set()

    computed, going_on = [], threading.Event()
    source = Camera([picture(red) for red in range(40)], live=True)
    threading.Thread(target=lambda: going_on.wait(WAIT) and blocked.released.set()).start()
    report = stream(RedBackend(on_run=on_run), source, [blocked, records], StreamConfig())
    assert going_on.is_set(), "frames are computed while the sink is blocked"
    assert report.frames + report.drops == 40
    assert len(records.indices) == report.frames
    assert len(blocked.shown) + report.unshown == report.frames


def test_pictures_without_room_are_counted_and_their_records_kept():
    blocked, records = Blocked(), Records()
    blocked.released.set()
    outlet = make_outlet([blocked, records])
    for index in range(10):
        outlet.offer(make_record(index), SLOT, 0)
    outlet.end()
    assert outlet.unshown == 10 - PICTURES
    while outlet.serve(lambda: None, timeout=0.0):
        pass
    assert blocked.shown == [0, 1, 2]
    assert records.indices == list(range(10))


def test_a_file_s_pictures_wait_for_room():
    shown = Collector()
    outlet = make_outlet([shown], live=False)

    def infer():
        for index in range(50):
            outlet.offer(make_record(index), SLOT, 0)
        outlet.end()

    thread = threading.Thread(target=infer)
    thread.start()
    while outlet.serve(lambda: None, timeout=0.1):
        pass
    thread.join(WAIT)
    assert [r.index for r in shown.results] == list(range(50))
    assert outlet.unshown == 0


def test_too_many_records_are_an_error_and_not_a_full_memory():
    outlet = make_outlet([Records()], limit=5)
    for index in range(5):
        outlet.offer(make_record(index), SLOT, 0)
    with pytest.raises(SinkError, match="5 results wait to be written"):
        outlet.offer(make_record(5), SLOT, 0)


def test_on_a_file_inference_waits_for_records_to_be_written():
    records = Records()
    outlet = make_outlet([records], live=False, limit=5)

    def infer():
        for index in range(200):
            outlet.offer(make_record(index), SLOT, 0)
        outlet.end()

    thread = threading.Thread(target=infer)
    thread.start()
    while outlet.serve(lambda: None, timeout=0.1):
        pass
    thread.join(WAIT)
    assert records.indices == list(range(200))


def test_closing_frees_whoever_waits_for_room():
    outlet = make_outlet([Collector()], live=False)
    for index in range(PICTURES):
        outlet.offer(make_record(index), SLOT, 0)
    thread = threading.Thread(target=lambda: outlet.offer(make_record(9), SLOT, 0))
    thread.start()
    outlet.close()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_without_sinks_nothing_is_copied_or_kept():
    outlet = make_outlet([])
    outlet.offer(make_record(0), SLOT, 0)
    outlet.end()
    assert outlet.serve(lambda: None, timeout=0.0) is False


def test_an_idle_window_is_attended_to_and_may_end_the_stream():
    class Window(Sink):
        def write(self, result):
            return True

        def idle(self):
            return False

    ended = []
    outlet = make_outlet([Window()])
    assert outlet.serve(lambda: ended.append(1), timeout=0.0)
    assert ended == [1]


def test_a_failing_record_sink_spares_the_pictures_and_is_raised(tmp_path):
    class Full(RecordSink):
        def write(self, record):
            if record.index == 2:
                raise SinkError("the disk is full", remedy="make room")

    shown = Collector()
    with JsonlSink(tmp_path / "l.jsonl") as lines, pytest.raises(SinkError, match="disk is full"):
        source = ListSource([picture()] * 500)
        stream(RedBackend(), source, [Full(), lines, shown], StreamConfig())
    assert len((tmp_path / "l.jsonl").read_text().splitlines()) == len(shown.results)


def test_our_own_mistake_in_a_sink_ends_the_threads():
    class Wrong(Sink):
        def write(self, result):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        source = ListSource([picture()] * 500)
        stream(RedBackend(), source, [Wrong()], StreamConfig())
    assert not [t for t in threading.enumerate() if t.name in ("capture", "inference", "clocks")]


def test_our_own_mistake_in_a_backend_reaches_the_caller_and_frees_everything():
    twins = []

    class Broken(RedBackend):
        def second(self):
            twins.append(super().second())
            return twins[-1]

        def finish(self):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        stream(Broken(), ListSource([picture()] * 9), [], StreamConfig())
    assert [twin.closed for twin in twins] == [True, True]
    assert not [t for t in threading.enumerate() if t.name in ("capture", "inference", "clocks")]
