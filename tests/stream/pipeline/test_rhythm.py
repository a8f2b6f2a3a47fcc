"""Rhythm: frames are decoded when they are needed, and not before."""

import threading
import time

import pytest

from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.pipeline.rhythm import KEPT, Rhythm
from edgeseg.stream.source.base import Frame, Source

WAIT = 10.0  # seconds; a longer wait is a failure


def computed(*lasting, start=100.0):
    """A rhythm whose computations took so long, one after the other; and the time of the end."""
    rhythm, now = Rhythm(), start
    for seconds in lasting:
        rhythm.waits(now)
        rhythm.takes(now)
        now += seconds
    return rhythm, now


def test_nothing_is_known_before_the_first_computation():
    rhythm, now = computed(0.05)
    assert rhythm.until_next(now, unread=False) == 0


def test_a_frame_is_needed_after_the_shortest_of_the_last_computations():
    rhythm, now = computed(0.05, 0.04, 0.06)
    rhythm.waits(now)
    rhythm.takes(now)
    assert rhythm.until_next(now + 0.01, unread=False) == pytest.approx(0.03)
    assert rhythm.until_next(now + 0.01, unread=True) == pytest.approx(0.07)
    assert rhythm.until_next(now + 0.2, unread=False) == 0


def test_who_waits_needs_it_now():
    rhythm, now = computed(0.05, 0.05)
    rhythm.waits(now)
    assert rhythm.waiting and rhythm.until_next(now, unread=False) == 0


def test_waiting_is_no_computation():
    rhythm, now = computed(0.05, 0.05)
    for late in (0.0, 0.1, 0.2):  # nothing came, three times
        rhythm.waits(now + late)
    rhythm.takes(now + 0.3)
    assert rhythm.until_next(now + 0.3, unread=False) == pytest.approx(0.05)


def test_an_old_computation_is_forgotten():
    rhythm, now = computed(0.01, *[0.05] * KEPT)
    rhythm.waits(now)
    rhythm.takes(now)
    assert rhythm.until_next(now, unread=False) == pytest.approx(0.05)


class Decoding(Source):
    """A camera that always has a new frame and says how long it takes to decode one."""

    live = True
    work = 0.005

    def __init__(self):
        super().__init__("decoding", 30.0)
        self.reads = 0

    def read_into(self, frame):
        if self.stopping.wait(0.001):
            return False
        self.reads += 1
        frame.stamp()
        return True


@pytest.mark.parametrize("work", [0.005, 0.0])
def test_a_camera_is_read_about_once_for_each_computation(work):
    source = Decoding()
    source.work = work
    ring = Ring([Frame() for _ in range(3)], live=True)
    computations = 12
    with Capture(source, ring):
        for _ in range(computations):
            frame = ring.take(WAIT)
            time.sleep(0.04)
            ring.release(frame)
    if work:
        assert computations <= source.reads <= 8 * computations
    else:
        assert source.reads > 8 * computations, "it costs nothing to read them all"


def test_the_end_wakes_a_capture_that_rests():
    ring = Ring([Frame() for _ in range(3)], live=True)
    ring._rhythm, now = computed(1000.0, 1000.0, start=time.perf_counter() - 2000)
    ring._rhythm.waits(now)
    ring._rhythm.takes(now)
    resting = threading.Thread(target=ring.rest, args=(0.0,))
    resting.start()
    ring.close()
    resting.join(WAIT)
    assert not resting.is_alive()
