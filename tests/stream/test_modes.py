"""Latency budgets, --fps, --interval, --keep-warm and --in-flight."""

import time

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import ConfigError, GateFailed
from edgeseg.stream.stream import stream
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import REQUESTS, Collector, ListSource, PlainBackend, RedBackend, solid_image


def run(source, sinks=(), *, backend=None, **settings):
    config = StreamConfig(window=False, **settings)
    return stream(backend or RedBackend(), source, sinks, config)


class Paced(ListSource):
    """A camera with a frame rate."""

    def __init__(self, items, fps):
        super().__init__(items, live=True, fps=fps)

    def read_into(self, frame):
        return not self.stopping.wait(1 / self.fps) and super().read_into(frame)


def slow_on(counts):
    """Return an `on_run` with which these runs last 60 ms."""
    return lambda count: time.sleep(0.06 if count in counts else 0.0)


def test_frames_beyond_the_budget_are_counted_and_fail_the_gate():
    backend = RedBackend(on_run=slow_on({REQUESTS + 2, REQUESTS + 4}))
    report = run(ListSource([solid_image()] * 9), backend=backend, budget_ms=50.0, max_misses=1)
    assert (report.frames, report.misses) == (9, 2)
    assert "budget 50 ms: 2 deadline misses in 9 frames (1 allowed)" in report.summary()
    with fails(GateFailed, "gate/deadline-misses") as caught:
        report.check()
    assert "2 of 9 frames" in caught.value.problem and caught.value.exit_code == 3


def test_as_many_misses_as_may_pass():
    backend = RedBackend(on_run=slow_on({REQUESTS + 2}))
    report = run(ListSource([solid_image()] * 9), backend=backend, budget_ms=50.0, max_misses=1)
    assert report.misses == 1
    report.check()


def test_without_a_budget_nothing_is_missed():
    report = run(
        ListSource([solid_image()] * 3), backend=RedBackend(on_run=slow_on({REQUESTS + 1}))
    )
    assert report.misses == 0
    assert "budget" not in report.summary()
    report.check()


def test_a_file_keeps_a_pace_and_loses_nothing():
    began = time.perf_counter()
    report = run(ListSource([solid_image()] * 11), fps=50.0)
    assert time.perf_counter() - began >= 10 / 50
    assert (report.frames, report.drops) == (11, 0)
    assert report.mode == "paced at 50/s, 1 in flight"


def test_triggers_missed_while_a_file_is_behind_are_counted():
    everything = set(range(REQUESTS + 1, 100))
    report = run(
        ListSource([solid_image()] * 12), backend=RedBackend(on_run=slow_on(everything)), fps=100.0
    )
    assert report.frames == 12
    assert report.missed_triggers > 10, "each frame takes six periods"
    assert "triggers missed" in report.summary()


def test_a_triggered_camera_is_read_all_the_time_and_gives_one_frame_per_interval():
    collector = Collector()
    report = run(Paced([solid_image()] * 60, fps=200.0), [collector], interval="50ms")
    assert 3 <= report.frames <= 9
    assert report.trigger_drops + report.frames + report.drops == 60
    assert report.mode == "one frame per 50ms, 1 in flight"
    assert f"{report.trigger_drops} dropped between triggers" in report.summary()
    assert report.latency.p50_ms < 40, "a frame is new and did not wait for the trigger"


def test_an_interval_paces_a_file():
    report = run(ListSource([solid_image()] * 4), interval="40ms")
    assert report.frames == 4
    assert report.seconds > 2.5 * 0.04


def test_a_stream_that_ends_does_not_wait_for_the_next_period():
    began = time.perf_counter()
    report = run(ListSource([solid_image()] * 4), interval="10s", seconds=0.2)
    assert report.frames == 1
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("kind", [RedBackend, PlainBackend])
def test_keep_warm_iterations_fill_the_wait_and_reach_no_sink(kind):
    backend, collector = kind(), Collector()
    source = ListSource([solid_image(255), solid_image(0), solid_image(255)])
    report = run(source, [collector], backend=backend, interval="300ms", keep_warm=True)
    assert [r.score for r in collector.results] == pytest.approx([1, 0, 1])
    assert 4 <= report.keep_warm_iterations <= 12, "about every 50 ms"
    assert backend.runs == REQUESTS + 1 + 3 + report.keep_warm_iterations
    assert f"{report.keep_warm_iterations} keep-warm iterations" in report.summary()


def test_without_being_asked_nothing_is_kept_warm():
    assert run(ListSource([solid_image()] * 2), interval="150ms").keep_warm_iterations == 0


def test_two_in_flight_need_a_runtime_that_can():
    with fails(ConfigError, "config/in-flight") as caught:
        run(ListSource([solid_image()]), backend=PlainBackend(), in_flight=2)
    assert caught.value.remedy.startswith("--in-flight 1")


def test_a_conversion_on_the_host_is_said_once(said):
    backend = RedBackend(make_card(frame_format="rgb"))
    run(ListSource([solid_image()] * 3), backend=backend)
    assert len(said) == 1
    words = "edgeseg export red --frame-size 64x48 --format bgr, and use the file that it writes"
    assert said[0].endswith(words)


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
def test_stream_config_refuses_invalid_modes(settings):
    with pytest.raises(ConfigError):
        StreamConfig(**settings)
