"""WindowSink, its process and open_sinks: displays, keys, and what the settings name."""

import io
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import ConfigError, SinkError, WriteError
from edgeseg.stream.sink import screen, window
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.sink.open import check_sinks, open_sinks
from edgeseg.stream.sink.screen import HEADER, NO_WINDOWS, READY
from edgeseg.stream.sink.video import VideoSink
from edgeseg.stream.sink.window import WindowSink, has_display
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import ListSource, solid_image
from tests.stream.sink.results import make_result

WAIT = 10.0  # seconds; a longer wait is a failure


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


def test_a_window_that_was_asked_for_is_not_left_out(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    with ExitStack() as stack, fails(SinkError, "sink/no-display"):
        open_sinks(StreamConfig(window=True), make_card(), ListSource([]), stack=stack)


def test_a_refused_sink_closes_those_before_it(tmp_path):
    (tmp_path / "o.jsonl").mkdir()
    config = StreamConfig(out=tmp_path / "o.mp4", jsonl=tmp_path / "o.jsonl", window=False)
    with fails(WriteError, "write/failed"), ExitStack() as stack:
        open_sinks(config, make_card(), ListSource([]), stack=stack)
    assert [p.name for p in tmp_path.iterdir()] == ["o.jsonl"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"source": "clip.mp4", "out": "clip.mp4"}, "output/is-input"),
        ({"source": "clip.mp4", "out": "./sub/../CLIP.mp4"}, "output/is-input"),
        ({"source": "clip.mp4", "out": "link.mp4"}, "output/is-input"),
        ({"source": "part.png", "jsonl": "part.png"}, "output/is-input"),
        ({"source": "part.png", "jsonl": "model.onnx"}, "output/is-input"),
        ({"source": "part.png", "out": "o.mp4", "jsonl": "o.mp4"}, "output/same"),
    ],
)
def test_an_output_that_is_an_input_is_refused(tmp_path, monkeypatch, settings, code):
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "part.png", "model.onnx"):
        (tmp_path / name).write_bytes(b"the user's")
    (tmp_path / "link.mp4").hardlink_to(tmp_path / "clip.mp4")
    with fails(ConfigError, code):
        outputs = {name: Path(settings[name]) for name in ("out", "jsonl") if name in settings}
        config = StreamConfig(source=settings["source"], overwrite=True, **outputs)
        check_sinks(config, tmp_path / "model.onnx")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"the user's"}


class Monitor:
    """Replaces OpenCV's window functions, with planned keys and visibility."""

    def __init__(self, monkeypatch, *, keys=(), visible=1.0):
        self.keys, self.visible, self.shown = list(keys), visible, []
        for name in ("namedWindow", "imshow", "waitKey", "getWindowProperty", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, getattr(self, name))

    def namedWindow(self, title, flags): ...

    def imshow(self, title, image):
        self.shown.append(image.copy())

    def waitKey(self, delay):
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, title, prop):
        return self.visible

    def destroyAllWindows(self):
        self.shown.append("closed")


def sent(*reds):
    """The bytes of images for the process of the window."""
    images = [solid_image(red) for red in reds]
    return b"".join(HEADER.pack(*image.shape[:2]) + image.tobytes() for image in images)


class Slow(io.BytesIO):
    """An input that ends only when it is told to."""

    def __init__(self, data):
        super().__init__(data)
        self.over = threading.Event()

    def read(self, size=-1):
        data = super().read(size)
        if len(data) < size:
            self.over.wait(WAIT)
        return data


def test_the_newest_image_is_shown_until_the_input_ends(monkeypatch):
    monitor, answers = Monitor(monkeypatch), io.BytesIO()
    screen.show("title", io.BytesIO(sent(10, 20, 255)), answers)
    assert answers.getvalue() == READY
    assert monitor.shown[-1] == "closed"
    np.testing.assert_array_equal(monitor.shown[-2], solid_image(255))


@pytest.mark.parametrize("settings", [{"keys": [-1, ord("q")]}, {"keys": [27]}, {"visible": 0.0}])
def test_a_key_or_closing_the_window_ends_it(monkeypatch, settings):
    monitor, source = Monitor(monkeypatch, **settings), Slow(sent(7))
    screen.show("title", source, io.BytesIO())
    source.over.set()
    assert monitor.shown[-1] == "closed"


def test_half_an_image_is_not_shown(monkeypatch):
    monitor = Monitor(monkeypatch)
    screen.show("title", io.BytesIO(sent(7)[:-1]), io.BytesIO())
    assert monitor.shown == ["closed"]


def test_opencv_without_windows_says_so(monkeypatch):
    def refuse(title, flags):
        raise cv2.error("The function is not implemented")

    Monitor(monkeypatch)
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    answers = io.BytesIO()
    screen.show("title", io.BytesIO(), answers)
    assert answers.getvalue() == NO_WINDOWS


READS = "import sys; out = sys.stdout.buffer; out.write(b'1'); out.flush(); "


@pytest.fixture
def process(monkeypatch):
    """Sets the program of the window's process."""
    monkeypatch.setenv("DISPLAY", ":99")

    def set_program(program):
        monkeypatch.setattr(window, "COMMAND", (sys.executable, "-c", program))

    return set_program


def until(condition):
    over = threading.Event()
    for _ in range(1000):
        if condition():
            return True
        over.wait(WAIT / 1000)
    return False


def test_a_window_gets_whole_images(process, tmp_path):
    path = tmp_path / "got"
    process(READS + f"open({str(path)!r}, 'wb').write(sys.stdin.buffer.read())")
    with WindowSink("title") as sink:
        assert sink.write(make_result()) and sink.idle()
        assert until(lambda: sink._image is None)
    overlay = make_result().overlay
    assert path.read_bytes() == HEADER.pack(*overlay.shape[:2]) + overlay.tobytes()


def test_closing_the_window_ends_the_stream(process):
    process(READS)
    with WindowSink("title") as sink:
        assert until(lambda: not sink.write(make_result()))
        assert not sink.idle()


def test_a_display_that_dies_ends_the_window_and_not_the_stream(process, said):
    process(READS + "sys.stdin.buffer.read(8); import os; os.abort()")
    with WindowSink("title") as sink:
        sink.write(make_result())
        assert until(lambda: sink._process.poll() is not None)
        for _ in range(3):
            assert sink.write(make_result()) and sink.idle()
    assert said == ["the window was lost with its display; the stream continues without it"]
    assert sink.error is None


def test_a_window_that_does_not_read_blocks_nothing(process, monkeypatch):
    monkeypatch.setattr(window, "CLOSE_SECONDS", 0.05)
    process(READS + "import time; time.sleep(60)")
    with WindowSink("title") as sink:
        for _ in range(20):
            assert sink.write(make_result())
    assert sink._process.poll() is not None


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os; os.abort()", "sink/no-display"),
        ("import time; time.sleep(60)", "sink/no-display"),
        ("print(0, end='')", "sink/no-window-support"),
    ],
)
def test_a_window_that_does_not_open_is_refused(process, monkeypatch, program, code):
    monkeypatch.setattr(window, "START_SECONDS", 0.5)
    monkeypatch.setattr(window, "CLOSE_SECONDS", 0.05)
    process(program)
    with fails(SinkError, code):
        WindowSink("title")


def test_a_window_whose_process_cannot_start_is_refused(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(window, "COMMAND", ("/nowhere/python",))
    with fails(SinkError, "sink/no-display"):
        WindowSink("title")


@pytest.mark.skipif(sys.platform != "linux", reason="a display of X11")
def test_a_dead_display_does_not_end_this_process(monkeypatch, said):
    monkeypatch.setenv("DISPLAY", "localhost:77")  # nobody listens there
    with ExitStack() as stack:
        config = StreamConfig()
        assert open_sinks(config, make_card(), ListSource([]), stack=stack) == []
    assert len(said) == 1 and "without a window" in said[0]
