"""GStreamer pipelines as text."""

import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.gstreamer import text as texts
from edgeseg.stream.source.gstreamer.text import (
    complete,
    csi_pipeline,
    format_of,
    has_sink,
    rtsp_end,
    rtsp_head,
    taken,
)
from tests.kit.errors import fails

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
    assert has_sink(line) and not has_sink("filesrc location=/appsink/a ! jpegdec name=myappsink")


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
    line, _ = complete("v4l2src", taken(graph, "OpenCV"))
    assert line.startswith(f"v4l2src ! videoconvert ! video/x-raw,format={caps} ! appsink ")
    assert format_of(line, "gst://v4l2src") == graph


def test_no_converter_makes_bayer_and_opencv_takes_no_rgb():
    found = [taken(kind, by) for by in ("OpenCV", "PyGObject") for kind in ("rgb", "bayer_rggb")]
    assert found == ["bgr", "bgr", "rgb", "bgr"]


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


def test_the_pipeline_of_an_rtsp_camera(monkeypatch):
    monkeypatch.setattr(texts, "READ_SECONDS", 5.0)
    assert rtsp_head('rtsp://u:p"w@cam:554/live') == (
        'rtspsrc location="rtsp://u:p\\"w@cam:554/live" protocols=tcp latency=0 '
        "tcp-timeout=5000000 ! application/x-rtp,media=video"
    )
    end = "videoconvert ! video/x-raw,format=BGR"
    assert rtsp_end(jetson=False) == end
    assert rtsp_end(jetson=True) == f"nvvidconv ! video/x-raw,format=BGRx ! {end}"
    assert rtsp_end("nv12", jetson=True) == "nvvidconv ! video/x-raw,format=NV12"
