"""Ring and Capture: the newest frame of a live source, every frame of a file."""

import threading

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.source.base import Frame
from edgeseg.verdict.verdict import BROKEN_FRAME
from tests.kit.errors import fails
from tests.kit.fakes import ListSource, solid_image

WAIT = 10.0  # seconds; a longer wait is a failure
DEPTH = 3


def make_ring(*, live=True):
    return Ring([Frame() for _ in range(DEPTH)], live=live)


def publish(ring, red):
    frame = ring.claim()
    frame.image = solid_image(red)
    ring.publish(frame)


def test_a_live_ring_replaces_the_unread_frame_and_counts_it():
    ring = make_ring()
    publish(ring, 1)
    first = ring.take(WAIT)  # now in inference
    for red in (2, 3, 4, 5):
        publish(ring, red)
    newest = ring.take(WAIT)
    assert newest.image[0, 0, 2] == 5
    assert newest.index == 4
    assert ring.dropped == 3
    assert first.image[0, 0, 2] == 1, "a frame in inference is not reused"


def publish_broken(ring):
    frame = ring.claim()
    frame.fault = BROKEN_FRAME
    ring.publish(frame)
    frame.fault = ""


def test_a_broken_frame_holds_no_buffer_and_replaces_no_frame():
    ring = make_ring()
    publish(ring, 1)
    for _ in range(DEPTH + 2):
        publish_broken(ring)
    publish(ring, 2)
    taken = [ring.take(WAIT) for _ in range(DEPTH + 3)]
    assert [frame.fault for frame in taken] == [BROKEN_FRAME] * (DEPTH + 2) + [""]
    assert [frame.index for frame in taken] == list(range(1, DEPTH + 4))
    assert taken[-1].image[0, 0, 2] == 2
    assert (ring.dropped, ring.unread) == (1, 0)
    for frame in taken:
        ring.release(frame)
    assert len({id(ring.claim()) for _ in range(DEPTH)}) == DEPTH, "each buffer is free once"


def test_broken_frames_of_a_live_source_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("edgeseg.stream.pipeline.capture.MOST_WAITING", 5)
    ring = make_ring()
    for _ in range(20):
        publish_broken(ring)
    assert (ring.unread, ring.dropped) == (5, 15)


def test_a_queue_of_broken_frames_makes_the_reader_wait():
    source = Filling([BROKEN_FRAME] * 30)
    ring = make_ring(live=False)
    with Capture(source, ring) as capture:
        assert source.filled.wait(WAIT)
        count = 0
        while (frame := ring.take(WAIT)) is not None:
            assert ring.unread <= DEPTH
            ring.release(frame)
            count += 1
    assert (count, capture.received, ring.dropped) == (30, 30, 0)


def test_a_live_capture_never_waits_for_inference():
    ring = make_ring()
    publish(ring, 0)
    ring.take(WAIT)
    done = threading.Event()

    def capture():
        for red in range(200):
            publish(ring, red)
        done.set()

    threading.Thread(target=capture, daemon=True).start()
    assert done.wait(WAIT)
    assert ring.dropped == 199


def test_buffers_are_reused():
    ring = make_ring()
    seen = set()
    for red in range(20):
        publish(ring, red)
        frame = ring.take(WAIT)
        seen.add(id(frame))
        ring.release(frame)
    assert len(seen) <= DEPTH


class Filling(ListSource):
    """Sets an event when it has filled every buffer of a queue."""

    def __init__(self, items):
        super().__init__(items)
        self.filled = threading.Event()
        self.reads = 0

    def read_into(self, frame):
        self.reads += 1
        if self.reads == DEPTH:
            self.filled.set()
        return super().read_into(frame)


def test_a_queue_makes_the_reader_wait_and_loses_nothing():
    source = Filling([solid_image(red) for red in range(30)])
    ring = make_ring(live=False)
    with Capture(source, ring):
        assert source.filled.wait(WAIT)
        reds = []
        while (frame := ring.take(WAIT)) is not None:
            reds.append(int(frame.image[0, 0, 2]))
            ring.release(frame)
    assert reds == list(range(30))
    assert ring.dropped == 0
    assert ring.over


def test_take_returns_none_when_nothing_comes():
    ring = make_ring()
    assert ring.take(0.01) is None
    assert not ring.over


def test_an_error_is_raised_after_the_frames_before_it():
    source = ListSource([solid_image(7), SourceError("the cable broke", remedy="mend it")])
    ring = make_ring(live=False)
    with Capture(source, ring):
        frame = ring.take(WAIT)
        assert np.array_equal(frame.image, solid_image(7))
        with fails(SourceError, "source/unavailable"):
            ring.take(WAIT)
        assert not ring.over, "an error is not an end"


def test_internal_errors_in_the_thread_reach_the_main_thread():
    ring = make_ring()
    with Capture(ListSource([ZeroDivisionError("oops")]), ring):
        with pytest.raises(ZeroDivisionError, match="oops"):
            ring.take(WAIT)


def test_exit_wakes_a_reader_that_waits_for_room():
    source = Filling([solid_image(i) for i in range(DEPTH + 5)])
    capture = Capture(source, make_ring(live=False))
    with capture:
        assert source.filled.wait(WAIT)
    assert not capture._thread.is_alive()


def test_exit_wakes_a_source_that_waits():
    class Waiting(ListSource):
        def read_into(self, frame):
            return not self.stopping.wait(WAIT)

    capture = Capture(Waiting([]), make_ring())
    with capture:
        pass
    assert not capture._thread.is_alive()
