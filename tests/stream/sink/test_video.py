"""VideoSink: complete videos, whatever ends the stream."""

import cv2
import numpy as np
import pytest

from edgeseg.errors import SinkError
from edgeseg.stream.sink import video
from edgeseg.stream.sink.video import VideoSink
from tests.kit.errors import fails
from tests.stream.sink.results import SIZE, make_result, with_arrays


def open_video(path, *, fps=25.0, live=False):
    return VideoSink(path, size=SIZE, fps=fps, live=live)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    images = []
    while (read := capture.read())[0]:
        images.append(read[1])
    return images


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_a_video_holds_every_image(tmp_path, suffix):
    path = tmp_path / "new" / f"clip{suffix}"
    with open_video(path) as sink:
        for index in range(5):
            assert sink.write(make_result(index))
        assert not path.exists(), "it is renamed when it is complete"
    images = read_video(path)
    assert len(images) == 5
    assert images[0].shape == (*SIZE, 3)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_exception_leaves_a_complete_video(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(KeyboardInterrupt), open_video(path) as sink:
        sink.write(make_result())
        raise KeyboardInterrupt
    assert len(read_video(path)) == 1


def test_no_image_leaves_no_video_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")
    with open_video(path):
        pass
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_live_video_plays_in_real_time(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=30.0, live=True) as sink:
        for index in range(11):  # one result in three frames: the others were dropped
            sink.write(make_result(index, arrival=1e9 + index * 0.1))
    assert abs(len(read_video(path)) - 30) <= 1, "one second at 30 images/s"


def test_an_outage_is_cut_to_a_second(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=10.0, live=True) as sink:
        sink.write(make_result(0, arrival=1e9))
        sink.write(make_result(1, arrival=1e9 + 3600))
        sink.write(make_result(2, arrival=1e9 + 3600.1))
    assert len(read_video(path)) == 1 + 10 + 1


def test_a_small_frame_makes_a_video_in_which_the_verdict_can_be_read(tmp_path):
    path = tmp_path / "clip.avi"
    small = with_arrays(
        make_result(),
        frame=np.zeros((60, 80, 3), np.uint8),
        mask=np.zeros((60, 80), np.uint8),
    )
    with VideoSink(path, size=(60, 80), fps=25.0, live=False) as sink:
        sink.write(small)
    assert read_video(path)[0].shape == (240, 320, 3)


def test_a_suffix_that_is_no_video_is_refused(tmp_path):
    with fails(SinkError, "sink/unsupported-format") as caught:
        open_video(tmp_path / "clip.gif")
    assert "clip.mp4" in caught.value.remedy


def test_without_its_codecs_a_video_is_refused_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(
        video.CODECS, ".mp4", ("avc1",) if not _has("avc1", tmp_path) else ("xxxx",)
    )
    with fails(SinkError, "sink/cannot-open-video"):
        open_video(tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def _has(codec, folder):
    probe = folder / "probe.mp4"
    writer = cv2.VideoWriter(str(probe), cv2.VideoWriter.fourcc(*codec), 25.0, (320, 240))
    opened = writer.isOpened()
    writer.release()
    probe.unlink(missing_ok=True)
    return opened


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with fails(SinkError, "sink/folder"):
        open_video(tmp_path / "file" / "clip.mp4")


def test_a_video_that_cannot_be_read_back_is_an_error(tmp_path):
    path = tmp_path / "clip.mp4"
    sink = open_video(path)
    sink.write(make_result())
    sink._writer.release()
    sink._part.write_bytes(b"the disk was full")
    with fails(SinkError, "sink/unreadable-video"):
        sink.close()
    assert not path.exists()
