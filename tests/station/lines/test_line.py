"""Cameras of a station, with a backend of known answers and sources made here."""

import gc
import threading
import weakref

import numpy as np
import pytest

from edgeseg.errors import ConfigError, SourceError
from edgeseg.runtime.fake import FakeBackend
from edgeseg.station.config import CameraConfig
from edgeseg.station.inspection import Code
from edgeseg.station.journal import FILE, Journal, JournalReader
from edgeseg.station.lines.line import CameraLine, stream_config
from edgeseg.station.lines.recorder import Desk, Recorder
from edgeseg.stream.pipeline.in_flight import open_requests
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.source.base import Source
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.stations import until

HEIGHT, WIDTH = 48, 64


class Camera(Source):
    """Delivers a red picture whenever it is told, and can be unplugged."""

    live = True

    def __init__(self):
        super().__init__("made", 30.0)
        self.reds, self.more = [], threading.Condition()
        self.unplugged, self.ended, self.asked = False, False, 0
        self.idle = False
        """Whether all that was shown is the line's, which asks for more."""

    def show(self, *reds):
        """Show pictures to a line that waits for them."""
        assert until(lambda: self.idle)
        with self.more:
            self.idle = False
            self.reds += reds
            self.more.notify_all()

    def unplug(self):
        with self.more:
            self.unplugged = True
            self.more.notify_all()

    def end(self):
        self.ended = True

    def trigger(self):
        self.asked += 1

    def read_into(self, frame):
        with self.more:
            while not (self.reds or self.unplugged or self.ended or self.stopping.is_set()):
                self.idle = True
                self.more.wait(0.02)
            if self.unplugged:
                raise SourceError("the cable is out.", remedy="plug it in", code="source/lost")
            if self.ended or self.stopping.is_set():
                return False
            red = self.reds.pop(0)
        image = frame.buffer("bgr", (HEIGHT, WIDTH, 3))
        image[...] = 0
        image[..., 2] = red
        frame.stamp()
        return True


class Slow(FakeBackend):
    """Waits before each answer until it is let go; `busy` says that it does."""

    def __init__(self, card, gate):
        super().__init__(card)
        self.gate = gate
        gate.busy = False

    def run(self):
        self.gate.busy = True
        self.gate.wait(120)
        self.gate.busy = False
        super().run()


@pytest.fixture
def cameras(monkeypatch):
    """The cameras that were opened, the newest last; `missing` refuses the next ones."""
    made = []

    def open_it(card, config):
        if config.address() == "missing":
            raise SourceError("no such camera.", remedy="plug it in", code="source/not-found")
        made.append(Camera())
        return made[-1]

    monkeypatch.setattr("edgeseg.station.lines.line.open_for", open_it)
    monkeypatch.setattr("edgeseg.station.lines.line.FIRST_PAUSE", 0.01)
    return made


class Bench:
    """A line with its journal."""

    def __init__(self, folder, *, recipes=("plates",), source="gst://made", gate=None, **camera):
        self.path = folder / FILE
        self.journal = Journal(self.path)
        self.desk = Desk(self.journal, "bench", "b1")
        config = CameraConfig(name="top", source=source, **camera)
        judges = {}
        for place, recipe in enumerate(recipes):
            card = make_card(
                HEIGHT, WIDTH, image_threshold=0.5 + place / 10, weights_sha256=f"{place:02}"
            )
            backend = FakeBackend(card) if gate is None else Slow(card, gate)
            settings = stream_config(config)
            judges[recipe] = Judge(open_requests(backend, settings), card, settings, recipe=recipe)
        self.recorder = Recorder("top", self.desk)
        self.line = CameraLine(config, recipes[0], judges, self.recorder)

    def __enter__(self):
        self.line.__enter__()
        return self

    def __exit__(self, *raised):
        self.line.__exit__(*raised)
        self.journal.close()

    def records(self, count=0):
        """Return all records, once there are `count`."""
        with JournalReader(self.path) as reader:
            assert until(lambda: reader.last >= count)
            return reader.after(0, 1000)


def test_each_frame_has_a_record(tmp_path, cameras):
    with Bench(tmp_path, mode="live") as bench:
        assert until(lambda: cameras)
        for count, red in enumerate((0, 100, 200, 255), 1):
            cameras[0].show(red)
            found = bench.records(count)
    assert [each.verdict for each in found] == ["good", "good", "anomalous", "anomalous"]
    assert [each.sequence for each in found] == [1, 2, 3, 4]
    assert found[3].regions[0]["area"] == HEIGHT * WIDTH
    assert {each.model for each in found} == {"00"}
    assert found[0].threshold == 0.5
    assert found[0].ms > 0


def test_a_dropped_frame_has_a_record_too(tmp_path, cameras):
    gate = threading.Event()
    gate.set()
    with Bench(tmp_path, gate=gate) as bench:
        assert until(lambda: cameras)
        gate.clear()
        cameras[0].show(0)
        assert until(lambda: gate.busy)
        cameras[0].show(10, 20, 250)
        assert until(lambda: cameras[0].idle)
        gate.set()
        found = bench.records(4)
    assert sorted(each.code for each in found) == [0, 1, Code.DROPPED, Code.DROPPED]
    assert [each.code for each in found if each.score is not None] == [0, 1]


def test_the_first_frame_after_a_switch_is_judged_by_the_new_recipe(tmp_path, cameras):
    with Bench(tmp_path, recipes=("strict", "loose")) as bench:
        assert until(lambda: cameras)
        cameras[0].show(140)  # 0.549: beyond 0.5, within 0.6
        assert bench.records(1)[-1].recipe == "strict"
        bench.line.switch("loose")
        cameras[0].show(140)
        bench.records(2)
        bench.line.switch("strict")
        cameras[0].show(140)
        found = bench.records(3)
        with fails(ConfigError, "station/no-recipe"):
            bench.line.switch("other")
    seen = [(each.recipe, each.verdict, each.threshold, each.model) for each in found]
    assert seen == [
        ("strict", "anomalous", 0.5, "00"),
        ("loose", "good", 0.6, "01"),
        ("strict", "anomalous", 0.5, "00"),
    ]


def test_a_frame_in_flight_is_judged_by_the_recipe_that_it_began_with(tmp_path, cameras):
    gate = threading.Event()
    gate.set()
    with Bench(tmp_path, recipes=("strict", "loose"), gate=gate) as bench:
        assert until(lambda: cameras)
        gate.clear()
        cameras[0].show(140)
        assert until(lambda: gate.busy)
        bench.line.switch("loose")
        gate.set()
        bench.records(1)
        cameras[0].show(140)
        found = bench.records(2)
    assert [(each.recipe, each.threshold) for each in found] == [("strict", 0.5), ("loose", 0.6)]


def answers(bench, count):
    return [(each.trigger, each.part, each.code) for each in bench.records(count)]


def test_each_trigger_is_answered_by_its_frame_or_at_the_end(tmp_path, cameras):
    with Bench(tmp_path, mode="triggered", deadline_ms=600_000.0, queue=2) as bench:
        assert until(lambda: cameras)
        cameras[0].show(255)  # nobody asked for it
        assert until(lambda: cameras[0].idle)
        assert bench.line.trigger("A").number == 1
        assert cameras[0].asked == 1
        cameras[0].show(0)
        assert answers(bench, 1) == [(1, "A", Code.OK)]
        for part in "BCD":  # one too many
            bench.line.trigger(part)
        assert answers(bench, 2)[1:] == [(4, "D", Code.LATE)]
    assert answers(bench, 4)[2:] == [(2, "B", Code.LATE), (3, "C", Code.LATE)]


def test_a_trigger_without_a_frame_in_time_is_late(tmp_path, cameras):
    with Bench(tmp_path, mode="triggered", deadline_ms=30.0) as bench:
        bench.line.trigger("A")
        assert answers(bench, 1) == [(1, "A", Code.LATE)]


def test_triggers_of_a_wire_are_numbered_and_none_is_dropped(tmp_path, cameras):
    gate = threading.Event()
    gate.set()
    with Bench(tmp_path, mode="triggered", trigger="hardware", gate=gate) as bench:
        assert until(lambda: cameras)
        gate.clear()
        bench.line.name_part("lot 7")
        cameras[0].show(*range(0, 250, 50))
        assert until(lambda: cameras[0].idle)
        gate.set()
        found = bench.records(5)
        with fails(ConfigError, "station/not-triggered"):
            bench.line.trigger()
    assert [(each.trigger, each.part, each.code) for each in found] == [
        (1, "lot 7", 0),
        (2, "lot 7", 0),
        (3, "lot 7", 0),
        (4, "lot 7", 1),
        (5, "lot 7", 1),
    ]


def test_a_lost_camera_is_recorded_once_and_opened_again(tmp_path, cameras):
    with Bench(tmp_path) as bench:
        assert until(lambda: cameras)
        cameras[0].show(0)
        bench.records(1)
        cameras[0].unplug()
        assert until(lambda: len(cameras) == 2)
        cameras[1].show(255)
        found = bench.records(3)
        assert until(lambda: bench.line.state == "running")
    assert [each.code for each in found] == [Code.OK, Code.CAMERA_LOST, Code.ANOMALOUS]
    assert [each.sequence for each in found] == [1, 2, 3]


def test_a_camera_that_comes_back_without_a_frame_is_lost_all_the_time(tmp_path, cameras):
    with Bench(tmp_path) as bench:
        assert until(lambda: cameras)
        cameras[0].show(0)
        bench.records(1)
        cameras[0].unplug()
        for count in (2, 3, 4):
            assert until(lambda count=count: len(cameras) == count and cameras[-1].idle)
            assert not until(lambda: bench.line.state == "running", 0.1)
            cameras[-1].unplug()
        assert until(lambda: len(cameras) == 5)
        cameras[-1].show(0)
        assert until(lambda: bench.line.state == "running")
        found = bench.records(3)
    assert [each.code for each in found] == [Code.OK, Code.CAMERA_LOST, Code.OK]


def test_a_camera_that_comes_back_for_one_frame_is_lost_again_and_leaves_no_memory(
    tmp_path, cameras
):
    streams = []
    gc.collect()
    gc.disable()
    try:
        with Bench(tmp_path) as bench:
            for count in (1, 2, 3):
                assert until(lambda: len(cameras) > len(streams) and bench.line._inference)
                streams.append(weakref.ref(bench.line._inference))
                cameras[-1].show(0)
                bench.records(2 * count - 1)
                cameras[-1].unplug()
                bench.records(2 * count)
                assert until(lambda: streams[-1]() is None)
            found = bench.records()
    finally:
        gc.enable()
    assert [each.code for each in found] == [Code.OK, Code.CAMERA_LOST] * 3


def test_triggers_are_answered_while_there_is_no_camera(tmp_path, cameras):
    camera = {"mode": "triggered", "deadline_ms": 30.0}
    with Bench(tmp_path, source="missing", **camera) as bench:
        bench.records(1)
        bench.line.trigger("A")
        found = bench.records(2)
        assert "no such camera" in bench.line.problem
    assert [each.code for each in found] == [Code.CAMERA_LOST, Code.LATE]


def test_triggers_are_answered_after_the_source_has_ended(tmp_path, cameras):
    camera = {"mode": "triggered", "deadline_ms": 60_000.0}
    with Bench(tmp_path, **camera) as bench:
        assert until(lambda: cameras)
        cameras[0].end()
        assert until(lambda: bench.line.state == "ended")
        bench.line.trigger("A")
        found = bench.records(2)
    assert [(each.code, each.part) for each in found] == [(Code.CAMERA_LOST, ""), (Code.LATE, "A")]


def test_a_stopped_line_passes_nothing(tmp_path, cameras):
    with Bench(tmp_path) as bench:
        assert until(lambda: cameras)
        bench.desk.stopped = "output mqtt"
        cameras[0].show(0)
        bench.records(1)
        bench.desk.stopped = ""
        cameras[0].show(0)
        found = bench.records(2)
    assert [(each.verdict, each.code) for each in found] == [("unknown", 20), ("good", 0)]
    assert found[0].reason == "line stopped: output mqtt"
    assert np.isclose(found[0].score, 0)
