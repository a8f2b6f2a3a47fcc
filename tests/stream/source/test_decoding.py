"""Decoding: frames are passed over if the next one is decoded in time."""

import time

import numpy as np
import pytest

from edgeseg.stream.source import decoding as decodings
from edgeseg.stream.source.decoding import GAPS, MARGIN_SECONDS, Decoding
from tests.kit.encoded import encode, noise
from tests.kit.fake_v4l2 import FakeDriver
from tests.stream.source.v4l2.opened import lent, open_it, pictures, read

PERIOD = 0.033


def prepared(work=0.01, needed=0.0):
    """A decoding that knows the rate of its frames, and the arrival of the next."""
    decoding = Decoding()
    decoding.needed = lambda: needed
    decoding._work = work
    for number in range(GAPS):
        assert not decoding.passes_over(round((1 + number * PERIOD) * 1e9)), "the rate is unknown"
    return decoding, round((1 + GAPS * PERIOD) * 1e9)


@pytest.mark.parametrize(
    ("needed", "passed"),
    [
        (0.0, False),  # inference waits
        (PERIOD, False),
        (PERIOD + 0.0125, False),  # the next one would be a little late
        (PERIOD + 0.0125 + MARGIN_SECONDS + 0.001, True),
        (1.0, True),
    ],
)
def test_a_frame_is_passed_over_if_the_next_one_is_in_time(needed, passed):
    decoding, arrival = prepared(needed=needed)
    assert decoding.passes_over(arrival) is passed


def test_the_longest_of_the_last_gaps_counts():
    """A camera that is triggered now and then is always decoded."""
    decoding, arrival = prepared(needed=1.0)
    assert decoding.passes_over(arrival)
    assert not decoding.passes_over(arrival + 5 * 10**9)
    for number in range(GAPS):
        passed = decoding.passes_over(arrival + round((5 + (1 + number) * PERIOD) * 1e9))
    assert passed


def test_what_costs_nothing_is_never_passed_over():
    decoding, arrival = prepared(work=0.001, needed=1.0)
    assert not decoding.passes_over(arrival)


def test_the_work_is_timed():
    decoding, arrival = prepared(work=0.0, needed=1.0)
    with decoding.timed():
        time.sleep(0.01)
    assert decoding.passes_over(arrival)


@pytest.mark.parametrize("kind", ["mjpeg", "yuyv"])
def test_a_v4l2_camera_passes_frames_over(kind, monkeypatch):
    monkeypatch.setattr(decodings, "LEAST", 0.0)
    monkeypatch.setattr(decodings, "GAPS", 1)
    letters = "MJPG" if kind == "mjpeg" else "YUYV"
    data = encode(noise(), "JPEG") if kind == "mjpeg" else pictures("yuyv", 1)[0].tobytes()
    driver = FakeDriver([data] * 6, formats=(letters,))
    needs = iter([10.0, 10.0, 0.0])
    with open_it(driver, "bgr") as camera:
        (frame, _), _ = lent(camera, "bgr")
        camera.needed = lambda: next(needs)
        assert read(camera, frame).sequence == 0
        assert read(camera, frame).sequence == 3
        assert (camera.skipped, camera.driver_drops) == (2, 0)
        assert np.asarray(frame.image).std() > 10


def test_a_driver_that_writes_into_the_slots_costs_nothing(monkeypatch):
    monkeypatch.setattr(decodings, "LEAST", 0.0)
    driver = FakeDriver([pictures("yuyv", 1)[0].tobytes()] * 4)
    with open_it(driver) as camera:
        (frame, _), _ = lent(camera)
        camera.needed = lambda: 10.0
        assert [read(camera, frame).sequence for _ in range(4)] == [0, 1, 2, 3]
