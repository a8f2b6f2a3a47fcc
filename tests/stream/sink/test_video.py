"""VideoSink: videos that play, whatever ended the stream, the process or the disk."""

import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import chain, repeat

import cv2
import numpy as np
import pytest

from edgeseg.errors import EdgesegError, SinkError, WriteError
from edgeseg.stream.sink import encoder
from edgeseg.stream.sink.video import VideoSink
from tests.kit.errors import fails
from tests.kit.names import any_name
from tests.kit.processes import running
from tests.stream.sink.results import SIZE, make_result, with_arrays

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov")
HAS_PYAV = find_spec("av") is not None
needs_pyav = pytest.mark.skipif(not HAS_PYAV, reason="PyAV is not installed")
posix = pytest.mark.skipif(os.name == "nt", reason="kills and limits of POSIX")


@pytest.fixture(params=["PyAV", "OpenCV"])
def each_encoder(request, monkeypatch):
    if request.param == "OpenCV":
        monkeypatch.setitem(sys.modules, "av", None)
    elif not HAS_PYAV:
        pytest.skip("PyAV is not installed")


def open_video(path, *, size=SIZE, fps=25.0, live=False, **options):
    return VideoSink(path, size=size, fps=fps, live=live, **options)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    images = []
    while (read := capture.read())[0]:
        images.append(read[1])
    return images


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_video_holds_every_image(tmp_path, suffix, each_encoder):
    path = tmp_path / "new" / f"clip{suffix}"
    with open_video(path) as sink:
        for index in range(5):
            assert sink.write(make_result(index))
    images = read_video(path)
    assert len(images) == 5
    assert images[0].shape == (*SIZE, 3)
    assert abs(int(images[0][200, 300].mean()) - 90) < 8, "the gray of the frame"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@needs_pyav
@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "h264"), (".mov", "h264"), (".mkv", "h264"), (".avi", "mjpeg")]
)
def test_the_codec_is_the_one_that_was_logged(tmp_path, said, suffix, codec):
    import av

    path = tmp_path / f"clip{suffix}"
    with open_video(path, fps=29.97) as sink:
        sink.write(make_result())
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == codec
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
    assert len(said) == 1 and {"h264": "H.264", "mjpeg": "MJPEG"}[codec] in said[0]


@needs_pyav
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_video_plays_while_it_is_written(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    with open_video(path, fps=5.0) as sink:
        for index in range(21):
            sink.write(make_result(index))
        assert len(read_video(path)) >= 15, "all but the last second"


PROGRAM = """
import sys
from pathlib import Path
from edgeseg.stream.sink.video import VideoSink
from tests.stream.sink.results import SIZE, make_result

sink = VideoSink(Path(sys.argv[1]), size=SIZE, fps=5.0, live=False, overwrite=True)
for index in range(41):
    sink.write(make_result(index))
print("ready", flush=True)
sys.stdin.read()
"""


@posix
@needs_pyav
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_process_leaves_all_but_the_last_second(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    with running(PROGRAM, path), fails(EdgesegError, "files/locked"):
        open_video(path, overwrite=True)
    assert len(read_video(path)) >= 35
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_a_complete_video(tmp_path, each_encoder):
    path = tmp_path / "clip.mp4"
    with pytest.raises(KeyboardInterrupt), open_video(path) as sink:
        sink.write(make_result())
        raise KeyboardInterrupt
    assert len(read_video(path)) == 1


def test_an_existing_file_is_kept_without_overwrite(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")
    (tmp_path / "clip-2.mp4").write_bytes(b"another")
    with fails(SinkError, "sink/exists") as caught:
        open_video(path)
    assert f"--out {tmp_path / 'clip-3.mp4'}" in caught.value.remedy
    assert path.read_bytes() == b"the old one"


def test_overwrite_replaces_the_name_and_not_what_it_links_to(tmp_path):
    target, path = tmp_path / "target.mp4", tmp_path / "clip.mp4"
    target.write_bytes(b"the old one")
    path.symlink_to(target)
    with open_video(path, overwrite=True) as sink:
        sink.write(make_result())
    assert target.read_bytes() == b"the old one"
    assert len(read_video(path)) == 1 and not path.is_symlink()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "clip.mp4"
    with open_video(path) as sink:
        path.write_bytes(b"another's")
        with fails(SinkError, "sink/video-ended"):
            sink.write(make_result())
    assert path.read_bytes() == b"another's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "no links")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "clip.mp4"
    with open_video(path) as sink:
        sink.write(make_result())
    assert len(read_video(path)) == 1 and list(tmp_path.iterdir()) == [path]
    with open_video(other := tmp_path / "other.mp4") as sink:
        other.write_bytes(b"another's")
        with fails(SinkError, "sink/exists"):
            sink.write(make_result())
    assert other.read_bytes() == b"another's"


def test_no_image_leaves_no_video_and_keeps_the_old_one(tmp_path, each_encoder):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")
    with open_video(path, overwrite=True):
        pass
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux are bytes")
@pytest.mark.parametrize("name", **any_name)
def test_any_name_is_written(tmp_path, each_encoder, name):
    path = tmp_path / name / f"{name}.mkv"
    with open_video(path) as sink:
        sink.write(make_result())
    assert list(path.parent.iterdir()) == [path]


def test_a_live_video_plays_in_real_time(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=30.0, live=True) as sink:
        for index in range(11):  # one result in three frames: the others were dropped
            sink.write(make_result(index, arrival=1e9 + index * 0.1))
    assert abs(len(read_video(path)) - 30) <= 1, "one second at 30 images/s"


def test_an_outage_and_a_step_of_the_clock_are_cut_to_a_second(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=10.0, live=True) as sink:
        sink.write(make_result(0, arrival=1e9))
        sink.write(make_result(1, arrival=1e9 + 3600))
        sink.write(make_result(2, arrival=1e9 + 3600.1))
        sink.write(make_result(3, arrival=1e9))
    assert len(read_video(path)) == 1 + 10 + 1 + 1


@pytest.mark.parametrize(("size", "right"), [((60, 80), (240, 320)), ((241, 323), (240, 322))])
def test_sizes_are_large_enough_for_text_and_even(tmp_path, each_encoder, size, right):
    path = tmp_path / "clip.mp4"
    result = with_arrays(
        make_result(), frame=np.zeros((*size, 3), np.uint8), mask=np.zeros(size, np.uint8)
    )
    with open_video(path, size=size) as sink:
        sink.write(result)
    assert read_video(path)[0].shape == (*right, 3)


def test_a_suffix_that_is_no_video_is_refused(tmp_path):
    with fails(SinkError, "sink/unsupported-format") as caught:
        open_video(tmp_path / "clip.gif")
    assert "clip.mp4" in caught.value.remedy


def test_without_its_codecs_a_video_is_refused_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(encoder.FOURCCS, ".mp4", "xxxx")
    with fails(SinkError, "sink/cannot-open-video"):
        open_video(tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with fails(WriteError, "write/failed"):
        open_video(tmp_path / "file" / "clip.mp4")


FULL = """
import resource, sys
from pathlib import Path
from edgeseg.errors import SinkError
from edgeseg.stream.sink.video import VideoSink
from tests.stream.sink.results import SIZE, make_result

resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
with VideoSink(Path(sys.argv[1]), size=SIZE, fps=5.0, live=False) as sink:
    for index in range(1000):
        try:
            sink.write(make_result(index))
        except SinkError as error:
            print(index, error.code)
            break
"""


@posix
@needs_pyav
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_noticed_at_once_and_what_was_written_plays(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    index, code = done.stdout.split()
    assert code == b"sink/video-ended"
    played = len(read_video(path))
    assert int(index) - 10 <= played <= int(index), "all but two seconds"


def test_opencv_s_video_ends_before_the_disk_is_full(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    free = chain([100 << 20, 100 << 20], repeat(encoder.ROOM - 1))
    monkeypatch.setattr(
        encoder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)})
    )
    path = tmp_path / "clip.mp4"
    with open_video(path, fps=5.0) as sink, fails(SinkError, "sink/video-ended") as caught:
        for index in range(20):
            sink.write(make_result(index))
    assert os.strerror(errno.ENOSPC) in caught.value.problem
    assert len(read_video(path)) == 5


def test_a_video_that_cannot_be_read_back_is_an_error(tmp_path, each_encoder):
    path = tmp_path / "clip.mp4"
    sink = open_video(path)
    sink.write(make_result())
    sink._encoder.close()
    path.write_bytes(b"the disk was full")
    sink._encoder = type("Closed", (), {"close": lambda self: None})()
    with fails(SinkError, "sink/unreadable-video"):
        sink.close()
