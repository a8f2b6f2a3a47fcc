"""Perlin noise and masks."""

import numpy as np

from edgeseg.data.noise import perlin, perlin_mask


def test_perlin_noise_is_zero_on_the_grid_and_stays_in_range():
    noise = perlin(np.random.default_rng(0), (64, 64), 4, 8)
    np.testing.assert_allclose(noise[::16, ::8], 0, atol=1e-6)
    assert -1 <= noise.min() < -0.2 and 0.2 < noise.max() <= 1


def test_perlin_mask_covers_a_small_share_and_is_seldom_empty():
    masks = [perlin_mask(np.random.default_rng(seed), (128, 128)) for seed in range(200)]
    shares = np.array([mask.mean() for mask in masks])
    assert 0.02 < shares.mean() < 0.08  # the paper's threshold of 0.5 marks about 4 %
    assert (shares == 0).mean() < 0.15
