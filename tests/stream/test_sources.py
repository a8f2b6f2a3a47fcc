"""From what a user types to frames."""

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import DataError, SourceError
from edgeseg.stream.cameras import Camera, SoftwareCamera
from edgeseg.stream.ring import Frame
from edgeseg.stream.sources import open_source
from tests.stream.conftest import REDS
from tests.stream.fakes import picture


def open_it(address, said=None):
    say = (said if said is not None else []).append
    return open_source(str(address), size=(48, 64), attempts=1, say=say)


def read_all(source):
    frames = []
    while source.read_into(frame := Frame()):
        frames.append(frame)
    return frames


def test_a_video_gives_every_frame_in_order(clip):
    said = []
    with open_it(clip, said) as source:
        assert (source.live, source.fps, source.name) == (False, 25.0, str(clip))
        frames = read_all(source)
    reds = [f.image[:, :, 2].mean() for f in frames]
    np.testing.assert_allclose(reds, REDS, atol=4)
    assert said == []


def test_a_video_reuses_a_frame_that_fits(clip):
    frame = Frame()
    with open_it(clip) as source:
        source.read_into(frame)
        buffer = frame.image
        source.read_into(frame)
        assert frame.image is buffer


def test_a_video_that_is_cut_off_says_how_much_is_missing(clip, tmp_path):
    data = clip.read_bytes()
    frames = [i for i in range(len(data)) if data.startswith(b"00dc", i)]
    damaged = bytearray(data)
    damaged[frames[3] :] = bytes(len(data) - frames[3])  # as an aborted copy leaves it
    path = tmp_path / "cut.avi"
    path.write_bytes(damaged)
    said = []
    with open_it(path, said) as source:
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


@pytest.mark.parametrize("text", ["rtsp://10.0.0.7/live", "csi://0", "http://x/y.mp4"])
def test_an_unknown_scheme_gets_the_list_of_what_is_supported(text):
    with pytest.raises(SourceError) as caught:
        open_it(text)
    for supported in ("v4l2:///dev/video0", "video file", "folder", "test://640x480@30"):
        assert supported in caught.value.problem


def test_a_path_that_is_not_there_is_refused():
    with pytest.raises(SourceError, match=r"There is no file, .* 'nowhere/clip\.mp4'"):
        open_it("nowhere/clip.mp4")


@pytest.mark.parametrize(
    ("text", "address"),
    [("7", 7), ("v4l2:///dev/video7", "/dev/video7"), ("/dev/null", "/dev/null")],
)
def test_cameras_are_asked_for_by_number_and_by_device(monkeypatch, text, address):
    asked = []

    class Device:
        fps = 30.0

        def __init__(self, address, size):
            asked.append((address, size))

    monkeypatch.setattr("edgeseg.stream.sources.OpenCVDevice", Device)
    assert isinstance(open_it(text), Camera)
    assert asked == [(address, (48, 64))]
