"""Budgets, beats, triggers and warm clocks."""

import time

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import ConfigError, GateFailed
from edgeseg.stream.pipeline.capture import Trigger
from edgeseg.stream.stream import stream
from tests.kit.fakes import LANES, Collector, ListSource, PlainBackend, RedBackend, picture


def run(source, sinks=(), *, backend=None, **settings):
    config = StreamConfig(window=False, **settings)
    return stream(backend or RedBackend(), source, sinks, config)


class Paced(ListSource):
    """A camera of so many frames a second."""

    def __init__(self, items, fps):
        super().__init__(items, live=True, fps=fps)

    def read_into(self, frame):
        return not self.stopping.wait(1 / self.fps) and super().read_into(frame)


def slow_on(counts):
    """Return what makes these runs last 60 ms; the others take less than one."""
    return lambda count: time.sleep(0.06 if count in counts else 0.0)


def test_frames_beyond_the_budget_are_counted_and_fail_the_gate():
    backend = RedBackend(on_run=slow_on({LANES + 2, LANES + 4}))
    report = run(ListSource([picture()] * 9), backend=backend, budget_ms=50.0, max_misses=1)
    assert (report.frames, report.misses) == (9, 2)
    assert "budget 50 ms: 2 of 9 frames missed it, 1 may" in report.summary()
    with pytest.raises(GateFailed, match=r"2 of 9 frames took longer than 50 ms") as caught:
        report.check()
    assert caught.value.exit_code == 3


def test_as_many_misses_as_may_pass():
    backend = RedBackend(on_run=slow_on({LANES + 2}))
    report = run(ListSource([picture()] * 9), backend=backend, budget_ms=50.0, max_misses=1)
    assert report.misses == 1
    report.check()


def test_without_a_budget_nothing_is_missed():
    report = run(ListSource([picture()] * 3), backend=RedBackend(on_run=slow_on({LANES + 1})))
    assert report.misses == 0
    assert "budget" not in report.summary()
    report.check()


def test_a_file_keeps_a_pace_and_loses_nothing():
    began = time.perf_counter()
    report = run(ListSource([picture()] * 11), fps=50.0)
    assert time.perf_counter() - began >= 10 / 50
    assert (report.frames, report.drops) == (11, 0)
    assert report.mode == "paced at 50/s, 1 in flight"


def test_beats_that_pass_while_a_file_is_behind_are_counted():
    everything = set(range(LANES + 1, 100))
    report = run(
        ListSource([picture()] * 12), backend=RedBackend(on_run=slow_on(everything)), fps=100.0
    )
    assert report.frames == 12
    assert report.missed_beats > 10, "each frame takes six beats"
    assert "beats missed" in report.summary()


def test_a_trigger_takes_the_first_frame_at_or_after_each_beat():
    trigger = Trigger(1e-6)
    arrivals = [500, 900, 1400, 1500, 2499, 2600, 2700, 6000, 6400, 6500]
    assert [a for a in arrivals if trigger.takes(a)] == [500, 1500, 2600, 6000, 6500]
    assert trigger.passed == 5
    assert trigger.missed == 2, "at 3500 and 4500 no frame had come"


def test_a_triggered_camera_is_read_all_the_time_and_gives_one_frame_a_beat():
    collector = Collector()
    report = run(Paced([picture()] * 60, fps=200.0), [collector], interval="50ms")
    assert 3 <= report.frames <= 9
    assert report.passed + report.frames + report.drops == 60
    assert report.mode == "a frame each 50ms, 1 in flight"
    assert "passed over between triggers" in report.summary()
    assert report.latency.p50_ms < 40, "a frame is fresh, and did not wait for its beat"


def test_an_interval_paces_a_file():
    report = run(ListSource([picture()] * 4), interval="40ms")
    assert report.frames == 4
    assert report.seconds >= 3 * 0.04


def test_a_stream_that_ends_does_not_wait_for_its_beat():
    began = time.perf_counter()
    report = run(ListSource([picture()] * 4), interval="10s", seconds=0.2)
    assert report.frames == 1
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("kind", [RedBackend, PlainBackend])
def test_warm_runs_fill_the_wait_and_reach_no_sink(kind):
    backend, collector = kind(), Collector()
    source = ListSource([picture(255), picture(0), picture(255)])
    report = run(source, [collector], backend=backend, interval="300ms", keep_warm=True)
    assert [r.score for r in collector.results] == pytest.approx([1, 0, 1])
    assert 4 <= report.warm_runs <= 12, "about each 50 ms"
    lanes = 1 if kind is PlainBackend else LANES + 1
    assert backend.runs == lanes + 3 + report.warm_runs
    assert f"{report.warm_runs} runs to keep warm" in report.summary()


def test_without_being_asked_nothing_is_kept_warm():
    assert run(ListSource([picture()] * 2), interval="150ms").warm_runs == 0


def test_two_in_flight_need_a_runtime_that_can():
    with pytest.raises(ConfigError, match="in_flight is 2, and plain, CPU") as caught:
        run(ListSource([picture()]), backend=PlainBackend(), in_flight=2)
    assert caught.value.remedy.startswith("--in-flight 1")


def test_a_conversion_on_the_host_is_said_once(said):
    from tests.kit.cards import make_card

    backend = RedBackend(make_card(frame_format="rgb"))
    run(ListSource([picture()] * 3), backend=backend)
    assert len(said) == 1
    assert said[0].endswith("edgeseg export --format bgr")


@pytest.mark.parametrize(
    "settings",
    [
        {"in_flight": 3},
        {"in_flight": 0},
        {"budget_ms": 0.0},
        {"max_misses": -1},
        {"interval": "soon"},
        {"fps": 0.0},
        {"io": "magic"},
    ],
)
def test_modes_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError):
        StreamConfig(**settings)
