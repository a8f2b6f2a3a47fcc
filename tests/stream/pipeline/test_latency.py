"""Percentiles and stages with known answers."""

import pytest

from edgeseg.stream.pipeline.latency import Latencies, Stages, summarize
from edgeseg.stream.source.base import Frame

MS = 1_000_000


def test_nearest_rank_of_a_hundred_samples():
    found = summarize([i / 1e3 for i in range(100, 0, -1)])
    assert (found.n, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == pytest.approx(
        (100, 50, 90, 99, 100)
    )
    assert found.mean_ms == pytest.approx(50.5)


@pytest.mark.parametrize(
    ("seconds", "p50", "p90", "p99"),
    [
        ([0.007], 7, 7, 7),
        ([0.003, 0.001], 1, 3, 3),
        ([0.001, 0.002, 0.003, 0.004, 0.1], 3, 100, 100),
    ],
)
def test_few_samples_give_samples(seconds, p50, p90, p99):
    found = summarize(seconds)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx((p50, p90, p99))


def test_one_spike_in_a_thousand_is_the_maximum_and_not_clipped():
    found = summarize([0.002] * 999 + [0.070])
    assert (found.p99_ms, found.p999_ms) == pytest.approx((2, 2))
    assert summarize([0.002] * 998 + [0.070] * 2).p999_ms == pytest.approx(70)
    assert found.max_ms == pytest.approx(70)


def test_the_line_names_n():
    line = summarize([0.0068]).line()
    assert line == "p50 6.80 ms  p90 6.80 ms  p99 6.80 ms  p99.9 6.80 ms  max 6.80 ms  n 1"


def test_summarize_refuses_no_samples():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


def test_latencies_keep_the_newest():
    latencies = Latencies(capacity=4)
    for i in range(1, 7):
        latencies.add(i / 1e3)
    assert latencies.count == 6
    found = latencies.summary()
    assert (found.n, found.p50_ms, found.max_ms) == pytest.approx((4, 4, 6))


def test_latencies_before_they_are_full():
    latencies = Latencies(capacity=10)
    latencies.add(0.005)
    assert latencies.summary().n == 1


def make_frame(arrival, started, submitted, done):
    times = {"arrival": arrival, "started": started, "submitted": submitted, "done": done}
    return Frame(**{name: value * MS for name, value in times.items()})


def test_each_stage_is_the_time_between_its_stamps():
    stages = Stages()
    seconds = stages.add(make_frame(5, 8, 9, 20), submitted=True, device=0.007)
    stages.add_sinks(0.030)
    assert seconds == pytest.approx(0.015)
    assert stages.total().max_ms == pytest.approx(15)
    found = {name: stage.p50_ms for name, stage in stages.summaries().items()}
    assert found == pytest.approx({"wait": 3, "run": 12, "submit": 1, "device": 7, "sinks": 30})


def test_stages_without_samples_are_omitted():
    stages = Stages()
    assert stages.total() is None and stages.summaries() == {}
    stages.add(make_frame(0, 0, 0, 4), submitted=False, device=None)
    assert set(stages.summaries()) == {"wait", "run"}
    assert stages.count == 1


def test_one_late_frame_in_a_thousand_is_the_maximum():
    stages = Stages()
    for _ in range(999):
        stages.add(make_frame(0, 0, 0, 5), submitted=True, device=None)
    stages.add(make_frame(0, 60, 60, 65), submitted=True, device=None)
    total = stages.total()
    assert (total.p999_ms, total.max_ms) == pytest.approx((5, 65))
    assert stages.summaries()["wait"].max_ms == pytest.approx(60)
