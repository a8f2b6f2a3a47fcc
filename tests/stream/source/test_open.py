"""open_source: from an address to a source."""

import sys

import pytest

from edgeseg.config import StreamConfig
from edgeseg.data.images import write_png
from edgeseg.errors import DataError, SourceError
from edgeseg.stream.source import local, network, opencv_camera
from edgeseg.stream.source import open as open_module
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera, CameraOptions, Mode
from edgeseg.stream.source.gstreamer import open as pipelines
from edgeseg.stream.source.gstreamer.text import APPSINK
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.synthetic import SyntheticCamera
from edgeseg.stream.source.v4l2 import camera as v4l2
from edgeseg.stream.source.v4l2.connection import Wanted
from edgeseg.stream.source.v4l2.device import NotCaptureDevice
from edgeseg.stream.source.v4l2.mode import UnsupportedFormat
from tests.kit.errors import fails
from tests.kit.fakes import solid_image
from tests.stream.source.captures import choose


def open_it(address, **requested):
    return open_source(str(address), size=(48, 64), attempts=1, requested=Mode(**requested))


def test_the_synthetic_camera_is_named_by_size_and_rate():
    source = open_it("test://320x240@60")
    assert isinstance(source, SyntheticCamera)
    frame = Frame()
    source.read_into(frame)
    assert frame.image.shape == (240, 320, 3)
    assert source.fps == 60.0


@pytest.mark.parametrize("text", ["test://", "test://640", "test://0x5@9", "test://9x9@x"])
def test_a_synthetic_camera_without_a_size_is_refused(text):
    with fails(SourceError, "source/invalid-test"):
        open_it(text)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "1e9"])
def test_a_synthetic_camera_of_an_impossible_rate_is_refused(rate):
    with fails(SourceError, "source/invalid-test"):
        open_it(f"test://64x48@{rate}")


@pytest.mark.parametrize("text", ["ftp://me:secret@x/y.mp4", "webcam://0"])
def test_an_unknown_scheme_gets_the_list_of_what_is_supported(text):
    with fails(SourceError, "source/unsupported") as caught:
        open_it(text)
    for supported in (
        "v4l2:///dev/video0",
        "csi://0",
        "rtsp://",
        "gst://",
        "video file",
        "test://",
    ):
        assert supported in caught.value.problem
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere/clip.mp4", "Pr\udcfcf.mp4", "a\nb\x1b[31m.mp4", "-x"])
def test_a_path_that_is_not_there_is_refused(name):
    with fails(SourceError, "source/not-found") as caught:
        open_it(name)
    assert caught.value.problem.isprintable()


def test_a_name_that_is_too_long_is_refused():
    with fails(SourceError, "source/unreadable"):
        open_it("n" * 5000)


def test_an_address_without_its_scheme_is_not_shown():
    with fails(SourceError, "source/not-found") as caught:
        open_it("admin:s3cret@10.0.0.9/live")
    assert "s3cret" not in str(caught.value)


def test_a_camera_stays_a_camera_beside_a_folder_of_its_number(planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    for config in (StreamConfig(), StreamConfig(camera="0")):
        assert connection_of(open_it(config.address()))[0] == "V4L2Connection"
    with fails(DataError, "data/no-images"):
        open_it(StreamConfig(source="0").address())


def test_a_folder_named_by_its_date_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "20240131" / "part.png", solid_image())
    with open_it("20240131") as source:
        assert source.read_into(frame := Frame())
    assert (source.live, frame.label) == (False, "20240131/part.png")


class Opened:
    """Replaces a connection, and keeps its arguments."""

    fps, max_missing, note, path, live = 30.0, 1, "delivers 64x48", "planted", True

    def __init__(self, *asked, **options):
        self.asked = asked


@pytest.fixture
def planted(monkeypatch):
    """Connections without hardware, on an OpenCV with GStreamer."""
    for module, name in (
        (opencv_camera, "OpenCvConnection"),
        (network, "FFmpegConnection"),
        (network, "GStreamerConnection"),
        (pipelines, "GStreamerConnection"),
        (pipelines, "AppsinkConnection"),
        (network, "AppsinkConnection"),
    ):
        monkeypatch.setattr(module, name, type(name, (Opened,), {}))
    choose(monkeypatch, "OpenCV")

    def open_planted(name, path, asked, wanted, **rest):
        return Camera(name, lambda: V4L2Connection(path, asked, wanted), attempts=1)

    monkeypatch.setattr(v4l2, "open_v4l2", open_planted)


V4L2Connection = type("V4L2Connection", (Opened,), {})
linux = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux'")


def connection_of(source):
    assert isinstance(source, Camera)
    return type(source._connection).__name__, source._connection.asked


@linux
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("7", "/dev/video7"),
        ("v4l2://7", "/dev/video7"),
        ("v4l2:///dev/video7", "/dev/video7"),
        ("/dev/null", "/dev/null"),
    ],
)
def test_cameras_are_asked_for_by_number_and_by_device(planted, text, path):
    wanted = Wanted("bgr", (48, 64))
    assert connection_of(open_it(text)) == ("V4L2Connection", (path, Mode((48, 64)), wanted))
    requested = {"size": (720, 1280), "fps": 60.0, "format": "mjpeg"}
    asked = Mode(**requested)
    assert connection_of(open_it(text, **requested)) == ("V4L2Connection", (path, asked, wanted))


@pytest.mark.parametrize(("text", "address"), [("7", 7), ("/dev/null", "/dev/null")])
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_have_opencv(planted, monkeypatch, text, address, platform):
    monkeypatch.setattr(local.sys, "platform", platform)
    name, asked = connection_of(open_it(text))
    assert name == "OpenCvConnection" and asked[:3] == (address, Mode((48, 64)), "bgr")


@linux
@pytest.mark.parametrize("kind", [NotCaptureDevice, UnsupportedFormat])
def test_so_have_devices_that_are_no_cameras_of_v4l2(planted, monkeypatch, kind, said):
    def refuse(*arguments, **options):
        raise kind("Y16 ")

    monkeypatch.setattr(v4l2, "open_v4l2", refuse)
    assert connection_of(open_it("7"))[0] == "OpenCvConnection"
    assert said[0].startswith("camera 7: opened through OpenCV") and said[0].endswith(": Y16 ")


def test_a_camera_logs_what_it_delivers(planted, said):
    open_it("7")
    assert said == ["camera 7: delivers 64x48"]


def test_a_csi_camera_is_a_pipeline(planted):
    kind, (name, line, sent, asked) = connection_of(open_it("csi://1", fps=30.0))
    assert (kind, name, asked) == ("GStreamerConnection", "csi://1", Mode((48, 64), 30.0))
    assert line.startswith("nvarguscamerasrc sensor-id=1 ! ")
    assert line.endswith("appsink drop=true max-buffers=1 sync=false") and sent == "bgr"
    open_it("csi://1", format="nv12")
    with fails(SourceError, "source/csi-format"):
        open_it("csi://1", format="mjpeg")
    with fails(SourceError, "source/invalid-csi"):
        open_it("csi://front")


def test_rtsp_goes_through_gstreamer_if_there_is_one(planted, monkeypatch):
    url = "rtsp://me:secret@host/live"
    source = open_it(url)
    kind, (name, line, _) = connection_of(source)
    assert (kind, name, source.name) == ("GStreamerConnection", *["rtsp://host/live"] * 2)
    assert line.startswith(f'rtspsrc location="{url}" protocols=tcp ')
    choose(monkeypatch, "PyGObject")
    kind, (name, line, _) = connection_of(open_it(url))
    assert (kind, name) == ("AppsinkConnection", "rtsp://host/live")
    assert line.startswith(f'rtspsrc location="{url}" protocols=tcp ')
    assert line.endswith(f'decodebin name=decoder caps="{network.DECODED}" {APPSINK}')
    choose(monkeypatch, None)
    assert connection_of(open_it(url)) == ("FFmpegConnection", (url,))


@pytest.mark.parametrize("url", ["http://me:secret@host/video", "https://me:secret@host/video"])
def test_mjpeg_over_http_goes_through_ffmpeg(planted, url):
    source = open_it(url)
    assert connection_of(source) == ("FFmpegConnection", (url,))
    assert source.name == url.replace("me:secret@", "")


def test_a_users_pipeline_is_completed(planted, said):
    _, (_, line, sent) = connection_of(open_it("gst://videotestsrc is-live=true"))
    assert sent == "bgr"
    assert line.startswith("videotestsrc is-live=true ! videoconvert ! ")
    assert len(said) == 1
    _, (_, line, sent) = connection_of(open_it("gst://videotestsrc ! appsink sync=false"))
    assert sent is None, "only its frames tell the format"
    assert line == "videotestsrc ! appsink sync=false"
    name, sink = "gst://videotestsrc ! appsink sync=false", APPSINK
    assert said[2].startswith(f"{name}: its appsink lacks drop=true") and said[2].endswith(sink)
    with fails(SourceError, "source/empty-pipeline"):
        open_it("gst://")


@pytest.mark.parametrize("text", ["csi://0", "gst://videotestsrc"])
def test_a_machine_without_gstreamer(text, monkeypatch):
    choose(monkeypatch, None)
    with fails(SourceError, "source/no-gstreamer") as caught:
        open_it(text)
    assert caught.value.problem == f"cannot open {text}: no GStreamer."
    assert caught.value.remedy == "install it"


@pytest.mark.parametrize("graph", ["rgb", "nv12"])
def test_a_csi_camera_by_pygobject_sends_rgb_too(planted, monkeypatch, graph):
    choose(monkeypatch, "PyGObject")
    source = open_source("csi://0", size=(48, 64), attempts=1, frame_format=graph)
    kind, (name, line, _, asked) = connection_of(source)
    assert (kind, name, asked) == ("AppsinkConnection", "csi://0", Mode((48, 64)))
    assert f"format={graph.upper()} ! {APPSINK}" in line


def test_an_unused_mode_is_logged(planted, clip, said):
    for text in ("test://64x48@30", "rtsp://host/live"):
        said.clear()
        open_it(text, fps=5.0)
        assert said[0].endswith(f"ignored for {text}: 5 frames/s")
    said.clear()
    open_it(str(clip), fps=5.0)
    assert said == [], "the playback rate of a file"
    open_it(str(clip), fps=5.0, format="nv12")
    assert said[0].endswith(": nv12")


class Registered:
    """An entry point of another package, and what it was called with."""

    def __init__(self):
        self.called = []

    def __call__(self, *, group, name):
        assert group == "edgeseg.sources"
        return [self] if name == "vendor" else []

    def load(self):
        return lambda *given: self.called.append(given) or SyntheticCamera(48, 64, 30.0)


def test_another_package_can_add_a_scheme(monkeypatch):
    registered = Registered()
    monkeypatch.setattr(open_module, "entry_points", registered)
    source = open_source(
        "Vendor://7?gain=2", size=(48, 64), attempts=2, requested=Mode(fps=5.0), frame_format="gray"
    )
    assert isinstance(source, SyntheticCamera)
    ((address, options),) = registered.called
    assert address == "Vendor://7?gain=2"
    assert options == CameraOptions(Mode(fps=5.0), (48, 64), 2, "gray")
    with fails(SourceError, "source/unsupported"):
        open_source("other://7", size=(48, 64), attempts=2)
