"""From what a user types to frames."""

import cv2
import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import DataError, SourceError
from edgeseg.opencv import GET_GSTREAMER, NO_GSTREAMER
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.source import open as sources
from edgeseg.stream.source.mode import Mode
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.reconnect import Camera
from edgeseg.stream.source.stamps import Stamp, draw_stamp, read_stamp
from edgeseg.stream.source.synthetic import SoftwareCamera
from tests.kit.fakes import picture
from tests.stream.conftest import REDS


def open_it(address, **wishes):
    return open_source(str(address), size=(48, 64), attempts=1, wish=Mode(**wishes))


def read_all(source):
    frames = []
    while source.read_into(frame := Frame()):
        frames.append(frame)
    return frames


def test_a_video_gives_every_frame_in_order(clip, said):
    with open_it(clip) as source:
        assert (source.live, source.fps, source.name) == (False, 25.0, str(clip))
        frames = read_all(source)
    reds = [f.image[:, :, 2].mean() for f in frames]
    np.testing.assert_allclose(reds, REDS, atol=4)
    assert said == []


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_stamps_go_through_a_video_file_and_come_back(tmp_path, name, codec):
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, (320, 240))
    drawn = [Stamp(count, 10_000_000_000 + 40_000 * count) for count in range(12)]
    for stamp in drawn:
        image = np.full((240, 320, 3), 140, np.uint8)
        draw_stamp(image, stamp)
        writer.write(image)
    writer.release()
    with open_it(path) as source:
        assert [read_stamp(frame.image) for frame in read_all(source)] == drawn


def test_a_video_reuses_a_frame_that_fits(clip):
    frame = Frame()
    with open_it(clip) as source:
        source.read_into(frame)
        buffer = frame.image
        source.read_into(frame)
        assert frame.image is buffer


def test_a_video_is_not_closed_under_a_read_that_hangs(clip, monkeypatch):
    monkeypatch.setattr("edgeseg.stream.source.files.CLOSE_SECONDS", 0.01)
    with open_it(clip) as source:
        with source._reading:
            source.close()
        assert source.read_into(Frame())
    assert not source.read_into(Frame())


def test_a_video_that_is_cut_off_says_how_much_is_missing(clip, tmp_path, said):
    data = clip.read_bytes()
    frames = [i for i in range(len(data)) if data.startswith(b"00dc", i)]
    damaged = bytearray(data)
    damaged[frames[3] :] = bytes(len(data) - frames[3])  # as an aborted copy leaves it
    path = tmp_path / "cut.avi"
    path.write_bytes(damaged)
    with open_it(path) as source:
        count = len(read_all(source))
    assert 0 < count < len(REDS)
    assert said == [
        f"{path} ended after {count} frames; its header promises 7: the rest cannot be decoded"
    ]


def test_a_file_that_is_no_video_is_refused_quietly(tmp_path, capfd):
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"no video at all " * 100)
    with pytest.raises(SourceError, match=r"notes\.mp4 cannot be read as a video"):
        open_it(path)
    assert capfd.readouterr().err == ""


def test_a_folder_gives_its_images_in_bgr_with_their_names(tmp_path):
    write_png(tmp_path / "test" / "good" / "1.png", picture(200, 10, 20)[:, :, ::-1])
    write_png(tmp_path / "test" / "bad" / "0.png", picture(100, 30, 40)[:, :, ::-1])
    write_png(tmp_path / "ground_truth" / "bad" / "0.png", np.zeros((30, 40), np.uint8))
    with open_it(tmp_path) as source:
        frames = read_all(source)
    assert [f.label for f in frames] == [
        str(tmp_path / "test" / "bad" / "0.png"),
        str(tmp_path / "test" / "good" / "1.png"),
    ]
    np.testing.assert_array_equal(frames[0].image, picture(100, 30, 40))
    np.testing.assert_array_equal(frames[1].image, picture(200, 10, 20))
    assert not source.live


def test_one_image_is_a_source(tmp_path):
    write_png(tmp_path / "part.png", picture(9)[:, :, ::-1])
    with open_it(tmp_path / "part.png") as source:
        assert len(read_all(source)) == 1


def test_a_corrupt_image_in_a_folder_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing more")
    with open_it(tmp_path) as source, pytest.raises(DataError, match=r"broken\.png is damaged"):
        source.read_into(Frame())


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="holds no image"):
        open_it(tmp_path)


def test_the_software_camera_is_named_by_size_and_rate():
    source = open_it("test://320x240@60")
    assert isinstance(source, SoftwareCamera)
    frame = Frame()
    source.read_into(frame)
    assert frame.image.shape == (240, 320, 3)
    assert source.fps == 60.0


@pytest.mark.parametrize("text", ["test://", "test://640", "test://0x5@9", "test://9x9@x"])
def test_a_software_camera_without_a_size_is_refused(text):
    with pytest.raises(SourceError, match="test://WIDTHxHEIGHT@FPS was expected"):
        open_it(text)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "1e9"])
def test_a_software_camera_of_an_impossible_rate_is_refused(rate):
    with pytest.raises(SourceError, match="frames per second"):
        open_it(f"test://64x48@{rate}")


@pytest.mark.parametrize("text", ["ftp://me:secret@x/y.mp4", "webcam://0"])
def test_an_unknown_scheme_gets_the_list_of_what_is_supported(text):
    with pytest.raises(SourceError) as caught:
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


def test_a_path_that_is_not_there_is_refused():
    with pytest.raises(SourceError, match=r"There is no file, .* 'nowhere/clip\.mp4'"):
        open_it("nowhere/clip.mp4")


class Opened:
    """Stands for a device, and keeps what it was opened with."""

    fps, patience, note = 30.0, 1, "delivers 64x48"

    def __init__(self, *asked):
        self.asked = asked


@pytest.fixture
def planted(monkeypatch):
    """Devices without hardware, on an OpenCV with GStreamer."""
    for name in ("OpenCVDevice", "NetworkDevice", "PipelineDevice"):
        monkeypatch.setattr(sources, name, type(name, (Opened,), {}))
    monkeypatch.setattr(sources, "has_gstreamer", lambda cv2: True)
    monkeypatch.setattr(sources, "need_gstreamer", lambda name: None)


def device_of(source):
    assert isinstance(source, Camera)
    return type(source._device).__name__, source._device.asked


@pytest.mark.parametrize(
    ("text", "address"),
    [("7", 7), ("v4l2:///dev/video7", "/dev/video7"), ("/dev/null", "/dev/null")],
)
def test_cameras_are_asked_for_by_number_and_by_device(planted, text, address):
    assert device_of(open_it(text)) == ("OpenCVDevice", (address, Mode((48, 64))))
    wish = {"size": (720, 1280), "fps": 60.0, "format": "mjpeg"}
    assert device_of(open_it(text, **wish)) == ("OpenCVDevice", (address, Mode(**wish)))


def test_a_camera_says_what_it_delivers(planted, said):
    open_it("7")
    assert said == ["camera 7 delivers 64x48"]


def test_a_csi_camera_is_a_pipeline(planted):
    device, (name, line, asked) = device_of(open_it("csi://1", fps=30.0))
    assert (device, name, asked) == ("PipelineDevice", "csi://1", Mode((48, 64), 30.0))
    assert line.startswith("nvarguscamerasrc sensor-id=1 ! ")
    assert line.endswith("appsink drop=true max-buffers=1 sync=false")
    open_it("csi://1", format="nv12")
    with pytest.raises(SourceError, match="a CSI camera sends nv12"):
        open_it("csi://1", format="mjpeg")
    with pytest.raises(SourceError, match="its number was expected"):
        open_it("csi://front")


def test_a_network_camera_goes_through_gstreamer_where_there_is_one(planted, monkeypatch):
    url = "rtsp://me:secret@host/live"
    source = open_it(url)
    device, (name, line) = device_of(source)
    assert (device, name, source.name) == ("PipelineDevice", *["rtsp://host/live"] * 2)
    assert line.startswith(f'rtspsrc location="{url}" protocols=tcp ')
    monkeypatch.setattr(sources, "has_gstreamer", lambda cv2: False)
    assert device_of(open_it(url)) == ("NetworkDevice", (url,))


@pytest.mark.parametrize("url", ["http://me:secret@host/video", "https://me:secret@host/video"])
def test_mjpeg_over_http_goes_through_ffmpeg(planted, url):
    source = open_it(url)
    assert device_of(source) == ("NetworkDevice", (url,))
    assert source.name == url.replace("me:secret@", "")


def test_a_users_pipeline_is_completed_or_told_of(planted, said):
    _, (_, line) = device_of(open_it("gst://videotestsrc is-live=true"))
    assert line.startswith("videotestsrc is-live=true ! videoconvert ! ")
    assert len(said) == 1
    _, (_, line) = device_of(open_it("gst://videotestsrc ! appsink sync=false"))
    assert line == "videotestsrc ! appsink sync=false"
    assert said[1] == (
        "gst://videotestsrc ! appsink sync=false: its appsink lacks drop=true, so frames wait and "
        "what is seen is old; write: appsink drop=true max-buffers=1 sync=false"
    )
    with pytest.raises(SourceError, match="names no pipeline"):
        open_it("gst://")


@pytest.mark.parametrize("text", ["csi://0", "gst://videotestsrc"])
def test_an_opencv_without_gstreamer_refuses_in_the_words_of_the_doctor(text, monkeypatch):
    monkeypatch.setattr("edgeseg.stream.source.opencv.has_gstreamer", lambda cv2: False)
    with pytest.raises(SourceError) as caught:
        open_it(text)
    assert caught.value.problem == f"{text} cannot be opened: {NO_GSTREAMER}."
    assert caught.value.remedy == GET_GSTREAMER


def test_what_cannot_be_asked_is_said(planted, clip, said):
    for text in ("test://64x48@30", "rtsp://host/live"):
        said.clear()
        open_it(text, fps=5.0)
        assert said[0] == (
            f"{text} sends what it sends: --width, --height, --fps and --camera-format "
            "(5 frames/s) are for USB and CSI cameras"
        )
    said.clear()
    open_it(str(clip), fps=5.0)
    assert said == [], "a file is read at that pace"
    open_it(str(clip), fps=5.0, format="nv12")
    assert "--camera-format (nv12)" in said[0]
