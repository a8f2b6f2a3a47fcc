"""Percentiles with known answers."""

import pytest

from edgeseg.stream.pipeline.latency import Latencies, summarize


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


def test_no_samples_is_our_mistake():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


def test_latencies_keep_the_newest():
    latencies = Latencies(kept=4)
    for i in range(1, 7):
        latencies.add(i / 1e3)
    assert latencies.count == 6
    found = latencies.summary()
    assert (found.n, found.p50_ms, found.max_ms) == pytest.approx((4, 4, 6))


def test_latencies_before_they_are_full():
    latencies = Latencies(kept=10)
    latencies.add(0.005)
    assert latencies.summary().n == 1
