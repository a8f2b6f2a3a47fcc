"""The table of docs/streaming.md says how often the CPU writes a frame, as the sources count it."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.gstreamer import open as gstreamer
from edgeseg.stream.source.gstreamer.opencv import GStreamerConnection
from edgeseg.stream.source.network import FFmpegConnection
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.opencv_camera import OpenCvConnection
from tests.kit.encoded import encode, smooth
from tests.kit.fake_v4l2 import FakeDriver
from tests.stream.source.captures import FakeCapture, choose
from tests.stream.source.v4l2.opened import SIZE, lent, open_it, pictures

PAGE = Path(__file__).parents[3] / "docs" / "streaming.md"
JPEG = encode(smooth(), "JPEG")
PACKET = np.frombuffer(JPEG, np.uint8)[None]
LETTERS = {"yuyv": "YUYV", "uyvy": "UYVY", "nv12": "NV12", "gray": "GREY", "rgb": "RGB3"}


def table():
    """The rows of the table: (source, frames) -> CPU writes."""
    section = PAGE.read_text(encoding="utf-8").split("## How often the CPU writes a frame")[1]
    rows = re.findall(r"^\| (.+) \| (.+) \| (\d) \|$", section.split("\n### ")[0], re.MULTILINE)
    return {(source, frames): int(writes) for source, frames, writes in rows}


def slotted(graph, size=SIZE):
    return Frame(slot_image=np.zeros(frame_shape(graph, *size), np.uint8), slot_format=graph)


def v4l2(kind, graph, **options):
    """Writes of one frame of a V4L2 camera in a format, for a graph."""
    data = JPEG if kind == "mjpeg" else pictures(kind, 1)[0].tobytes()
    driver = FakeDriver([data], formats=(LETTERS.get(kind, "MJPG"),), **options)
    with open_it(driver, graph) as camera:
        (frame, _), _ = lent(camera, graph)
        assert camera.read_into(frame)
    assert frame.image is frame.slot_image
    return frame.writes


def read(connection, graph):
    frame = slotted(graph)
    assert connection.read_into(frame)
    assert frame.image is frame.slot_image
    return frame.writes


@pytest.fixture
def captured(plant, monkeypatch):
    """Writes of one frame of OpenCV, through a connection."""
    choose(monkeypatch, "OpenCV")

    def by(make, graph, image, **has):
        plant(FakeCapture([image], WIDTH=SIZE[1], HEIGHT=SIZE[0], **has)).set = lambda *a: True
        return read(make(), graph)

    return by


def opened(address, graph="bgr", size=SIZE):
    frame = slotted(graph, size)
    with open_source(address, size=size, attempts=0, frame_format=graph) as source:
        assert source.read_into(frame)
    return frame.writes


def raw(kind):
    image = pictures(kind, 1)[0]
    return image[:, :, 0] if image.shape[2] == 1 else image


def test_v4l2():
    rows = {frames: writes for (source, frames), writes in table().items() if "V4L2" in source}
    same = next(writes for frames, writes in rows.items() if "USERPTR" in frames)
    assert same == 0 == v4l2("yuyv", "yuyv") == v4l2("gray", "gray") == v4l2("nv12", "nv12")
    usb = next(writes for frames, writes in rows.items() if "uvcvideo" in frames)
    assert usb == 1 == v4l2("yuyv", "yuyv", driver="uvcvideo")
    mapped = next(writes for frames, writes in rows.items() if "MMAP" in frames)
    assert mapped == 1 == v4l2("yuyv", "yuyv", userptr="unknown")
    converted = next(writes for frames, writes in rows.items() if "in another format" in frames)
    pairs = [(kind, graph) for kind in ("yuyv", "uyvy", "nv12", "gray") for graph in ("bgr", "rgb")]
    assert {converted} == {1} == {v4l2(*pair) for pair in pairs}
    grayed = next(writes for frames, writes in rows.items() if "by way of" in frames)
    assert {grayed} == {2} == {v4l2(kind, "gray") for kind in ("yuyv", "uyvy", "nv12")}
    decoded = next(writes for frames, writes in rows.items() if "decoded into" in frames)
    assert {decoded} == {1} == {v4l2("mjpeg", graph) for graph in ("bgr", "rgb", "gray")}
    both = next(writes for frames, writes in rows.items() if "decoded and converted" in frames)
    assert {both} == {3} == {v4l2("mjpeg", graph) for graph in ("yuyv", "uyvy", "nv12")}
    assert len(rows) == 7


def test_network_cameras(captured):
    found = table()
    mjpeg = {"FOURCC": cv2.VideoWriter.fourcc(*"MJPG")}

    def ffmpeg():
        return FFmpegConnection("rtsp://127.0.0.1/line")

    assert captured(ffmpeg, "bgr", PACKET, **mjpeg) == 1
    assert captured(ffmpeg, "nv12", PACKET, **mjpeg) == 3
    (piped,) = (writes for (source, _), writes in found.items() if "by GStreamer" in source)
    assert piped == 3, "as tests/stream/source/gstreamer/test_rtsp.py counts"
    (h264,) = (writes for (source, _), writes in found.items() if "by FFmpeg" in source)
    assert h264 == 3 == captured(ffmpeg, "bgr", raw("bgr"))


def test_pipelines(captured, monkeypatch):
    found = table()
    opened_as = []
    monkeypatch.setattr(gstreamer, "GStreamerConnection", lambda *a, **k: opened_as.append((a, k)))
    for graph in ("nv12", "gray", "bgr", "yuyv"):
        options = gstreamer.CameraOptions(Mode(), SIZE, 1, graph)
        monkeypatch.setattr(
            gstreamer.CameraOptions, "camera", lambda self, name, connect: connect()
        )
        gstreamer.open_csi("0", options)
    writes = {
        graph: captured(lambda a=a, k=k: GStreamerConnection(*a, **k), graph, raw(graph))
        for graph, (a, k) in zip(("nv12", "gray", "bgr", "yuyv"), opened_as, strict=True)
    }
    csi = {frames: count for (source, frames), count in found.items() if "csi" in source}
    (converter,) = (count for frames, count in csi.items() if "converter" in frames)
    (software,) = (count for frames, count in csi.items() if "videoconvert" in frames)
    assert writes == {"nv12": converter, "gray": converter, "bgr": software, "yuyv": software}
    (users,) = (count for (source, _), count in found.items() if "gst" in source)
    assert users == 1 == captured(lambda: GStreamerConnection("x", "x"), "bgr", raw("bgr"))


def test_opencv(captured):
    rows = {frames: count for (source, frames), count in table().items() if "macOS" in source}

    def camera(graph):
        return lambda: OpenCvConnection(0, Mode(SIZE), graph, RuntimeError)

    yuyv = {"FOURCC": cv2.VideoWriter.fourcc(*"YUYV")}
    gray = {"FOURCC": cv2.VideoWriter.fourcc(*"GREY")}
    (same,) = (count for frames, count in rows.items() if "not converted" in frames)
    assert same == 2 == captured(camera("gray"), "gray", raw("gray"), **gray)
    (bgr,) = (count for frames, count in rows.items() if "a `bgr` graph" in frames)
    assert bgr == 2 == captured(camera("bgr"), "bgr", raw("bgr"), **yuyv)
    (other,) = (count for frames, count in rows.items() if "a `gray` graph" in frames)
    assert other == 3 == captured(camera("gray"), "gray", raw("bgr"), **yuyv)


def test_files_and_the_software_camera(clip, tmp_path):
    found = {source: count for (source, frames), count in table().items() if "others" not in frames}
    write_png(tmp_path / "part.png", smooth())
    assert found["image files, `watch://`"] == 2 == opened(str(tmp_path / "part.png"))
    assert found["`test://`"] == 1 == opened("test://64x48@500")
    assert found["video files"] == 1 == opened(str(clip))
    ours = {key for key in table() if key[0] != "`genicam://`"}
    assert len(ours) == 20, (
        "each row is tested here, `jetson+` in test_jetson.py, `genicam` in its folder"
    )
