"""Cameras that are not there or cannot be opened."""

import sys
from pathlib import Path

import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source import local
from edgeseg.stream.source.camera import CameraOptions, Mode
from edgeseg.stream.source.local import open_local
from tests.kit.errors import fails

OPTIONS = CameraOptions(Mode(), (48, 64), attempts=1)


@pytest.mark.skipif(Path("/dev/video63").exists(), reason="this machine has 64 cameras")
def test_a_missing_camera(capfd):
    with fails(SourceError, "source/camera-missing") as caught:
        open_local(63, OPTIONS)
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
    monkeypatch.setattr(local, "DEVICES", tmp_path)
    with fails(SourceError, "source/camera-missing") as caught:
        open_local(99_999_999_999, OPTIONS)
    assert found in caught.value.problem and "video-codec" not in caught.value.problem
    assert caught.value.remedy.startswith(f"connect it{offered}; or without a camera: ")


@pytest.mark.parametrize("name", ["/dev/v\udcfcdeo\n", "/dev/vid\0eo"])
def test_a_camera_of_any_name_is_refused_cleanly(name):
    with fails(SourceError, "source/camera-missing") as caught:
        open_local(name, OPTIONS)
    assert caught.value.problem.isprintable()


@pytest.mark.parametrize("content", [b"", b"no camera"])
def test_a_camera_that_cannot_be_opened(tmp_path, content, said):
    """Neither as a device of V4L2, nor by OpenCV."""
    node = tmp_path / "video0"
    node.write_bytes(content)
    with fails(SourceError, "source/camera-busy"):
        open_local(str(node), OPTIONS)
    assert sys.platform != "linux" or said == [
        f"camera {node}: opened through OpenCV: it has no V4L2 driver"
    ]
