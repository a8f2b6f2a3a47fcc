"""RTSP cameras: a real server of GStreamer, in a process of its own, received by PyGObject."""

import signal
import threading

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.source import network
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.gstreamer import connection as connections
from edgeseg.stream.source.open import open_source
from tests.kit.errors import fails
from tests.kit.rtsp_server import missing, rtsp_camera
from tests.stream.rtsp import PASSWORD, RtspServer

SIZE = (48, 64)
VIDEO = "videotestsrc is-live=true pattern={} ! video/x-raw,format=I420,width=64,height=48"
JPEG, H264 = "jpegenc ! rtpjpegpay", "openh264enc ! rtph264pay config-interval=-1"


def camera(encoding=JPEG, pattern="red", rate=50):
    """Serve a color."""
    elements = [part.split()[0] for part in encoding.split(" ! ")]
    if why := missing(*elements, "rtspsrc"):
        pytest.skip(why)
    return rtsp_camera(f"{VIDEO.format(pattern)},framerate={rate}/1 ! {encoding} name=pay0 pt=96")


def opened(url, graph="bgr", attempts=20):
    return open_source(url, size=SIZE, attempts=attempts, frame_format=graph)


def read(source, graph="bgr"):
    slot = np.zeros(frame_shape(graph, *SIZE), np.uint8)
    frame = Frame(slot_image=slot, slot_format=graph)
    assert source.read_into(frame)
    return frame


def is_red(frame):
    blue, _, red = frame.image.reshape(-1, 3).mean(axis=0)
    return red > 200 and blue < 40


def test_jpegs_are_decoded_into_the_slots(pygobject, said):
    with camera() as server, opened(server.url) as source:
        frames = [read(source) for _ in range(5)]
        assert source.path == "JPEGs, decoded into the slots"
        assert source.live and source.name == server.url
    for frame in frames:
        assert is_red(frame) and frame.image is frame.slot_image
        assert (frame.writes, frame.fault) == (1, "")
    stamps = [frame.camera_ns for frame in frames]
    assert stamps == sorted(set(stamps))
    assert said[0].endswith(f"(GStreamer {pygobject.version} by PyGObject)")


@pytest.mark.parametrize(("graph", "value"), [("bgr", None), ("gray", 81)])
def test_h264_becomes_what_the_graph_takes(pygobject, graph, value):
    with camera(H264) as server, opened(server.url, graph) as source:
        frame = read(source, graph)
        assert source.path == f"{graph}, copied out of the appsink of the pipeline"
    assert frame.image is frame.slot_image and frame.writes == 3
    assert is_red(frame) if value is None else abs(frame.image.mean() - value) < 6


def test_a_server_that_is_killed_and_comes_back_is_found_again(pygobject, said):
    with camera() as server, opened(server.url) as source:
        assert is_red(read(source))
        server.kill()
        threading.Timer(0.3, server.start).start()
        while not source.reconnects:
            read(source)
        assert is_red(read(source)) and source.broken >= 1
    assert any("The server closed the connection" in line for line in said)
    assert any("reconnecting" in line for line in said)


def test_a_server_that_freezes_is_lost(pygobject, monkeypatch):
    with camera() as server, opened(server.url, attempts=0) as source:
        monkeypatch.setattr(connections, "READ_SECONDS", 0.5)
        read(source)
        server.send(signal.SIGSTOP)
        with fails(SourceError, "source/lost"):
            for _ in range(100):
                read(source)


def test_a_wrong_path_is_named_as_the_server_answers(pygobject):
    with camera() as server, fails(SourceError, "source/no-video") as caught:
        opened(f"{server.url}s")
    assert "Not Found (404)" in caught.value.problem


def test_a_wrong_password_is_no_missing_camera(pygobject):
    with RtspServer(lambda count: np.zeros((48, 64, 3), np.uint8)) as server:
        with fails(SourceError, "source/no-video") as caught:
            opened(server.url.replace(PASSWORD, "gu3ss"))
    assert "Unauthorized" in caught.value.problem and "gu3ss" not in str(caught.value)


def test_a_host_that_does_not_answer_is_named(pygobject):
    with fails(SourceError, "source/unreachable") as caught:
        opened("rtsp://u:secret@127.0.0.1:1/x")
    assert "127.0.0.1:1/x: Connection refused" in caught.value.problem
    assert "secret" not in str(caught.value)


def test_ffmpeg_receives_what_gstreamer_has_no_plugin_for(pygobject, monkeypatch, said):
    monkeypatch.setattr(network, "rtsp_head", lambda url: "no_such_element")
    with camera() as server, opened(server.url) as source:
        assert is_red(read(source))
    assert said[0].startswith(f'cannot start {server.url}: no element "no_such_element". FFmpeg ')
    assert said[1].endswith("(FFmpeg by OpenCV)")
