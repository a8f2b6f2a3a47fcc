"""JPEGs as captures deliver them: whole, truncated, damaged, and without tables."""

import cv2
import numpy as np
import pytest

from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.mjpeg import BrokenFrame, fourcc, retrieve, take_packets
from edgeseg.verdict import BROKEN_FRAME, PARTIAL_FRAME
from tests.kit.encoded import encode, noise, overwritten, without_rows
from tests.stream.source.captures import FakeCapture

JPEG = encode(noise(), "JPEG")
BEFORE = 7  # gray of the frame before


def read(data):
    """Retrieve one JPEG into a frame that holds the frame before: (frame, its buffer)."""
    frame = Frame(image=np.full((48, 64, 3), BEFORE, np.uint8))
    buffer = frame.image
    retrieve(FakeCapture([np.frombuffer(data, np.uint8)[None]]), frame)
    return frame, buffer


def test_a_jpeg_is_decoded_into_the_given_buffer():
    frame, buffer = read(JPEG)
    assert frame.image is buffer
    np.testing.assert_array_equal(buffer, cv2.imdecode(np.frombuffer(JPEG, np.uint8), 1))


def test_a_gray_jpeg_and_one_of_another_size_are_bgr():
    frame, buffer = read(encode(np.full((24, 32), 90, np.uint8), "JPEG"))
    assert frame.image is not buffer and frame.image.shape == (24, 32, 3)
    assert (frame.image == 90).all() and (buffer == BEFORE).all()


def without_tables(data):
    """Remove the Huffman tables, as USB cameras do."""
    at = data.index(b"\xff\xc4")
    while data[at : at + 2] == b"\xff\xc4":
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    return data


def test_a_jpeg_of_a_usb_camera_is_whole():
    np.testing.assert_array_equal(read(without_tables(JPEG))[0].image, read(JPEG)[0].image)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (without_rows(JPEG), PARTIAL_FRAME),
        (JPEG[: len(JPEG) // 2], PARTIAL_FRAME),
        (b"HTTP/1.1 404 Not found", BROKEN_FRAME),
    ],
)
def test_what_is_missing_is_never_completed(data, fault):
    with pytest.raises(BrokenFrame) as caught:
        read(data)
    assert caught.value.fault == fault


def test_a_size_beyond_the_limit_is_refused_before_memory_is_allocated():
    wide = overwritten(JPEG, JPEG.index(b"\xff\xc0") + 5, b"\xff\xdc\xff\xdc")
    with pytest.raises(BrokenFrame, match="65500 x 65500"):
        read(wide)


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
