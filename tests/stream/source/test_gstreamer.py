"""GStreamer pipelines, letter by letter; nothing here runs one."""

import pytest

from edgeseg.stream.source import gstreamer as pipelines
from edgeseg.stream.source.mode import Mode

END = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
SMALL = (256, 256)


def test_a_csi_sensor_runs_at_1080p_and_the_converter_scales():
    assert pipelines.csi(0, Mode(), SMALL) == (
        "nvarguscamerasrc sensor-id=0 ! "
        "video/x-raw(memory:NVMM),width=1920,height=1080,format=NV12 ! "
        "nvvidconv ! video/x-raw,width=256,height=256,format=BGRx ! " + END
    )


def test_a_csi_sensor_runs_as_the_user_asks():
    assert pipelines.csi(1, Mode((720, 1280), 60.0), SMALL) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=1280,height=720,framerate=60/1,format=NV12 ! "
        "nvvidconv ! video/x-raw,width=1280,height=720,format=BGRx ! " + END
    )


def test_a_graph_larger_than_1080p_gets_a_larger_sensor_mode():
    line = pipelines.csi(0, Mode(fps=29.97), (2160, 3840))
    assert "NVMM),width=3840,height=2160,framerate=29970/1000,format=NV12" in line


def test_a_network_camera_over_gstreamer():
    url = 'rtsp://u:p"w@cam:554/live'
    source = (
        'rtspsrc location="rtsp://u:p\\"w@cam:554/live" protocols=tcp latency=0 '
        "tcp-timeout=5000000 ! application/x-rtp,media=video ! decodebin ! "
    )
    assert pipelines.rtsp(url, jetson=False) == source + END
    convert = "nvvidconv ! video/x-raw,format=BGRx ! "
    assert pipelines.rtsp(url, jetson=True) == source + convert + END


@pytest.mark.parametrize("text", ["v4l2src device=/dev/video0", " v4l2src device=/dev/video0 ! "])
def test_a_pipeline_without_a_sink_gets_one(text):
    assert pipelines.complete(text) == ("v4l2src device=/dev/video0 ! " + END, "")


def test_an_element_that_is_only_named_like_a_sink_is_none():
    line, _ = pipelines.complete("filesrc location=/appsink/a.jpg ! jpegdec name=myappsink")
    assert line.endswith("name=myappsink ! " + END)


@pytest.mark.parametrize(
    "sink",
    [
        "appsink drop=true max-buffers=1 sync=false",
        "appsink name=out sync=0 drop=1",
        "appsink drop=(boolean)TRUE sync=no",
    ],
)
def test_a_sink_that_drops_stays_as_it_is(sink):
    assert pipelines.complete(f"v4l2src ! {sink}") == (f"v4l2src ! {sink}", "")


def test_a_sink_that_does_not_drop_is_told_of():
    line, lacks = pipelines.complete("videotestsrc drop=true ! appsink max-buffers=1 sync=false")
    assert line == "videotestsrc drop=true ! appsink max-buffers=1 sync=false"
    assert lacks == "drop=true, so frames wait and what is seen is old"
    _, lacks = pipelines.complete("videotestsrc ! appsink drop=false")
    assert lacks.startswith("drop=true") and "; sync=false" in lacks


def test_an_empty_pipeline_is_none():
    assert pipelines.complete(" ! ") == ("", "")
