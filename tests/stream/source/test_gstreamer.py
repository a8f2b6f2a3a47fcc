"""GStreamer pipelines as text, and GStreamerConnection with replaced captures."""

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.packages.opencv import GSTREAMER_TIMEOUTS, version
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.gstreamer import (
    GStreamerConnection,
    complete,
    csi_pipeline,
    format_of,
    taken,
)
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
    connection = GStreamerConnection(
        "csi://0", "nvarguscamerasrc ! appsink", requested=Mode((480, 640))
    )
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


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("nv12", "nvvidconv ! video/x-raw,width=256,height=256,format=NV12 ! appsink"),
        ("gray", "nvvidconv ! video/x-raw,width=256,height=256,format=GRAY8 ! appsink"),
        ("yuyv", "format=BGRx ! videoconvert ! video/x-raw,format=YUY2 ! appsink"),
    ],
)
def test_a_csi_camera_delivers_what_the_graph_takes(kind, end):
    """The Jetson's converter makes some formats itself."""
    assert end in csi_pipeline(0, Mode(), SMALL, kind)


@pytest.mark.parametrize(
    ("graph", "caps"), [("gray", "GRAY8"), ("nv12", "NV12"), ("yuyv", "YUY2"), ("uyvy", "UYVY")]
)
def test_a_pipeline_without_a_sink_ends_in_the_graph_s_format(graph, caps):
    line, _ = complete("v4l2src", taken(graph))
    assert line.startswith(f"v4l2src ! videoconvert ! video/x-raw,format={caps} ! appsink ")
    assert format_of(line, "gst://v4l2src") == graph


@pytest.mark.parametrize("graph", ["rgb", "bayer_rggb"])
def test_opencv_takes_no_other_formats_from_a_converter(graph):
    assert taken(graph) == "bgr"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("video/x-raw,format=BGR ! appsink", "bgr"),
        ("video/x-raw,format=(string)GRAY8,width=64 ! appsink drop=true", "gray"),
        ('video/x-raw, format = "NV12" ! appsink', "nv12"),
        ("'video/x-raw,format=YUY2,width=640' ! appsink", "yuyv"),
        ("video/x-bayer,format=rggb ! appsink", "bayer_rggb"),
        ("video/x-raw,format=NV12 ! nvvidconv ! appsink", None),
        ("jpegenc ! image/jpeg ! appsink", "bgr"),
        ("videoconvert ! appsink", None),
    ],
)
def test_the_format_is_read_from_the_caps_before_the_sink(text, kind):
    assert format_of(f"videotestsrc ! {text}", "gst://x") == kind


@pytest.mark.parametrize("caps", ["format=I420", "format=BGRx", "format=RGB", "format=bggr"])
def test_a_format_that_cannot_be_read_is_refused_before_the_start(caps):
    with fails(SourceError, "source/pipeline-format") as caught:
        format_of(f"videotestsrc ! video/x-raw,{caps} ! appsink", "gst://x")
    assert caps[7:] in caught.value.problem and "format=BGR ! appsink" in caught.value.remedy


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
