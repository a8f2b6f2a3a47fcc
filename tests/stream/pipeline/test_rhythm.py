"""Rhythm: when inference will take its next frame."""

import threading
import time

import pytest

from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.pipeline.rhythm import KEPT, Rhythm
from edgeseg.stream.source.base import Frame
from tests.kit.fakes import ListSource

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
    assert rhythm.until_next(now) == 0


def test_a_frame_is_needed_after_the_shortest_of_the_last_computations():
    rhythm, now = computed(0.05, 0.04, 0.06)
    rhythm.waits(now)
    rhythm.takes(now)
    assert rhythm.until_next(now + 0.01) == pytest.approx(0.03)
    assert rhythm.until_next(now + 0.2) == 0, "it may come at any moment"


def test_who_waits_needs_it_now():
    rhythm, now = computed(0.05, 0.05)
    rhythm.waits(now)
    assert rhythm.waiting and rhythm.until_next(now) == 0


def test_waiting_is_no_computation():
    rhythm, now = computed(0.05, 0.05)
    for late in (0.0, 0.1, 0.2):  # nothing came, three times
        rhythm.waits(now + late)
    rhythm.takes(now + 0.3)
    assert rhythm.until_next(now + 0.3) == pytest.approx(0.05)


def test_an_old_computation_is_forgotten():
    rhythm, now = computed(0.01, *[0.05] * KEPT)
    rhythm.waits(now)
    rhythm.takes(now)
    assert rhythm.until_next(now) == pytest.approx(0.05)


def test_a_ring_tells_when_it_needs_a_frame():
    ring = Ring([Frame() for _ in range(3)], live=True)
    assert ring.needed() == 0
    for _ in range(3):
        ring.publish(ring.claim())
        ring.release(ring.take(WAIT))
        time.sleep(0.05)
    ring.publish(ring.claim())
    ring.take(WAIT)
    assert ring.needed() > 0
    waiting = threading.Thread(target=ring.take, args=(0.5,))
    waiting.start()
    time.sleep(0.1)
    assert ring.needed() == 0, "it waits for one"
    ring.close()
    waiting.join(WAIT)


@pytest.mark.parametrize(("live", "period"), [(True, None), (True, 1.0), (False, None)])
def test_a_live_source_is_told_unless_a_trigger_chooses(live, period):
    source, ring = ListSource([], live=live), Ring([Frame()], live=live)
    Capture(source, ring, period=period)
    assert (source.needed == ring.needed) is (live and period is None)
