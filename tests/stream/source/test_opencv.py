"""Connections through OpenCV, with planted captures in place of cameras."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.source import opencv as devices
from edgeseg.stream.source.mode import Mode
from edgeseg.stream.source.opencv import (
    FFMPEG_OPTIONS,
    CaptureDevice,
    NetworkDevice,
    OpenCVDevice,
    PipelineDevice,
)
from tests.kit.fakes import picture


class FakeCapture:
    """cv2.VideoCapture of a camera that has one mode and delivers what it is given."""

    def __init__(self, images=(), opened=True, **has):
        self.images, self.opened = list(images), opened
        self.has = {"WIDTH": 1280, "HEIGHT": 720, "FPS": 30.0, "FOURCC": 0, "COUNT": -1} | has
        self.calls = []
        self.options = None

    def __call__(self, *arguments):
        self.arguments, self.options = arguments, os.environ.get(FFMPEG_OPTIONS)
        return self

    def isOpened(self):
        return self.opened

    def set(self, key, value):
        self.calls.append((key, value))

    def get(self, key):
        keys = {
            cv2.CAP_PROP_FRAME_WIDTH: "WIDTH",
            cv2.CAP_PROP_FRAME_HEIGHT: "HEIGHT",
            cv2.CAP_PROP_FPS: "FPS",
            cv2.CAP_PROP_FOURCC: "FOURCC",
            cv2.CAP_PROP_FRAME_COUNT: "COUNT",
        }
        return float(self.has[keys[key]])

    def grab(self):
        return bool(self.images)

    def retrieve(self, image):
        new = self.images.pop(0)
        if image.shape != new.shape:
            return True, new
        np.copyto(image, new)
        return True, image

    def release(self):
        self.opened = False


@pytest.fixture
def plant(monkeypatch):
    def put(capture):
        monkeypatch.setattr(devices.cv2, "VideoCapture", capture)
        return capture

    monkeypatch.setattr(devices, "has_gstreamer", lambda cv2: True)
    monkeypatch.delenv(FFMPEG_OPTIONS, raising=False)
    return put


@pytest.mark.skipif(Path("/dev/video63").exists(), reason="this machine has 64 cameras")
def test_a_missing_camera_says_what_there_is(capfd):
    with pytest.raises(SourceError, match="There is no camera 63: this machine ") as caught:
        OpenCVDevice(63, Mode((48, 64)))
    assert "--camera" in caught.value.remedy
    assert capfd.readouterr().err == "", "OpenCV's own warnings say nothing to a user"


def test_a_device_that_does_not_open_is_no_missing_one(tmp_path):
    node = tmp_path / "video0"
    node.write_bytes(b"")
    with pytest.raises(SourceError, match="is there and does not open"):
        OpenCVDevice(str(node), Mode((48, 64)))


def test_a_camera_is_asked_for_the_format_first(plant):
    capture = plant(FakeCapture(FOURCC=cv2.VideoWriter.fourcc(*"YUYV")))
    device = OpenCVDevice(0, Mode((480, 640), 60.0, "mjpeg"))
    assert capture.calls == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
        (cv2.CAP_PROP_FPS, 60.0),
    ]
    assert device.note == (
        "was asked for 640x480, 60 frames/s, mjpeg and delivers 1280x720, 30 frames/s, yuyv"
    )
    assert (device.fps, device.patience) == (30.0, 5)


def test_a_camera_is_asked_for_nothing_that_nobody_wants(plant):
    capture = plant(FakeCapture(FPS=0.0))
    device = OpenCVDevice(0, Mode((720, 1280)))
    assert [key for key, _ in capture.calls] == [
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
    ]
    assert (device.note, device.fps) == ("was asked for 1280x720", 30.0)


@pytest.mark.parametrize(
    "broken", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3))]
)
def test_a_frame_of_another_kind_is_broken(broken):
    device = CaptureDevice(FakeCapture([broken, picture()]))
    frame = Frame()
    assert not device.read_into(frame)
    assert device.read_into(frame)
    assert frame.image.shape == (48, 64, 3)


def test_a_frame_is_read_into_the_given_buffer_and_stamped():
    device = CaptureDevice(FakeCapture([picture(1), picture(2)]))
    frame = Frame(image=picture())
    buffer = frame.image
    assert device.read_into(frame) and device.read_into(frame)
    assert frame.image is buffer and buffer[0, 0, 2] == 2
    assert frame.arrival > 0
    assert not device.read_into(frame), "the stream has ended"


def test_a_network_stream_is_opened_for_low_latency_and_with_timeouts(plant):
    capture = plant(FakeCapture(FPS=90_000.0))
    device = NetworkDevice("rtsp://u:p@host/live")
    url, backend, parameters = capture.arguments
    assert (url, backend) == ("rtsp://u:p@host/live", cv2.CAP_FFMPEG)
    asked = dict(zip(parameters[::2], parameters[1::2], strict=True))
    assert asked[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == 10_000
    assert asked[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 5_000
    assert asked[cv2.CAP_PROP_N_THREADS] == 1
    assert capture.options == "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|max_delay;0"
    assert FFMPEG_OPTIONS not in os.environ, "video files open as before"
    assert (device.note, device.fps, device.patience) == ("delivers 1280x720", 30.0, 1)


def test_the_users_own_ffmpeg_options_stay(plant, monkeypatch):
    monkeypatch.setenv(FFMPEG_OPTIONS, "rtsp_transport;udp")
    assert plant(capture := FakeCapture()) and NetworkDevice("rtsp://host/live")
    assert capture.options == os.environ[FFMPEG_OPTIONS] == "rtsp_transport;udp"


def test_a_file_on_a_web_server_is_no_camera(plant):
    capture = plant(FakeCapture(COUNT=250))
    with pytest.raises(SourceError, match=r"http://host/a\.mp4 is a file") as caught:
        NetworkDevice("http://u:secret@host/a.mp4")
    assert "secret" not in str(caught.value)
    assert not capture.opened


def test_a_pipeline_is_started_by_gstreamer(plant):
    capture = plant(FakeCapture())
    device = PipelineDevice("csi://0", "nvarguscamerasrc ! appsink", Mode((480, 640)))
    pipeline, backend, parameters = capture.arguments
    assert (pipeline, backend) == ("nvarguscamerasrc ! appsink", cv2.CAP_GSTREAMER)
    assert cv2.CAP_PROP_READ_TIMEOUT_MSEC in parameters
    assert device.note == "was asked for 640x480 and delivers 1280x720, 30 frames/s"
    assert PipelineDevice("gst://x", "x ! appsink").note == "delivers 1280x720, 30 frames/s"


def test_an_old_opencv_gets_no_timeouts_that_it_would_refuse(plant, monkeypatch):
    monkeypatch.setattr(devices.cv2, "__version__", "4.5.4")
    capture = plant(FakeCapture())
    PipelineDevice("gst://x", "x ! appsink")
    assert capture.arguments[2] == []


def test_a_pipeline_that_does_not_start_shows_how_to_find_out(plant):
    plant(FakeCapture(opened=False))
    with pytest.raises(SourceError, match="gst://x does not open") as caught:
        PipelineDevice("gst://x", "rtspsrc location=rtsp://u:secret@h/1 ! x ! appsink drop=true")
    assert caught.value.remedy.startswith(
        "gst-launch-1.0 -v rtspsrc location=rtsp://h/1 ! x ! fakesink"
    )
