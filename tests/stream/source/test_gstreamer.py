"""GStreamer pipelines as text, and GStreamerConnection with replaced captures."""

import cv2
import pytest

from edgeseg.errors import SourceError
from edgeseg.opencv import GSTREAMER_TIMEOUTS, version
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.gstreamer import GStreamerConnection, complete, csi_pipeline
from tests.kit.errors import fails
from tests.stream.source.captures import FakeCapture

END = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
SMALL = (256, 256)


def test_a_csi_sensor_runs_at_1080p_and_the_converter_scales():
    assert csi_pipeline(0, Mode(), SMALL) == (
        "nvarguscamerasrc sensor-id=0 ! "
        "video/x-raw(memory:NVMM),width=1920,height=1080,format=NV12 ! "
        "nvvidconv ! video/x-raw,width=256,height=256,format=BGRx ! " + END
    )


def test_a_csi_sensor_runs_as_the_user_asks():
    assert csi_pipeline(1, Mode((720, 1280), 60.0), SMALL) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=1280,height=720,framerate=60/1,format=NV12 ! "
        "nvvidconv ! video/x-raw,width=1280,height=720,format=BGRx ! " + END
    )


def test_a_graph_larger_than_1080p_gets_a_larger_sensor_mode():
    line = csi_pipeline(0, Mode(fps=29.97), (2160, 3840))
    assert "NVMM),width=3840,height=2160,framerate=29970/1000,format=NV12" in line


@pytest.mark.parametrize("text", ["v4l2src device=/dev/video0", " v4l2src device=/dev/video0 ! "])
def test_a_pipeline_without_a_sink_gets_one(text):
    assert complete(text) == ("v4l2src device=/dev/video0 ! " + END, "")


def test_an_element_with_a_similar_name_is_not_a_sink():
    line, _ = complete("filesrc location=/appsink/a.jpg ! jpegdec name=myappsink")
    assert line.endswith("name=myappsink ! " + END)


@pytest.mark.parametrize(
    "sink",
    [
        "appsink drop=true max-buffers=1 sync=false",
        "appsink name=out sync=0 drop=1",
        "appsink drop=(boolean)TRUE sync=no",
    ],
)
def test_a_complete_sink_is_unchanged(sink):
    assert complete(f"v4l2src ! {sink}") == (f"v4l2src ! {sink}", "")


def test_missing_properties_of_a_sink_are_named():
    line, lacks = complete("videotestsrc drop=true ! appsink max-buffers=1 sync=false")
    assert line == "videotestsrc drop=true ! appsink max-buffers=1 sync=false"
    assert lacks.startswith("drop=true") and "sync" not in lacks
    _, lacks = complete("videotestsrc ! appsink drop=false")
    assert lacks.startswith("drop=true") and " and sync=false" in lacks


def test_an_empty_pipeline_is_none():
    assert complete(" ! ") == ("", "")


def test_a_pipeline_is_started_by_gstreamer(plant):
    capture = plant(FakeCapture())
    connection = GStreamerConnection("csi://0", "nvarguscamerasrc ! appsink", Mode((480, 640)))
    pipeline, backend, parameters = capture.arguments
    assert (pipeline, backend) == ("nvarguscamerasrc ! appsink", cv2.CAP_GSTREAMER)
    assert (cv2.CAP_PROP_READ_TIMEOUT_MSEC in parameters) is (version(cv2) >= GSTREAMER_TIMEOUTS)
    assert connection.note == "requested 640x480, delivers 1280x720, 30 frames/s"
    assert GStreamerConnection("gst://x", "x ! appsink").note == "delivers 1280x720, 30 frames/s"


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
