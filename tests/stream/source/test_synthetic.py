"""SyntheticCamera and the stamps in its images."""

import time

import cv2
import numpy as np
import pytest

from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.synthetic import Stamp, SyntheticCamera, draw_stamp, read_stamp

STAMP = Stamp(0x1234ABCD, 0x8899AABBCCDD)


def test_synthetic_camera_moves_and_reuses_its_buffer():
    camera = SyntheticCamera(48, 64, 1000.0)
    frame = Frame()
    assert camera.live and camera.fps == 1000.0 and camera.name == "test://64x48@1000"
    assert camera.read_into(frame)
    buffer, first = frame.image, frame.image.copy()
    assert camera.read_into(frame)
    assert frame.image is buffer
    assert frame.image.shape == (48, 64, 3)
    assert not np.array_equal(first, frame.image)
    assert frame.arrival > 0


def test_synthetic_camera_keeps_its_rate():
    camera = SyntheticCamera(8, 8, 200.0)
    stamps = []
    for _ in range(5):
        frame = Frame()
        camera.read_into(frame)
        stamps.append(frame.arrival)
    assert (stamps[-1] - stamps[0]) / 1e9 >= 0.018, "four periods of 5 ms"


def test_the_drawn_number_and_time_are_those_of_the_stream():
    camera = SyntheticCamera(96, 128, 200.0)
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
    assert min(delays) > 0, "created before the arrival"
    assert min(delays) < 0.05, "and not long before"


def stamped(height=480, width=640, channels=3, stamp=STAMP):
    image = np.full((height, width, channels), 120, np.uint8)
    draw_stamp(image, stamp)
    return image


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(480, 640, 3), (1080, 1920, 3), (96, 256, 3), (50, 130, 1), (48, 64, 3), (12, 32, 3)],
)
@pytest.mark.parametrize("stamp", [STAMP, Stamp(0, 0), Stamp(2**32 - 1, 2**48 - 1)])
def test_a_stamp_is_read_back(height, width, channels, stamp):
    assert read_stamp(stamped(height, width, channels, stamp)) == stamp


def test_the_cells_are_the_bits_in_the_order_of_the_docstring():
    image = stamped(stamp=Stamp(0x80000001, 0xC00000000000))
    rows = image[-24:, :256, 0]
    assert (rows[0:8, 0:8] == 255).all() and (rows[0:8, 248:256] == 255).all()
    assert (rows[0:8, 8:248] == 0).all()
    assert (rows[8:16, 0:16] == 255).all() and (rows[8:16, 16:] == 0).all()


@pytest.mark.parametrize("quality", [95, 30, 10])
def test_a_stamp_survives_jpeg(quality):
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    data = cv2.imencode(".jpg", stamped(), parameters)[1]
    assert read_stamp(cv2.imdecode(data, cv2.IMREAD_COLOR)) == STAMP


def test_an_image_without_a_stamp_has_none():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for image in (noise, np.zeros_like(noise), np.full_like(noise, 255), stamped()[::-1]):
        assert read_stamp(image) is None


def test_one_wrong_cell_is_detected():
    image = stamped()
    image[-24:-16, 0:8] = 255 - image[-24:-16, 0:8]
    assert read_stamp(image) is None


def test_an_image_too_small_for_a_stamp_has_none():
    image = stamped(8, 31)
    assert read_stamp(image) is None
    assert not (image == 255).any()


def test_the_delay_is_in_seconds():
    assert Stamp(0, 2_000_000).delay(2_500_000_000) == 0.5
