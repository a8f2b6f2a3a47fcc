"""Pipelines that GStreamer really starts: by PyGObject, and where OpenCV is the distribution's."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.errors import MissingExtra, SourceError
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.packages.gstreamer import choose_gstreamer
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.gstreamer import opencv
from edgeseg.stream.source.gstreamer.text import APPSINK, taken
from edgeseg.stream.source.open import open_source
from tests.kit.errors import fails
from tests.kit.red_graph import SIDE, write_project
from tests.stream.rtsp import RtspServer

RED = "gst://videotestsrc pattern=red num-buffers=3 ! video/x-raw,width=64,height=48"


def open_it(address):
    return open_source(address, size=(48, 64), attempts=1)


def test_frames_arrive_in_bgr_and_a_live_pipeline_that_ended_is_started_again(library):
    frame = Frame()
    with open_it(RED.replace("buffers=3", "buffers=3 is-live=true")) as source:
        arrived = []
        while len(arrived) < 5:
            if source.read_into(frame):
                arrived.append(frame.image.copy())
        assert source.reconnects >= 1
    for image in arrived:
        assert image.shape == (48, 64, 3)
        blue, green, red = image.astype(int).reshape(-1, 3).mean(axis=0)
        assert red > 240 and blue < 15 and green < 15


def slotted(graph):
    return Frame(slot_image=np.zeros(frame_shape(graph, 48, 64), np.uint8), slot_format=graph)


def red_of(frame):
    """The color that a frame shows, as BGR."""
    return to_bgr(frame.image, frame.format).reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("graph", PIXEL_FORMATS)
def test_a_pipeline_delivers_the_graph_s_format(library, graph):
    """Gray and planar frames were reported as a lost camera once."""
    frame = slotted(graph)
    endless = RED.replace("num-buffers=3", "is-live=true")
    with open_source(endless, size=(48, 64), attempts=0, frame_format=graph) as source:
        for _ in range(3):
            assert source.read_into(frame)
            assert not frame.fault
    assert frame.image is frame.slot_image and frame.format == graph
    copied = library == "OpenCV" and taken(graph, library) != graph  # before the conversion
    assert (frame.writes == 2) is copied
    blue, _, red = red_of(frame)
    assert (red > 200 and blue < 40) or (graph == "gray" and 70 < red == blue < 90)


@pytest.mark.parametrize(
    ("caps", "kind"),
    [
        ("video/x-raw,format=GRAY8", "gray"),
        ("video/x-raw,format=NV12", "nv12"),
        ("video/x-raw,format=YUY2", "yuyv"),
        ("video/x-raw,format=UYVY", "uyvy"),
        ("video/x-bayer,format=rggb", "bayer_rggb"),
    ],
)
@pytest.mark.parametrize("graph", ["bgr", "gray"])
def test_a_sink_of_the_user_delivers_what_its_caps_say(library, caps, kind, graph):
    converter = "" if "bayer" in caps else "video/x-raw,width=64,height=48 ! videoconvert ! "
    shown = f"{caps},width=64,height=48 ! {APPSINK}"
    text = f"gst://videotestsrc is-live=true ! {converter}{shown}"
    frame = slotted(graph)
    with open_source(text, size=(48, 64), attempts=0, frame_format=graph) as source:
        assert source.read_into(frame) and not frame.fault
        assert source.path.startswith(kind)
    assert frame.image is frame.slot_image


def test_a_sink_of_the_user_is_kept(library):
    text = f"{RED} ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true sync=false"
    frame = Frame()
    with open_it(text) as source:
        assert source.read_into(frame)
        np.testing.assert_array_equal(frame.image[0, 0], frame.image[47, 63])


@pytest.mark.parametrize("text", ["no_such_element", "videotestsrc ! no_such_element"])
def test_a_pipeline_that_cannot_be_built_is_refused(library, monkeypatch, text):
    """OpenCV before 4.7 would wait forever for the first."""
    monkeypatch.setattr(opencv, "OPEN_SECONDS", 0.5)
    code = {"OpenCV": "source/pipeline-failed", "PyGObject": "source/missing-plugin"}[library]
    with fails(SourceError, code) as caught:
        open_it(f"gst://{text}")
    if library == "PyGObject":
        assert caught.value.problem.endswith(': no element "no_such_element".')
        assert "gstreamer1.0-plugins-good" in caught.value.remedy


def test_jpegs_of_a_pipeline_are_decoded_by_edgeseg(library):
    text = f"{RED.replace('num-buffers=3', 'is-live=true')} ! jpegenc ! image/jpeg ! "
    frame = Frame()
    with open_it(f"{text}{APPSINK}") as source:
        assert source.read_into(frame)
    assert frame.image.shape == (48, 64, 3)
    assert frame.image[24, 32, 2] > 200 > 50 > frame.image[24, 32, 0]


@pytest.mark.parametrize("password", ["p@ss", "50%", "a b", "quo\"te's", "a:b"])
def test_a_password_with_reserved_characters_opens_an_rtsp_camera(library, password):
    noise = np.random.default_rng(0).integers(0, 256, (96, 256, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    with RtspServer(lambda count: image, password=password) as server:
        with open_it(f"rtsp://inspector:{password}@127.0.0.1:{server.port}/line") as source:
            assert source.read_into(frame := Frame())
    assert np.abs(frame.image.astype(int) - image).mean() < 10


def test_the_command_judges_the_frames_of_a_pipeline(tmp_path):
    """The red graph calls a red picture anomalous."""
    write_project(tmp_path)
    try:
        choose_gstreamer(cv2)
    except MissingExtra as error:
        pytest.skip(str(error))
    camera = f"gst://videotestsrc pattern=red is-live=true ! video/x-raw,width={SIDE},height={SIDE}"
    words = ["stream", "plates.onnx", "--source", camera, "--no-window", "--frames", "3", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["frames"], report["anomalous"], report["broken"]) == (3, 3, 0)
