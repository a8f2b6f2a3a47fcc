"""Counts of magnitudes in one pass, and the three ways to clip."""

import numpy as np
import pytest

from edgeseg.quantize.histogram import BINS, SAMPLES, STRIDE, Histogram, _divergence


def of(*frames):
    histogram = Histogram()
    for frame in frames:
        histogram.add(np.asarray(frame, np.float32))
    return histogram


def test_magnitudes_are_counted_up_to_a_power_of_two():
    histogram = of([-3.0, 0.0, 1.0, 3.99])
    assert histogram.peak == pytest.approx(3.99)
    assert histogram.edge == 4.0
    counted = {int(i): int(histogram.counts[i]) for i in np.flatnonzero(histogram.counts)}
    assert counted == {0: 1, BINS // 4: 1, 3 * BINS // 4: 1, int(3.99 / 4 * BINS): 1}


def test_the_order_of_frames_does_not_matter():
    frames = [np.random.default_rng(k).normal(0, 4.0**k, (3, 7, 11)) for k in range(5)]
    forward, backward = of(*frames), of(*frames[::-1])
    assert forward.edge == backward.edge
    np.testing.assert_array_equal(forward.counts, backward.counts)
    assert forward.counts.sum() == 5 * 3 * 7 * 11


def test_a_range_that_grows_beyond_all_bins_keeps_the_counts():
    histogram = of([1e-6, 2e-6], [1e6])
    assert histogram.counts[0] == 2
    assert histogram.counts.sum() == 3


def test_zeros_alone_have_no_range():
    histogram = of(np.zeros((2, 3)))
    for method in ("max", "percentile", "entropy"):
        assert histogram.limit(method, 99.0) == 0.0
    histogram.add(np.full(2, 5.0, np.float32))
    assert (histogram.counts[0], histogram.counts.sum()) == (6, 8)


def test_the_peak_is_exact_where_the_counts_are_a_sample():
    values = np.ones((40, 64, 64), np.float32)
    values[17, 5, 6] = -9.0
    histogram = of(values)
    assert histogram.limit("max", 0) == 9.0
    assert SAMPLES / 2 < histogram.counts.sum() <= 1.01 * SAMPLES


def test_a_sample_meets_every_column():
    values = np.zeros((256, 64, 64), np.float32)
    values[:, :, 3] = 1.0
    assert of(values).counts[BINS - 1] == pytest.approx(SAMPLES / 64, rel=0.1)


@pytest.mark.parametrize(("percentile", "expected"), [(50, 0.5), (90, 0.9), (100, 1.0)])
def test_a_percentile_leaves_that_share_whole(percentile, expected):
    values = np.linspace(-1, 1, 10001)
    assert of(values).limit("percentile", percentile) == pytest.approx(expected, abs=2 / BINS)


def test_a_limit_never_exceeds_the_peak():
    for method in ("percentile", "entropy"):
        assert of([0.1, 0.2, 1.7]).limit(method, 100.0) <= 1.7 + 1e-6


def test_entropy_clips_a_far_outlier_and_keeps_an_even_spread():
    rng = np.random.default_rng(0)
    bell = rng.normal(0, 1, 60000)
    clipped = of(np.append(bell, 60.0)).limit("entropy", 0)
    assert 2.0 < clipped < 8.0
    assert of(rng.uniform(-1, 1, 60000)).limit("entropy", 0) > 0.95


def test_rectified_zeros_do_not_move_entropys_choice():
    bell = np.random.default_rng(0).normal(0, 1, 30000)
    rectified = np.maximum(bell, 0)
    both = [of(np.append(values, 60.0)).limit("entropy", 0) for values in (bell, rectified)]
    assert both[0] == pytest.approx(both[1], rel=0.4)


def test_levels_as_wide_as_bins_lose_nothing():
    counts = np.random.default_rng(0).integers(1, 99, BINS).astype(float)
    counts[128:] = 0
    assert _divergence(counts, 128) == pytest.approx(0.0, abs=1e-12)
    assert _divergence(counts, 128 + 8 * STRIDE) > 0.01


def test_a_divergence_by_hand():
    # Two bins a level: 3 and 1 become 2 and 2, of which the first 128 levels are all alike.
    counts = np.tile([3.0, 1.0], 128)
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert _divergence(counts, 256) == pytest.approx(expected)
