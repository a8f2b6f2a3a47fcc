"""Weights of magnitudes in one pass, and the two ways to clip."""

import numpy as np
import pytest

from edgeseg.quantize.histogram import CENTERS, SAMPLES, STEPS, Histogram


def of(*frames):
    histogram = Histogram()
    for frame in frames:
        histogram.add(np.asarray(frame, np.float32))
    return histogram


def vectors(rng, lengths, channels=32):
    """[1, C, P]: rectified noise of the given root mean squares."""
    return np.maximum(rng.normal(0, 1, (1, channels, len(lengths))), 0) * lengths


def relative_error(values, limit):
    """The mean over the positions of |rounded and clipped - x|^2 / |x|^2."""
    step = limit / STEPS
    errors = np.clip(np.rint(values / step), -STEPS, STEPS) * step - values
    return float((np.square(errors).sum(axis=1) / np.square(values).sum(axis=1)).mean())


def test_each_vector_has_the_same_weight_whatever_its_length():
    histogram = of([[[3.0, 300.0], [4.0, -400.0]]])
    assert histogram.peak == 400.0
    used = np.flatnonzero(histogram.weights)
    np.testing.assert_allclose(CENTERS[used], [3, 4, 300, 400], rtol=0.04)
    np.testing.assert_allclose(histogram.weights[used], [1 / 25, 1 / 25, 4e-6, 4e-6])


def test_the_order_of_frames_does_not_matter():
    frames = [np.random.default_rng(k).normal(0, 4.0**k, (3, 7, 11)) for k in range(5)]
    forward, backward = of(*frames), of(*frames[::-1])
    np.testing.assert_allclose(forward.weights, backward.weights)
    assert forward.peak == backward.peak


def test_zeros_alone_have_no_range_and_no_weight():
    histogram = of(np.zeros((2, 3, 4)))
    assert histogram.limit("max") == histogram.limit("relative") == 0.0
    assert not histogram.weights.any()


def test_the_peak_is_exact_where_the_weights_are_a_sample():
    values = np.ones((1, 40, 64, 64), np.float32)
    values[0, 17, 5, 6] = -9.0
    histogram = of(values)
    assert histogram.limit("max") == 9.0
    counted = histogram.weights.sum() * 40  # each of 40 channels has a weight of 1 / 40
    assert SAMPLES / 2 < counted <= 1.01 * SAMPLES


def test_a_sample_meets_every_column():
    values = np.full((1, 256, 64, 64), 1e-3, np.float32)
    values[:, :, :, 3] = 1.0
    weights = of(values).weights
    columns = weights[CENTERS > 0.9].sum() / (weights * np.square(CENTERS)).sum()
    assert columns == pytest.approx(1 / 64, rel=0.1)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_a_few_long_vectors_do_not_take_the_steps_of_the_others(scale):
    rng = np.random.default_rng(0)
    lengths = np.where(np.arange(4000) % 100 == 0, 1000.0, 1.0) * scale
    values = vectors(rng, lengths)
    limit = of(values).limit("relative")
    assert limit < 16 * scale
    assert relative_error(values, limit) < 0.02
    assert relative_error(values, np.abs(values).max()) > 0.5  # less than one step


def test_the_limit_is_the_best_one():
    rng = np.random.default_rng(1)
    values = vectors(rng, np.exp(rng.normal(0, 1.5, 4000)))
    found = of(values).limit("relative")
    errors = [relative_error(values, found * factor) for factor in (0.5, 1.0, 2.0)]
    assert errors[1] == min(errors)
    tried = np.geomspace(found / 8, found * 8, 60)
    assert errors[1] < 1.1 * min(relative_error(values, limit) for limit in tried)


def test_an_even_spread_is_kept_and_a_limit_never_exceeds_the_peak():
    spread = of(np.random.default_rng(0).uniform(-1, 1, (1, 8, 6000)))
    assert 0.95 < spread.limit("relative") <= spread.peak
    assert of([[[0.1], [0.2], [1.7]]]).limit("relative") <= np.float32(1.7)
