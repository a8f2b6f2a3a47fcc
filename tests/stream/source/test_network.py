"""Network cameras: local RTSP and HTTP servers in Python, received by OpenCV's FFmpeg."""

import os
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.packages.opencv import built
from edgeseg.stream.source import camera as cameras
from edgeseg.stream.source import network
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera
from edgeseg.stream.source.network import FFMPEG_OPTIONS, FFmpegConnection
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.synthetic import Stamp, draw_stamp, read_stamp
from tests.kit.errors import fails
from tests.kit.logs import logged
from tests.stream.rtsp import PASSWORD, RtspServer
from tests.stream.source.captures import FakeCapture, choose

pytestmark = pytest.mark.skipif(
    not built(cv2.getBuildInformation(), "FFMPEG").startswith("YES"),
    reason="this OpenCV has no FFmpeg",
)


def stamped(count):
    image = np.full((96, 256, 3), 140, np.uint8)
    draw_stamp(image, Stamp(count, time.perf_counter_ns() // 1000))
    return image


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(network, "READ_SECONDS", 0.5)
    choose(monkeypatch, None)


@contextmanager
def opened(url, attempts=5):
    with (
        logged() as said,
        open_source(url, size=(96, 256), attempts=attempts) as camera,
    ):
        yield camera, said


def stamps(camera, count):
    """The stamps and arrivals of the next whole frames."""
    found = []
    while len(found) < count:
        frame = Frame()
        assert camera.read_into(frame)
        if not frame.fault:
            found.append((read_stamp(frame.image), frame.arrival))
    return found


def in_order(counts, camera):
    """Whether frames come in order, and those that are missing were skipped for newer ones."""
    return counts[-1] - counts[0] + 1 - len(counts) <= camera.skipped and counts == sorted(counts)


def test_frames_arrive_in_order_soon_and_without_the_password(capfd):
    with RtspServer(stamped, fps=100.0) as server, opened(server.url) as (camera, said):
        name = f"rtsp://127.0.0.1:{server.port}/line"
        found = stamps(camera, 20)
    counts = [stamp.count for stamp, _ in found]
    assert in_order(counts, camera)
    delays = [stamp.delay(arrival) for stamp, arrival in found]
    assert all(delay > 0 for delay in delays)
    assert min(delays) < 0.1, "neither FFmpeg nor OpenCV buffers frames"
    assert camera.live and camera.name == name
    assert said == [f"{name}: delivers 256x96, 100 frames/s (FFmpeg by OpenCV)"]
    assert PASSWORD not in capfd.readouterr().err


def test_a_frame_is_decoded_into_the_given_buffer():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url) as (camera, _):
        frame = Frame()
        camera.read_into(frame)
        buffer = frame.image
        camera.read_into(frame)
        assert frame.image is buffer


def test_a_server_that_is_killed_and_comes_back_is_found_again():
    with RtspServer(stamped, fps=100.0) as server:
        with opened(server.url, attempts=100) as (camera, said):
            last = stamps(camera, 5)[-1][0].count
            server.close()
            revived = []

            def revive():
                revived.append(RtspServer(lambda n: stamped(n + 10_000), fps=100.0, port=port))

            port = server.port
            timer = threading.Timer(0.3, revive)
            timer.start()
            found = [last]
            while found[-1] < 10_000:
                found += [stamp.count for stamp, _ in stamps(camera, 1)]
            timer.join()
            revived[0].close()
        assert sorted(found) == found
        assert camera.reconnects == 1
        attempts = [line for line in said if "no frame; reconnecting" in line]
        assert len(attempts) >= 2, "it retries while nothing answers"
        assert PASSWORD not in "".join(said)


def test_a_stream_that_stalls_is_connected_again():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url) as (camera, said):
        stamps(camera, 2)
        server.paused.set()
        threading.Timer(0.6, server.paused.clear).start()
        while not camera.reconnects:
            stamps(camera, 1)
        assert "(attempt 1 of 5)" in said[1]


def test_a_server_that_stays_away_ends_with_an_error_without_the_password():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url, attempts=2) as (camera, said):
        stamps(camera, 1)
        server.close()
        with fails(SourceError, "source/lost") as caught:
            stamps(camera, 500)
        assert PASSWORD not in str(caught.value) + "".join(said)


def test_a_wrong_password_is_no_missing_camera(capfd):
    with RtspServer(stamped) as server:
        with fails(SourceError, "source/no-video") as caught:
            FFmpegConnection(server.url.replace(PASSWORD, "gu3ss"))
    assert "gu3ss" not in str(caught.value) + capfd.readouterr().err


def test_the_remedy_of_a_camera_without_video_has_its_own_scheme(plant):
    plant(FakeCapture(opened=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with fails(SourceError, "source/no-video") as caught:
            FFmpegConnection(f"http://127.0.0.1:{port}/video")
    assert caught.value.remedy.startswith("use http://USER:PASSWORD@HOST/PATH")


def test_a_host_that_does_not_answer_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with fails(SourceError, "source/unreachable") as caught:
        open_source(f"rtsp://u:secret@127.0.0.1:{port}/1", size=(8, 8), attempts=1)
    assert f"rtsp://127.0.0.1:{port}/1: Connection refused" in caught.value.problem


def test_a_pipeline_whose_host_does_not_answer_says_so(plant, monkeypatch):
    plant(FakeCapture(opened=False))
    choose(monkeypatch, "OpenCV")
    with fails(SourceError, "source/unreachable") as caught:
        open_source("rtsp://u:secret@127.0.0.1:1/x", size=(8, 8), attempts=1)
    assert "secret" not in str(caught.value)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with fails(SourceError, "source/pipeline-failed"):
            open_source(f"rtsp://u:secret@127.0.0.1:{port}/x", size=(8, 8), attempts=1)


def test_the_remedy_explains_a_password_with_a_slash():
    # What comes before the slash is a host and a port to FFmpeg, and to every parser of URLs.
    with fails(SourceError, "source/unreachable") as caught:
        open_source("rtsp://127.0.0.1:1/x@127.0.0.1/line", size=(8, 8), attempts=1)
    assert "rtsp://...: Connection refused" in caught.value.problem
    assert "/ as %2F" in caught.value.remedy


@pytest.mark.parametrize("password", ["p@ss", "50%", "a b", "quo\"te's", "a:b", "p@%2F#?"])
def test_a_password_with_reserved_characters_opens_the_camera(password, capfd):
    typed = password.replace("#", "%23").replace("?", "%3F").replace("%2F", "%252F")
    with RtspServer(stamped, fps=100.0, password=password) as server:
        address = f"rtsp://inspector:{typed}@127.0.0.1:{server.port}/line"
        with opened(address) as (camera, said):
            assert stamps(camera, 1)
    assert camera.name == f"rtsp://127.0.0.1:{server.port}/line"
    assert password not in "".join(said) + capfd.readouterr().err


def test_the_end_of_the_stream_ends_the_attempts():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url, attempts=1000) as (camera, _):
        assert isinstance(camera, Camera)
        stamps(camera, 1)
        server.close()
        threading.Timer(0.2, camera.stopping.set).start()
        while camera.read_into(Frame()):
            pass


class MjpegHandler(BaseHTTPRequestHandler):
    """Sends JPEGs one after the other, as simple network cameras do."""

    lengths = True
    """Whether each part has a Content-Length."""

    @staticmethod
    def damage(count, jpeg):
        return jpeg

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for count in range(10_000):
            jpeg = self.damage(count, cv2.imencode(".jpg", stamped(count))[1].tobytes())
            length = f"Content-Length: {len(jpeg)}\r\n" if self.lengths else ""
            head = f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *_):
        pass


@contextmanager
def mjpeg_server(**changes):
    """Serve MJPEG; yields the address."""
    handler = type("Handler", (MjpegHandler,), changes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/video"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_truncated_frame_is_broken_and_never_completed_from_the_frame_before(lengths, end):
    def every_second_one(count, jpeg):
        return jpeg[: len(jpeg) // 2] + end if count % 2 else jpeg

    with mjpeg_server(damage=staticmethod(every_second_one), lengths=lengths) as address:
        with opened(address) as (camera, said):
            found = stamps(camera, 15)
    counts = [stamp.count for stamp, _ in found]
    assert counts == sorted(set(counts)) and not any(count % 2 for count in counts)
    assert counts[-1] - counts[0] + 1 - len(counts) <= camera.broken + camera.skipped
    assert camera.broken > 3 and camera.reconnects == 0
    assert sum("broken frame (" in line for line in said) == 1 + (camera.broken >= 10)


def test_mjpeg_over_http_arrives():
    with mjpeg_server() as name, opened(name.replace("://", "://u:secret@")) as (camera, said):
        found = stamps(camera, 20)
        assert camera.name == name and "secret" not in "".join(said)
    counts = [stamp.count for stamp, _ in found]
    assert in_order(counts, camera)
    assert 0 < min(stamp.delay(arrival) for stamp, arrival in found) < 0.2


def test_a_network_stream_is_opened_for_low_latency_and_with_timeouts(plant, monkeypatch):
    monkeypatch.setattr(network, "READ_SECONDS", 5.0)
    capture = plant(FakeCapture(FPS=90_000.0))
    connection = FFmpegConnection("rtsp://u:p@host/live")
    url, backend, parameters = capture.arguments
    assert (url, backend) == ("rtsp://u:p@host/live", cv2.CAP_FFMPEG)
    asked = dict(zip(parameters[::2], parameters[1::2], strict=True))
    assert asked[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == 10_000
    assert asked[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 5_000
    assert asked.get(getattr(cv2, "CAP_PROP_N_THREADS", None), 1) == 1
    assert (
        capture.options
        == "rtsp_transport;tcp|fflags;nobuffer+discardcorrupt|flags;low_delay|max_delay;0"
    )
    assert FFMPEG_OPTIONS not in os.environ, "video files are opened without them"
    assert (connection.note, connection.fps, connection.max_missing) == (
        "delivers 1280x720 (FFmpeg by OpenCV)",
        30.0,
        1,
    )


def test_the_users_own_ffmpeg_options_stay(plant, monkeypatch):
    monkeypatch.setenv(FFMPEG_OPTIONS, "rtsp_transport;udp")
    assert plant(capture := FakeCapture()) and FFmpegConnection("rtsp://host/live")
    assert capture.options == os.environ[FFMPEG_OPTIONS] == "rtsp_transport;udp"


def test_a_file_on_a_web_server_is_no_camera(plant):
    capture = plant(FakeCapture(COUNT=250))
    with fails(SourceError, "source/remote-file") as caught:
        FFmpegConnection("http://u:secret@host/a.mp4")
    assert "secret" not in str(caught.value)
    assert not capture.opened
