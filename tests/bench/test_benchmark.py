"""benchmark: frames, iterations and the report."""

import json
import time

import numpy as np
import pytest

from edgeseg.bench.benchmark import benchmark
from edgeseg.config import BenchConfig
from edgeseg.data.frames import FrameSet
from edgeseg.machine.facts import this_machine
from edgeseg.machine.state import DeviceState, StateReader
from edgeseg.stream.pipeline.pace import Pace
from tests.kit.cards import make_card
from tests.kit.fakes import RedBackend


def frames(card, count=3):
    pixels = np.zeros((count, *card.frame_shape[1:]), np.uint8)
    pixels[:] = (np.arange(count) * 10).reshape(count, 1, 1, 1)
    return FrameSet(pixels, f"{count} planned frames")


class Watched(RedBackend):
    """Remembers the first pixel of every frame that it ran on."""

    def __init__(self, card):
        super().__init__(card)
        self.seen = []

    def run(self):
        super().run()
        self.seen.append(self._slot.frame[:, 0, 0, 0].tolist())


def test_frames_are_cycled_through_warm_up_and_runs():
    backend = Watched(make_card())
    report = benchmark(backend, frames(backend.card), BenchConfig(iterations=4, warmup=2))
    assert backend.seen == [[0], [10], [20], [0], [10], [20]]
    assert backend.bound == 1
    assert report.latency.n == 4


def test_a_run_of_several_frames_counts_each():
    backend = Watched(make_card(batch=2))
    report = benchmark(backend, frames(backend.card), BenchConfig(iterations=3, warmup=0))
    assert backend.seen == [[0, 10], [20, 0], [10, 20]]
    runs_per_second = report.throughput_fps / 2
    assert runs_per_second <= 1e3 / report.latency.mean_ms * 1.001


def test_the_document_has_what_a_regression_gate_reads():
    backend = RedBackend()
    config = BenchConfig(iterations=5, warmup=1, threads=1)
    document = benchmark(backend, frames(backend.card), config).to_json()
    document = json.loads(json.dumps(document))
    wanted = {"n", "p50_ms", "p90_ms", "p99_ms", "max_ms", "throughput_fps", "machine", "engine"}
    assert wanted <= set(document)
    assert document["n"] == 5
    assert 0 < document["p50_ms"] <= document["p90_ms"] <= document["p99_ms"] <= document["max_ms"]
    assert document["machine"] == this_machine().line()
    assert document["engine"] == "fake, CPU, 1 thread"
    assert document["threads"] == 1
    assert document["versions"]["numpy"] == np.__version__


def test_the_text_has_the_method_beside_the_figures():
    backend = RedBackend()
    text = benchmark(backend, frames(backend.card), BenchConfig(iterations=2, warmup=7)).summary()
    for part in (
        *("p50 ", "p90 ", "p99 ", "max ", "n 2", "frames/s", "after 7 warm-up iterations"),
        *("3 planned frames", "64 x 48 bgr", this_machine().line(), "fake, CPU, 1 thread"),
        *("for reference only", "9.4 ms per image in PyTorch on a Tesla V100", "another machine"),
    ):
        assert part in text, part


def paced(*, on_run=None, **settings):
    backend = RedBackend(on_run=on_run)
    config = BenchConfig(**({"iterations": 3, "warmup": 0} | settings))
    return benchmark(backend, frames(backend.card), config)


def test_back_to_back_is_the_mode_unless_another_is_asked_for():
    report = paced()
    assert (report.mode, report.period_s, report.missed_starts, report.keep_warm_iterations) == (
        *("saturated", None, 0, None),
    )
    assert "mode        saturated: back to back" in (report.summary())


def test_a_pace_is_named_with_its_missed_starts():
    slow = {2: 0.09}
    report = paced(pace="25fps", on_run=lambda i: time.sleep(slow.get(i, 0)))
    assert (report.mode, report.period_s) == ("paced", 0.04)
    assert report.missed_starts >= 2
    missed = report.missed_starts
    line = (
        f"paced: one iteration per 40 ms, idle in between; {missed} of {3 + missed} starts missed"
    )
    assert line in report.summary()
    assert "at this pace" in report.summary()
    document = json.loads(json.dumps(report.to_json()))
    assert (document["mode"], document["missed_starts"]) == ("paced", missed)
    assert "throttled" in document["clocks"]


def test_an_interval_that_is_kept_warm_says_so():
    report = paced(pace="120ms", keep_warm=True, iterations=2)
    assert (report.mode, report.latency.n) == ("paced", 2)
    assert report.keep_warm_iterations >= 1
    assert f"{report.keep_warm_iterations} keep-warm iterations in between" in report.summary()


def test_a_benchmark_of_half_an_hour_says_so_before(monkeypatch, said):

    def stop(self, *wait):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pace, "wait", stop)
    with pytest.raises(KeyboardInterrupt):
        paced(pace="10s", iterations=200)
    assert said == ["200 iterations at this pace take 33 min (fewer with --iterations)"]
    with pytest.raises(KeyboardInterrupt):
        paced(pace="10s", iterations=200, seconds=5.0)
    assert len(said) == 1


def test_a_throttled_device_is_told_with_the_figures(monkeypatch):
    counts = iter([3, 8])
    state = {"temperatures_c": {"cpu": 71.0}, "throttling": None}
    read = lambda self: DeviceState(counters={"quota": next(counts)}, **state)  # noqa: E731
    monkeypatch.setattr(StateReader, "read", read)
    report = paced()
    assert report.clocks.throttled is True
    assert "THROTTLED   quota, 5 times" in report.summary()
    assert "hottest     71 °C, cpu" in report.summary()
    assert report.to_json()["clocks"]["throttling_events"] == {"quota": 5}


def test_a_machine_that_shows_nothing_adds_nothing(monkeypatch):
    nothing = DeviceState()
    monkeypatch.setattr(StateReader, "read", lambda self: nothing)
    report = paced()
    assert report.clocks.lines() == []
    assert not {"THROTTLED", "throttled", "hottest"} & set(report.summary().split())
