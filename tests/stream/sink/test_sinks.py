"""Videos, lines and windows: complete on every way out."""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.stream.pipeline.results import Picture, Record, Result
from edgeseg.stream.sink import sinks
from edgeseg.stream.sink.overlay import GREEN, RED
from edgeseg.stream.sink.sinks import JsonlSink, VideoSink, has_display, open_sinks
from tests.kit.cards import make_card
from tests.kit.fakes import ListSource, picture

SIZE = (240, 320)


def make_result(index=0, *, score=0.9, arrival=1_700_000_000.0, label=None, frame_format="bgr"):
    channels = 1 if frame_format == "gray" else 3
    mask = np.zeros(SIZE, np.uint8)
    mask[100:140, 100:140] = 255
    anomalous = not score <= 0.75
    record = Record(
        index=index,
        label=label,
        arrival=arrival,
        milliseconds=12.3456,
        score=score,
        anomalous=anomalous,
        verdict="anomalous" if anomalous else "good",
    )
    shown = Picture(
        frame=np.full((*SIZE, channels), 90, np.uint8),
        mask=mask,
        anomaly_map=np.zeros((16, 16), np.float32),
    )
    return Result(record=record, picture=shown, frame_format=frame_format, threshold=0.5)


def make_record(index=0, **changes):
    return make_result(index, **changes).record


def seen(result, **changes):
    """A result with other arrays."""
    return replace(result, picture=replace(result.picture, **changes))


def open_video(path, *, fps=25.0, live=False):
    return VideoSink(path, size=SIZE, fps=fps, live=live)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1])
    return pictures


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_a_video_holds_every_picture(tmp_path, suffix):
    path = tmp_path / "new" / f"clip{suffix}"
    with open_video(path) as sink:
        for index in range(5):
            assert sink.write(make_result(index))
        assert not path.exists(), "it takes its name when it is complete"
    pictures = read_video(path)
    assert len(pictures) == 5
    assert pictures[0].shape == (*SIZE, 3)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_exception_leaves_a_complete_video(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(KeyboardInterrupt), open_video(path) as sink:
        sink.write(make_result())
        raise KeyboardInterrupt
    assert len(read_video(path)) == 1


def test_no_picture_leaves_no_video_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")
    with open_video(path):
        pass
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_live_video_runs_at_the_speed_of_life(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=30.0, live=True) as sink:
        for index in range(11):  # one result in three frames: the others were dropped
            sink.write(make_result(index, arrival=1e9 + index * 0.1))
    assert abs(len(read_video(path)) - 30) <= 1, "one second at 30 pictures a second"


def test_an_outage_is_cut_to_a_second(tmp_path):
    path = tmp_path / "clip.avi"
    with open_video(path, fps=10.0, live=True) as sink:
        sink.write(make_result(0, arrival=1e9))
        sink.write(make_result(1, arrival=1e9 + 3600))
        sink.write(make_result(2, arrival=1e9 + 3600.1))
    assert len(read_video(path)) == 1 + 10 + 1


def test_a_small_frame_makes_a_video_in_which_the_verdict_can_be_read(tmp_path):
    path = tmp_path / "clip.avi"
    small = seen(
        make_result(),
        frame=np.zeros((60, 80, 3), np.uint8),
        mask=np.zeros((60, 80), np.uint8),
    )
    with VideoSink(path, size=(60, 80), fps=25.0, live=False) as sink:
        sink.write(small)
    assert read_video(path)[0].shape == (240, 320, 3)


def test_a_suffix_that_is_no_video_is_refused(tmp_path):
    with pytest.raises(SinkError, match="no suffix of a video") as caught:
        open_video(tmp_path / "clip.gif")
    assert "clip.mp4" in caught.value.remedy


def test_without_its_codecs_a_video_is_refused_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(
        sinks.CODECS, ".mp4", ("avc1",) if not _has("avc1", tmp_path) else ("xxxx",)
    )
    with pytest.raises(SinkError, match="none of the codecs"):
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
    with pytest.raises(SinkError, match="cannot be made"):
        open_video(tmp_path / "file" / "clip.mp4")


def test_a_video_that_cannot_be_read_back_is_no_silent_loss(tmp_path):
    path = tmp_path / "clip.mp4"
    sink = open_video(path)
    sink.write(make_result())
    sink._writer.release()
    sink._part.write_bytes(b"the disk was full")
    with pytest.raises(SinkError, match="not readable after 1 pictures"):
        sink.close()
    assert not path.exists()


def test_lines_are_complete_while_the_stream_runs(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(make_record(0))
        assert json.loads(path.read_text()) == {
            "index": 0,
            "arrival": "2023-11-14T22:13:20.000+00:00",
            "score": 0.9,
            "verdict": "anomalous",
            "ms": 12.346,
        }
        sink.write(make_record(1, score=0.1, label="photos/ä.png"))
    line = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
    assert (line["file"], line["verdict"]) == ("photos/ä.png", "good")


def test_a_score_that_is_no_number_is_valid_json_and_anomalous(tmp_path):
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(make_record(score=float("nan")))
    line = json.loads(path.read_text())
    assert line["score"] is None
    assert line["verdict"] == "anomalous"


def test_lines_into_a_folder_are_refused(tmp_path):
    with pytest.raises(SinkError, match="cannot be written: Is a directory"):
        JsonlSink(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error_with_the_file_s_name():
    sink = JsonlSink(Path("/dev/full"))
    for step in (lambda: sink.write(make_record()), sink.close):
        with pytest.raises(SinkError, match="/dev/full cannot be written: No space left"):
            step()


@pytest.mark.parametrize(("score", "color", "other"), [(0.9, RED, GREEN), (0.1, GREEN, RED)])
@pytest.mark.parametrize("frame_format", ["bgr", "rgb", "gray"])
def test_the_overlay_of_every_format_has_the_verdict_s_color(score, color, other, frame_format):
    result = seen(
        make_result(score=score, frame_format=frame_format), mask=np.zeros(SIZE, np.uint8)
    )
    overlay = result.overlay
    assert overlay.shape == (*SIZE, 3)
    assert (overlay == color).all(axis=2).any()
    assert not (overlay == other).all(axis=2).any()
    assert result.overlay is overlay


def test_an_rgb_frame_is_shown_in_its_own_colors():
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[:, :, 0] = 200  # red in an RGB graph
    result = seen(make_result(frame_format="rgb"), frame=frame, mask=np.zeros(SIZE, np.uint8))
    np.testing.assert_array_equal(result.overlay[200, 300], (0, 0, 200))
    assert (frame[:, :, 0] == 200).all()


def test_displays():
    assert has_display({}, "win32") and has_display({}, "darwin")
    assert has_display({"DISPLAY": ":0"}, "linux")
    assert not has_display({}, "linux")
    assert not has_display({"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, "linux")


def test_sinks_of_a_configuration(tmp_path, monkeypatch, said):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sinks.sys, "platform", "linux")
    config = StreamConfig(out=tmp_path / "o.mp4", jsonl=tmp_path / "o.jsonl")
    with ExitStack() as stack:
        opened = open_sinks(config, make_card(), ListSource([]), stack=stack)
    assert [type(sink) for sink in opened] == [VideoSink, JsonlSink]
    assert said == [
        "There is no display here. The stream runs without a window; --no-window expects none."
    ]


def test_a_refused_sink_closes_those_before_it(tmp_path):
    (tmp_path / "o.jsonl").mkdir()
    config = StreamConfig(out=tmp_path / "o.mp4", jsonl=tmp_path / "o.jsonl", window=False)
    with pytest.raises(SinkError), ExitStack() as stack:
        open_sinks(config, make_card(), ListSource([]), stack=stack)
    assert [p.name for p in tmp_path.iterdir()] == ["o.jsonl"]


class Screen:
    """OpenCV's window functions, with a planned key and a planned close button."""

    def __init__(self, monkeypatch, *, keys=(), visible=1.0):
        self.keys, self.visible, self.shown = list(keys), visible, []
        for name in ("namedWindow", "imshow", "waitKey", "getWindowProperty", "destroyAllWindows"):
            monkeypatch.setattr(sinks.cv2, name, getattr(self, name))
        monkeypatch.setenv("DISPLAY", ":99")

    def namedWindow(self, title, flags): ...

    def imshow(self, title, image):
        self.shown.append(image)

    def waitKey(self, delay):
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, title, prop):
        return self.visible

    def destroyAllWindows(self):
        self.shown.append("closed")


def test_a_window_shows_the_overlay_until_a_key(monkeypatch):
    screen = Screen(monkeypatch, keys=[-1, ord("q")])
    with sinks.WindowSink("title") as window:
        assert window.write(make_result(0))
        assert not window.write(make_result(1))
    assert len(screen.shown) == 3
    assert screen.shown[-1] == "closed"


def test_closing_the_window_ends_the_stream(monkeypatch):
    Screen(monkeypatch, visible=0.0)
    with sinks.WindowSink("title") as window:
        assert not window.write(make_result())


def test_an_opencv_without_windows_is_no_reason_not_to_stream(monkeypatch, said):
    screen = Screen(monkeypatch)

    def refuse(title, flags):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(sinks.cv2, "namedWindow", refuse)
    with ExitStack() as stack:
        opened = open_sinks(StreamConfig(), make_card(), ListSource([picture()]), stack=stack)
    assert opened == []
    assert "built without windows" in said[0]
    assert screen.shown == []
