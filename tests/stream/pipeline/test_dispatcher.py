"""Dispatcher: sinks that block, fail or end the stream; records are never lost."""

import threading

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.stream.pipeline.dispatcher import BUFFERS, Dispatcher
from edgeseg.stream.pipeline.latency import Stages
from edgeseg.stream.sink.base import FrameSink, Record, RecordSink
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from edgeseg.verdict.regions import Region
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import Collector, ListSource, RedBackend, solid_image
from tests.stream.sink.results import frame_lines

WAIT = 10.0  # seconds; a longer wait is a failure
CARD = make_card()
REGION = Region((0, 0, 1, 1), 1, 1.0, 1.0, 0.0, (0.0, 0.0), 0.5, 0.5, (0, 0))
SLOT = RedBackend(CARD).new_slot()


class Records(RecordSink):
    def __init__(self):
        self.indices = []

    def write(self, record):
        self.indices.append(record.index)


class Blocked(FrameSink):
    """Blocks in its first frame until it is released."""

    def __init__(self):
        self.entered, self.released, self.shown = threading.Event(), threading.Event(), []

    def write(self, result):
        self.shown.append(result.record.index)
        self.entered.set()
        assert self.released.wait(WAIT)
        return True


def make_dispatcher(sinks, *, live=True, limit=1000):
    return Dispatcher(sinks, CARD, Stages(), live=live, threshold=0.5, limit=limit)


def make_record(index, regions=()):
    return Record(
        index=index,
        label=None,
        arrival=0.0,
        milliseconds=1.0,
        score=0.0,
        verdict="good",
        regions=regions,
    )


def test_a_blocked_sink_does_not_stop_a_live_stream():
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
    source = Camera([solid_image(red) for red in range(40)], live=True)
    threading.Thread(target=lambda: going_on.wait(WAIT) and blocked.released.set()).start()
    report = stream(RedBackend(on_run=on_run), source, [blocked, records], StreamConfig())
    assert going_on.is_set(), "frames are computed while the sink is blocked"
    assert report.frames + report.drops == 40
    assert len(records.indices) == report.frames
    assert len(blocked.shown) + report.not_shown == report.frames


def test_frames_without_a_free_buffer_are_counted_and_their_records_kept():
    blocked, records = Blocked(), Records()
    blocked.released.set()
    dispatcher = make_dispatcher([blocked, records])
    for index in range(10):
        dispatcher.offer(make_record(index), SLOT, 0)
    dispatcher.end()
    assert dispatcher.not_shown == 10 - BUFFERS
    while dispatcher.dispatch(lambda: None, timeout=0.0):
        pass
    assert blocked.shown == [0, 1, 2]
    assert records.indices == list(range(10))


def dispatch_all(dispatcher, count):
    """Offer so many records from a thread of their own, as inference does, and dispatch them."""

    def infer():
        for index in range(count):
            dispatcher.offer(make_record(index), SLOT, 0)
        dispatcher.end()

    thread = threading.Thread(target=infer)
    thread.start()
    while dispatcher.dispatch(lambda: None, timeout=0.1):
        pass
    thread.join(WAIT)


def test_a_file_s_frames_wait_for_a_free_buffer():
    shown = Collector()
    dispatcher = make_dispatcher([shown], live=False)
    dispatch_all(dispatcher, 50)
    assert [r.index for r in shown.results] == list(range(50))
    assert dispatcher.not_shown == 0


def test_too_many_records_are_an_error_and_not_a_full_memory():
    dispatcher = make_dispatcher([Records()], limit=5)
    with fails(SinkError, "sink/too-slow"):
        for index in range(3):  # a region needs as much memory as a record
            dispatcher.offer(make_record(index, (REGION,) * 2))
    assert dispatcher.dispatch(pytest.fail, timeout=0)
    for index in range(5):
        dispatcher.offer(make_record(index), SLOT, 0)
    with fails(SinkError, "sink/too-slow"):
        dispatcher.offer(make_record(5), SLOT, 0)


def test_on_a_file_inference_waits_for_records_to_be_written():
    records = Records()
    dispatcher = make_dispatcher([records], live=False, limit=5)
    dispatch_all(dispatcher, 200)
    assert records.indices == list(range(200))


def test_close_wakes_a_waiting_offer():
    dispatcher = make_dispatcher([Collector()], live=False)
    for index in range(BUFFERS):
        dispatcher.offer(make_record(index), SLOT, 0)
    thread = threading.Thread(target=lambda: dispatcher.offer(make_record(9), SLOT, 0))
    thread.start()
    dispatcher.close()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_without_sinks_nothing_is_copied_or_kept():
    dispatcher = make_dispatcher([])
    dispatcher.offer(make_record(0), SLOT, 0)
    dispatcher.end()
    assert dispatcher.dispatch(lambda: None, timeout=0.0) is False


def test_an_idle_window_is_attended_to_and_may_end_the_stream():
    class Window(FrameSink):
        def write(self, result):
            return True

        def idle(self):
            return False

    ended = []
    dispatcher = make_dispatcher([Window()])
    assert dispatcher.dispatch(lambda: ended.append(1), timeout=0.0)
    assert ended == [1]


def test_a_failing_record_sink_does_not_affect_the_others(tmp_path):
    class Full(RecordSink):
        def write(self, record):
            if record.index == 2:
                raise SinkError("the disk is full", remedy="make room")

    shown = Collector()
    with JsonlSink(tmp_path / "l.jsonl") as lines:
        source = ListSource([solid_image()] * 500)
        report = stream(RedBackend(), source, [Full(), lines, shown], StreamConfig())
    assert len(frame_lines(tmp_path / "l.jsonl")) == len(shown.results) == 500
    assert [each.problem for each in report.errors] == ["the disk is full"]


def test_an_internal_error_in_a_sink_ends_the_threads():
    class Wrong(FrameSink):
        def write(self, result):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        source = ListSource([solid_image()] * 500)
        stream(RedBackend(), source, [Wrong()], StreamConfig())
    assert not [t for t in threading.enumerate() if t.name in ("capture", "inference", "clocks")]


def test_an_internal_error_in_a_backend_reaches_the_caller_and_closes_everything():
    contexts = []

    class Broken(RedBackend):
        def second(self):
            contexts.append(super().second())
            return contexts[-1]

        def finish(self):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        stream(Broken(), ListSource([solid_image()] * 9), [], StreamConfig())
    assert [context.closed for context in contexts] == [True, True]
    assert not [t for t in threading.enumerate() if t.name in ("capture", "inference", "clocks")]
