"""A round trip over RTSP: a server in pure Python, OpenCV's FFmpeg, and the camera between them."""

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.opencv import built
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.source import open as sources
from edgeseg.stream.source import opencv as devices
from edgeseg.stream.source import reconnect as cameras
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.opencv import NetworkDevice
from edgeseg.stream.source.reconnect import Camera
from edgeseg.stream.source.stamps import Stamp, draw_stamp, read_stamp
from tests.kit.logs import logged
from tests.stream.rtsp import PASSWORD, RtspServer

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
    monkeypatch.setattr(devices, "READ_SECONDS", 0.5)
    monkeypatch.setattr(sources, "has_gstreamer", lambda cv2: False)


@contextmanager
def opened(url, attempts=5):
    with (
        logged() as said,
        open_source(url, size=(96, 256), attempts=attempts) as camera,
    ):
        yield camera, said


def stamps(camera, count):
    found, frame = [], Frame()
    for _ in range(count):
        assert camera.read_into(frame)
        found.append((read_stamp(frame.image), frame.arrival))
    return found


def test_frames_arrive_in_order_soon_and_without_the_password(capfd):
    with RtspServer(stamped, fps=100.0) as server, opened(server.url) as (camera, said):
        name = f"rtsp://127.0.0.1:{server.port}/line"
        found = stamps(camera, 20)
    counts = [stamp.count for stamp, _ in found]
    assert counts == list(range(counts[0], counts[0] + 20))
    delays = [stamp.delay(arrival) for stamp, arrival in found]
    assert all(delay > 0 for delay in delays)
    assert min(delays) < 0.1, "neither FFmpeg nor OpenCV keeps frames back"
    assert camera.live and camera.name == name
    assert said == [f"{name} delivers 256x96, 100 frames/s"]
    assert capfd.readouterr() == ("", "")


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
        attempts = [line for line in said if "delivers no frame; attempt" in line]
        assert len(attempts) >= 2, "while nothing answers, it tries again"
        assert PASSWORD not in "".join(said)


def test_a_stream_that_stalls_is_connected_again():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url) as (camera, said):
        stamps(camera, 2)
        server.paused.set()
        threading.Timer(0.6, server.paused.clear).start()
        while not camera.reconnects:
            stamps(camera, 1)
        assert "attempt 1 of 5" in said[1]


def test_a_server_that_stays_away_ends_with_an_error_without_the_password():
    with RtspServer(stamped, fps=100.0) as server, opened(server.url, attempts=2) as (camera, said):
        stamps(camera, 1)
        server.close()
        with pytest.raises(SourceError, match=r"was lost .* in 2 attempts") as caught:
            stamps(camera, 500)
        assert PASSWORD not in str(caught.value) + "".join(said)


def test_a_wrong_password_is_no_missing_camera(capfd):
    with RtspServer(stamped) as server:
        with pytest.raises(SourceError, match="the password is wrong") as caught:
            NetworkDevice(server.url.replace(PASSWORD, "gu3ss"))
    assert "gu3ss" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_host_that_does_not_answer_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceError, match=f"rtsp://127.0.0.1:{port}/1 does not answer: Connection"):
        open_source(f"rtsp://u:secret@127.0.0.1:{port}/1", size=(8, 8), attempts=1)


def test_a_password_with_a_slash_is_told_how_to_write():
    with RtspServer(stamped) as server:
        with pytest.raises(SourceError, match="the password is wrong") as caught:
            NetworkDevice(server.url.replace(PASSWORD, "12/x"))
    assert "%2F" in caught.value.remedy
    assert "12/x" not in str(caught.value)


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

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for count in range(10_000):
            jpeg = cv2.imencode(".jpg", stamped(count))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *_):
        pass


def test_mjpeg_over_http_arrives():
    server = ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"http://127.0.0.1:{server.server_port}/video"
    with opened(name.replace("://", "://u:secret@")) as (camera, said):
        found = stamps(camera, 20)
        assert camera.name == name and "secret" not in "".join(said)
    server.shutdown()
    server.server_close()
    counts = [stamp.count for stamp, _ in found]
    assert counts == list(range(counts[0], counts[0] + 20))
    assert 0 < min(stamp.delay(arrival) for stamp, arrival in found) < 0.2
