"""OpenCvConnection with replaced captures."""

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.opencv_camera import OpenCvConnection
from tests.kit.encoded import encode, noise
from tests.kit.errors import fails
from tests.stream.source.captures import FakeCapture

SIZE = (48, 64)


def unavailable():
    return SourceError("camera not found.", remedy="connect it", code="source/camera-missing")


def connect(requested, graph="bgr"):
    return OpenCvConnection(0, requested, graph, unavailable)


@pytest.mark.parametrize("address", [0, 256, "/dev/video0"])
def test_a_camera_that_opencv_does_not_open(plant, address):
    plant(FakeCapture(opened=False))
    with fails(SourceError, "source/camera-missing"):
        OpenCvConnection(address, Mode(SIZE), "bgr", unavailable)


def test_a_camera_is_asked_for_the_format_first(plant):
    capture = plant(FakeCapture(FOURCC=cv2.VideoWriter.fourcc(*"YUYV")))
    connection = connect(Mode((480, 640), 60.0, "mjpeg"))
    assert capture.calls == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
        (cv2.CAP_PROP_FPS, 60.0),
    ]
    assert connection.note == (
        "requested 640x480, 60 frames/s, mjpeg, delivers 1280x720, 30 frames/s, yuyv"
    )
    assert (connection.fps, connection.max_missing) == (30.0, 5)


def test_a_camera_is_asked_only_for_what_is_requested(plant):
    capture = plant(FakeCapture(FPS=0.0))
    connection = connect(Mode((720, 1280)))
    assert [key for key, _ in capture.calls] == [
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
    ]
    assert (connection.note, connection.fps) == ("requested 1280x720", 30.0)


class Raw(FakeCapture):
    """Converts to BGR unless that is switched off, as OpenCV does for V4L2."""

    def __init__(self, kind, letters):
        self.kind, self.converts = kind, True
        super().__init__(FOURCC=cv2.VideoWriter.fourcc(*letters))

    def set(self, key, value):
        super().set(key, value)
        self.converts &= key != cv2.CAP_PROP_CONVERT_RGB
        return True

    def grab(self):
        return True

    def retrieve(self, image):
        pixels = np.full(frame_shape("bgr" if self.converts else self.kind, *SIZE), 90, np.uint8)
        return True, pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


@pytest.mark.parametrize(
    ("kind", "letters"), [("yuyv", "YUYV"), ("uyvy", "UYVY"), ("nv12", "NV12"), ("gray", "GREY")]
)
def test_the_graph_s_own_format_is_not_converted(plant, kind, letters):
    plant(Raw(kind, letters))
    connection = connect(Mode(SIZE), kind)
    slot = np.zeros(frame_shape(kind, *SIZE), np.uint8)
    frame = Frame(slot_image=slot, slot_format=kind)
    assert connection.read_into(frame)
    assert frame.image is slot and (slot == 90).all() and frame.format == kind
    assert (connection.path, frame.writes) == (f"{kind}, copied twice by OpenCV", 2)


@pytest.mark.parametrize(("graph", "writes"), [("bgr", 2), ("gray", 3), ("rgb", 3), ("nv12", 4)])
def test_other_formats_are_converted_by_opencv_and_then_to_the_graph_s(plant, graph, writes):
    plant(Raw("yuyv", "YUYV"))
    connection = connect(Mode(SIZE), graph)
    frame = Frame(slot_image=np.zeros(frame_shape(graph, *SIZE), np.uint8), slot_format=graph)
    assert connection.read_into(frame)
    assert frame.image is frame.slot_image and frame.writes == writes
    assert connection.path == "yuyv, converted to bgr and copied by OpenCV"


def test_jpegs_are_decoded_into_the_slot(plant):
    packet = np.frombuffer(encode(noise(), "JPEG"), np.uint8)[None]
    capture = plant(FakeCapture([packet], FOURCC=cv2.VideoWriter.fourcc(*"MJPG")))
    connection = connect(Mode(SIZE))
    assert (cv2.CAP_PROP_CONVERT_RGB, 0) in capture.calls
    frame = Frame(slot_image=np.zeros((*SIZE, 3), np.uint8))
    assert connection.read_into(frame)
    assert (frame.image is frame.slot_image, frame.writes) == (True, 1)
    assert connection.path == "JPEGs, decoded into the slots"
