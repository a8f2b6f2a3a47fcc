"""JPEGs as captures deliver them: whole, truncated, damaged, and without tables."""

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import write_frame
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.mjpeg import BrokenFrame, decode_jpeg_frame, fourcc, take_packets
from edgeseg.verdict.verdict import BROKEN_FRAME, PARTIAL_FRAME
from tests.kit.encoded import encode, noise, overwritten, smooth, without_rows
from tests.stream.source.captures import FakeCapture

JPEG = encode(noise(), "JPEG")
BEFORE = 7  # gray of the frame before


def read(data, kind="bgr", size=(48, 64)):
    """Decode one JPEG into a frame whose slot holds the frame before: (frame, its slot)."""
    slot = np.full(frame_shape(kind, *size), BEFORE, np.uint8)
    frame = Frame(slot_image=slot, slot_format=kind)
    decode_jpeg_frame(data, frame)
    return frame, slot


def test_a_jpeg_is_decoded_into_the_slot():
    frame, slot = read(JPEG)
    assert frame.image is slot
    np.testing.assert_array_equal(slot, cv2.imdecode(np.frombuffer(JPEG, np.uint8), 1))


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_a_jpeg_becomes_what_the_slot_takes(kind):
    picture = smooth()
    frame, slot = read(encode(picture, "JPEG", quality=95), kind)
    assert frame.image is slot and frame.format == kind
    expected = np.empty_like(slot)
    write_frame(picture, "rgb", expected, kind)
    assert np.abs(slot.astype(int) - expected).mean() < 3


def test_a_gray_jpeg_and_one_of_another_size_keep_the_slot_as_it_is():
    frame, slot = read(encode(np.full((24, 32), 90, np.uint8), "JPEG"))
    assert frame.image is not slot and frame.image.shape == (24, 32, 3)
    assert (frame.image == 90).all() and (slot == BEFORE).all()
    assert frame.format == "bgr" and frame.sent_size == (24, 32)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size():
    frame, _ = read(encode(np.full((768, 1024), 90, np.uint8), "JPEG"), "gray")
    assert frame.image.shape == (384, 512, 1) and (frame.image == 90).all()
    assert frame.sent_size == (768, 1024)


def test_one_field_of_an_interlaced_video_is_a_partial_frame():
    with pytest.raises(BrokenFrame, match="64x48, expected 64x96") as caught:
        decode_jpeg_frame(JPEG, Frame(), (96, 64))
    assert caught.value.fault == PARTIAL_FRAME


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
