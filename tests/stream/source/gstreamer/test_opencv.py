"""GStreamerConnection with replaced captures."""

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.packages.opencv import GSTREAMER_TIMEOUTS, version
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.gstreamer.opencv import GStreamerConnection
from tests.kit.errors import fails
from tests.stream.source.captures import FakeCapture


def test_a_pipeline_is_started_by_gstreamer(plant):
    capture = plant(FakeCapture())
    connection = GStreamerConnection(
        "csi://0", "nvarguscamerasrc ! appsink", requested=Mode((480, 640))
    )
    pipeline, backend, parameters = capture.arguments
    assert (pipeline, backend) == ("nvarguscamerasrc ! appsink", cv2.CAP_GSTREAMER)
    assert (cv2.CAP_PROP_READ_TIMEOUT_MSEC in parameters) is (version(cv2) >= GSTREAMER_TIMEOUTS)
    by = "(GStreamer by OpenCV)"
    assert connection.note == f"requested 640x480, delivers 1280x720, 30 frames/s {by}"
    assert GStreamerConnection("gst://x", "x ! appsink").note.endswith(f"30 frames/s {by}")


def test_an_old_opencv_gets_no_timeouts_that_it_would_refuse(plant, monkeypatch):
    monkeypatch.setattr(cv2, "__version__", "4.5.4")
    capture = plant(FakeCapture())
    GStreamerConnection("gst://x", "x ! appsink")
    assert capture.arguments[2] == []


def test_a_pipeline_that_does_not_start(plant):
    plant(FakeCapture(opened=False))
    with fails(SourceError, "source/pipeline-failed") as caught:
        GStreamerConnection(
            "gst://x", "rtspsrc location=rtsp://u:secret@h/1 ! x ! appsink drop=true"
        )
    line = "gst-launch-1.0 -v 'rtspsrc location=rtsp://h/1 ! x ! fakesink'"
    assert caught.value.remedy.endswith(line)


def test_frames_tell_a_format_that_no_caps_name(plant):
    """Gray frames were a lost camera once."""
    gray = np.full((720, 1280), 7, np.uint8)
    plant(FakeCapture([gray]))
    connection = GStreamerConnection("gst://x", "x ! appsink", None)
    frame = Frame(slot_image=np.zeros((720, 1280, 1), np.uint8), slot_format="gray")
    assert connection.read_into(frame)
    assert frame.image is frame.slot_image and frame.format == "gray" and (frame.image == 7).all()
    assert (frame.writes, connection.path) == (
        1,
        "frames, copied by OpenCV at the end of the pipeline (writes are counted from there)",
    )


@pytest.mark.parametrize("shape", [(1080, 1280), (720, 1280, 2)])
def test_frames_of_two_possible_formats_end_the_stream(plant, shape):
    plant(FakeCapture([np.zeros(shape, np.uint8)]))
    connection = GStreamerConnection("gst://x", "x ! appsink", None)
    with fails(SourceError, "source/pipeline-format") as caught:
        connection.read_into(Frame())
    assert str(list(shape)) in caught.value.problem
