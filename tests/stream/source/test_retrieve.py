"""Frames of a replaced cv2.VideoCapture reach the slot, whatever their format and size."""

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.mjpeg import BrokenFrame
from edgeseg.stream.source.retrieve import Retriever
from tests.kit.encoded import encode, noise
from tests.stream.source.captures import FakeCapture

SIZE = (48, 64)


def random(kind, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, frame_shape(kind, *size), np.uint8)


def slotted(kind, size=SIZE):
    return Frame(slot_image=np.zeros(frame_shape(kind, *size), np.uint8), slot_format=kind)


def as_opencv(frame):
    """OpenCV has no third axis for one channel."""
    return frame[:, :, 0] if frame.shape[2] == 1 else frame


@pytest.mark.parametrize("target", PIXEL_FORMATS)
@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_frames_of_the_slot_s_size_are_in_the_slot(kind, target):
    sent = [random(kind, seed=seed) for seed in range(3)]
    retriever = Retriever(FakeCapture(map(as_opencv, sent)), kind, writes=2)
    frame = slotted(target)
    for pixels in sent:
        retriever.read_into(frame)
        assert frame.image is frame.slot_image and frame.format == target
        if kind == target:
            np.testing.assert_array_equal(frame.image, pixels)
        elif target == "bgr":
            np.testing.assert_array_equal(frame.image, to_bgr(pixels, kind))


@pytest.mark.parametrize("kind", ["yuyv", "uyvy", "nv12"])
def test_a_row_that_ends_in_half_a_pair_of_pixels_is_broken(kind):
    pixels = np.zeros(PIXEL_FORMATS[kind].shape(48, 63), np.uint8)
    with pytest.raises(BrokenFrame, match=rf"no {kind} image, but uint8 \[{len(pixels)}, 63"):
        Retriever(FakeCapture([as_opencv(pixels)]), kind, writes=1).read_into(slotted("bgr"))


def test_the_second_frame_is_written_by_opencv_itself():
    """OpenCV is given the slot's buffer once the size is known."""
    frame = slotted("yuyv")
    capture = FakeCapture([random("yuyv"), random("yuyv", seed=1)])
    given = []
    retrieve = capture.retrieve
    capture.retrieve = lambda image: given.append(image) or retrieve(image)
    retriever = Retriever(capture, "yuyv", writes=2)
    retriever.read_into(frame)
    retriever.read_into(frame)
    assert given[1] is frame.slot_image


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_frames_of_another_size_are_left_as_they_are(kind):
    sent = [random(kind, (24, 32), seed=seed) for seed in range(2)]
    retriever = Retriever(FakeCapture(map(as_opencv, sent)), kind, writes=2)
    frame = slotted("bgr")
    for pixels in sent:
        retriever.read_into(frame)
        assert frame.format == kind and not frame.slot_image.any()
        np.testing.assert_array_equal(frame.image, pixels)


def test_a_size_that_changes_is_followed():
    sent = [random("gray"), random("gray", (24, 32)), random("gray", seed=2)]
    retriever = Retriever(FakeCapture(map(as_opencv, sent)), "gray", writes=2)
    frame = slotted("gray")
    for pixels in sent:
        retriever.read_into(frame)
        np.testing.assert_array_equal(frame.image, pixels)


def test_jpegs_are_decoded_into_the_slot():
    jpeg = encode(noise(), "JPEG")
    packet = np.frombuffer(jpeg, np.uint8)[None]
    retriever = Retriever(FakeCapture([packet, packet]), writes=2)
    frame = slotted("bgr")
    for _ in range(2):
        retriever.read_into(frame)
        assert frame.image is frame.slot_image
        np.testing.assert_array_equal(frame.image, cv2.imdecode(packet, 1))


@pytest.mark.parametrize(
    ("kind", "image"),
    [
        ("bgr", np.zeros((4, 4), np.uint8)),
        ("bgr", np.zeros((4, 4, 3), np.uint16)),
        ("gray", np.zeros((4, 4, 3), np.uint8)),
        ("yuyv", np.zeros((4, 4), np.uint8)),
        ("nv12", np.zeros((4, 4), np.uint8)),
    ],
)
def test_what_is_of_another_format_is_broken(kind, image):
    with pytest.raises(BrokenFrame, match=f"no {kind} image"):
        Retriever(FakeCapture([image]), kind, writes=2).read_into(slotted("bgr"))


def test_a_capture_that_has_no_image_delivers_a_broken_frame():
    class Failing(FakeCapture):
        def retrieve(self, image):
            return self.images.pop()

    for answer in ((False, None), (True, None)):
        with pytest.raises(BrokenFrame):
            Retriever(Failing([answer]), writes=2).read_into(Frame())
