"""WindowSink and open_sinks: displays, keys, and what the settings name."""

from contextlib import ExitStack

import cv2
import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.stream.sink import window
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.sink.open import open_sinks
from edgeseg.stream.sink.video import VideoSink
from edgeseg.stream.sink.window import WindowSink, has_display
from tests.kit.cards import make_card
from tests.kit.fakes import ListSource, solid_image
from tests.stream.sink.results import make_result


def test_has_display():
    assert has_display({}, "win32") and has_display({}, "darwin")
    assert has_display({"DISPLAY": ":0"}, "linux")
    assert not has_display({}, "linux")
    assert not has_display({"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, "linux")


def test_open_sinks_without_a_display(tmp_path, monkeypatch, said):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    config = StreamConfig(out=tmp_path / "o.mp4", jsonl=tmp_path / "o.jsonl")
    with ExitStack() as stack:
        opened = open_sinks(config, make_card(), ListSource([]), stack=stack)
    assert [type(sink) for sink in opened] == [VideoSink, JsonlSink]
    assert said == [
        "no display available: streaming without a window (to choose this: --no-window)"
    ]


def test_a_refused_sink_closes_those_before_it(tmp_path):
    (tmp_path / "o.jsonl").mkdir()
    config = StreamConfig(out=tmp_path / "o.mp4", jsonl=tmp_path / "o.jsonl", window=False)
    with pytest.raises(SinkError), ExitStack() as stack:
        open_sinks(config, make_card(), ListSource([]), stack=stack)
    assert [p.name for p in tmp_path.iterdir()] == ["o.jsonl"]


class Screen:
    """Replaces OpenCV's window functions, with planned keys and visibility."""

    def __init__(self, monkeypatch, *, keys=(), visible=1.0):
        self.keys, self.visible, self.shown = list(keys), visible, []
        for name in ("namedWindow", "imshow", "waitKey", "getWindowProperty", "destroyAllWindows"):
            monkeypatch.setattr(window.cv2, name, getattr(self, name))
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
    with WindowSink("title") as sink:
        assert sink.write(make_result(0))
        assert not sink.write(make_result(1))
    assert len(screen.shown) == 3
    assert screen.shown[-1] == "closed"


def test_closing_the_window_ends_the_stream(monkeypatch):
    Screen(monkeypatch, visible=0.0)
    with WindowSink("title") as sink:
        assert not sink.write(make_result())


def test_open_sinks_without_window_support(monkeypatch, said):
    screen = Screen(monkeypatch)

    def refuse(title, flags):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(window.cv2, "namedWindow", refuse)
    with ExitStack() as stack:
        opened = open_sinks(StreamConfig(), make_card(), ListSource([solid_image()]), stack=stack)
    assert opened == []
    assert "no window support" in said[0]
    assert screen.shown == []
