"""The camera of software: it keeps its pace, and its pictures say when they were made."""

import time

import numpy as np

from edgeseg.stream.pipeline.capture import Capture
from edgeseg.stream.pipeline.ring import Frame, Ring
from edgeseg.stream.source.stamps import read_stamp
from edgeseg.stream.source.synthetic import SoftwareCamera


def test_it_moves_and_reuses_its_buffer():
    camera = SoftwareCamera(48, 64, 1000.0)
    frame = Frame()
    assert camera.live and camera.fps == 1000.0 and camera.name == "test://64x48@1000"
    assert camera.read_into(frame)
    buffer, first = frame.image, frame.image.copy()
    assert camera.read_into(frame)
    assert frame.image is buffer
    assert frame.image.shape == (48, 64, 3)
    assert not np.array_equal(first, frame.image)
    assert frame.arrival > 0


def test_it_keeps_its_pace():
    camera = SoftwareCamera(8, 8, 200.0)
    stamps = []
    for _ in range(5):
        frame = Frame()
        camera.read_into(frame)
        stamps.append(frame.arrival)
    assert (stamps[-1] - stamps[0]) / 1e9 >= 0.018, "four periods of 5 ms"


def test_the_drawn_number_and_time_are_those_of_the_stream():
    camera = SoftwareCamera(96, 128, 200.0)
    before, delays = time.perf_counter_ns(), []
    ring = Ring([Frame() for _ in range(3)], live=True)
    with Capture(camera, ring):
        for _ in range(5):
            while (frame := ring.take(1.0)) is None:
                pass
            stamp = read_stamp(frame.image)
            assert stamp.count == frame.index
            assert stamp.microseconds * 1000 >= before // 1000 * 1000
            delays.append(stamp.delay(frame.arrival))
            ring.release(frame)
    assert min(delays) > 0, "a picture is made before it arrives"
    assert min(delays) < 0.05, "and not long before"
