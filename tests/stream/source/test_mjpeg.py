"""JPEGs as captures deliver them: whole, truncated, damaged, and without tables."""

import cv2
import numpy as np
import pytest

from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.mjpeg import BrokenFrame, fourcc, retrieve, take_packets
from tests.stream.source.captures import FakeCapture

BEFORE = 7  # gray of the frame before


def photo():
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def jpeg(image=None, quality=95, **more):
    image = photo() if image is None else image
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def read(data):
    """Retrieve one JPEG into a frame that holds the frame before: (frame, its buffer)."""
    frame = Frame(image=np.full((48, 64, 3), BEFORE, np.uint8))
    buffer = frame.image
    retrieve(FakeCapture([np.frombuffer(data, np.uint8)[None]]), frame)
    return frame, buffer


def test_a_jpeg_is_decoded_into_the_given_buffer():
    data = jpeg()
    frame, buffer = read(data)
    assert frame.image is buffer
    np.testing.assert_array_equal(buffer, cv2.imdecode(np.frombuffer(data, np.uint8), 1))


def test_a_gray_jpeg_and_one_of_another_size_are_bgr():
    frame, buffer = read(jpeg(np.full((24, 32), 90, np.uint8)))
    assert frame.image is not buffer and frame.image.shape == (24, 32, 3)
    assert (frame.image == 90).all() and (buffer == BEFORE).all()


def without_tables(data):
    """Remove the Huffman tables, as USB cameras do."""
    at = data.index(b"\xff\xc4")
    while data[at : at + 2] == b"\xff\xc4":
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    return data


@pytest.mark.parametrize(
    "change",
    [
        without_tables,
        lambda data: data + bytes(500),  # the rest of the buffer of a driver
        lambda data: data[:-2] + b"\xff\xff\xff\xff\xff\xd9",  # padded to whole words
    ],
)
def test_what_cameras_send_is_whole(change):
    frame, _ = read(change(jpeg()))
    np.testing.assert_array_equal(frame.image, read(jpeg())[0].image)


def half(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "change",
    [
        half,
        lambda data: half(data) + b"\xff\xd9",
        lambda data: half(data) + bytes(len(data) // 2),
        lambda data: half(data) + bytes(len(data) // 2) + b"\xff\xd9",
        lambda data: data[:-2],
        lambda data: data[:800] + data[1200:],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: b"HTTP/1.1 404 Not found",
        lambda data: data[2:],
    ],
)
def test_what_is_missing_is_never_completed(change):
    with pytest.raises(BrokenFrame):
        read(change(jpeg()))


def test_a_size_beyond_the_limit_is_refused_before_memory_is_allocated():
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"  # 65500 x 65500
    with pytest.raises(BrokenFrame, match="65500 x 65500"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("letters", "driver", "asked"),
    [
        ("MJPG", cv2.CAP_FFMPEG, [(cv2.CAP_PROP_FORMAT, -1)]),
        ("mjpe", cv2.CAP_FFMPEG, [(cv2.CAP_PROP_FORMAT, -1)]),
        ("MJPG", cv2.CAP_V4L2, [(cv2.CAP_PROP_CONVERT_RGB, 0)]),
        ("MJPG", cv2.CAP_ANY, []),
        ("h264", cv2.CAP_FFMPEG, []),
        ("YUYV", cv2.CAP_V4L2, []),
    ],
)
def test_only_mjpeg_is_taken_as_packets(letters, driver, asked):
    capture = FakeCapture(FOURCC=cv2.VideoWriter.fourcc(*letters))
    take_packets(capture, driver)
    assert (capture.calls, fourcc(capture)) == (asked, letters)


def test_a_capture_that_has_no_image_delivers_a_broken_frame():
    class Failing(FakeCapture):
        def retrieve(self, image):
            return self.images.pop()

    for answer in ((False, None), (True, None)):
        with pytest.raises(BrokenFrame):
            retrieve(Failing([answer]), Frame())
