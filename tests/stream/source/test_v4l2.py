"""V4L2Connection with replaced captures."""

from pathlib import Path

import cv2
import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source import v4l2
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.v4l2 import V4L2Connection
from tests.kit.errors import fails
from tests.stream.source.captures import FakeCapture


@pytest.mark.skipif(Path("/dev/video63").exists(), reason="this machine has 64 cameras")
def test_a_missing_camera(capfd):
    with fails(SourceError, "source/camera-missing") as caught:
        V4L2Connection(63, Mode((48, 64)))
    assert "63" in caught.value.problem
    assert capfd.readouterr().err == "", "no warnings of OpenCV"


@pytest.mark.parametrize(
    ("present", "found", "offered"),
    [
        ([], "found no /dev/video*", ""),
        (["video10", "video2", "video-codec"], "video2, ", ", or choose another: --camera 2"),
    ],
)
def test_only_cameras_that_are_there_are_offered(tmp_path, monkeypatch, present, found, offered):
    for name in present:
        (tmp_path / name).touch()
    monkeypatch.setattr(v4l2, "DEVICES", tmp_path)
    with fails(SourceError, "source/camera-missing") as caught:
        V4L2Connection(99_999_999_999, Mode((48, 64)))
    assert found in caught.value.problem and "video-codec" not in caught.value.problem
    assert caught.value.remedy.startswith(f"connect it{offered}; or without a camera: ")


def test_a_camera_of_any_name_is_refused_cleanly():
    with fails(SourceError, "source/camera-missing") as caught:
        V4L2Connection("/dev/v\udcfcdeo\n", Mode((48, 64)))
    assert caught.value.problem.isprintable()


def test_a_camera_that_cannot_be_opened(tmp_path):
    node = tmp_path / "video0"
    node.write_bytes(b"")
    with fails(SourceError, "source/camera-busy"):
        V4L2Connection(str(node), Mode((48, 64)))


def test_a_camera_is_asked_for_the_format_first(plant):
    capture = plant(FakeCapture(FOURCC=cv2.VideoWriter.fourcc(*"YUYV")))
    connection = V4L2Connection(0, Mode((480, 640), 60.0, "mjpeg"))
    assert capture.calls == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
        (cv2.CAP_PROP_FPS, 60.0),
    ]
    assert connection.note == (
        "requested 640x480, 60 frames/s, mjpeg, delivers 1280x720, 30 frames/s, yuyv"
    )
    assert (connection.fps, connection.max_missing) == (30.0, 5)


def test_a_camera_is_asked_only_for_what_is_requested(plant):
    capture = plant(FakeCapture(FPS=0.0))
    connection = V4L2Connection(0, Mode((720, 1280)))
    assert [key for key, _ in capture.calls] == [
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
    ]
    assert (connection.note, connection.fps) == ("requested 1280x720", 30.0)
