"""Mirrors edgeseg/data/synth.py."""

import numpy as np
import pytest

from edgeseg.data.synth import Corruptor, perlin, perlin_mask, trained_corruptor
from edgeseg.data.textures import ProceduralTextures


class White:
    """A texture whose blends are known by heart."""

    def draw(self, rng, side):
        return np.full((side, side, 3), 255, np.uint8)


class Red:
    """A texture with a color."""

    def draw(self, rng, side):
        return np.full((side, side, 3), (255, 0, 0), np.uint8)


def anomalous(corruptor, image, start=0):
    """Return the first corruption whose mask is not empty."""
    for seed in range(start, start + 50):
        corrupted, mask = corruptor.corrupt(image, np.random.default_rng(seed))
        if mask.any():
            return corrupted, mask
    raise AssertionError("fifty empty masks")


@pytest.mark.parametrize("opacity, expected", [(1.0, 255), (0.5, 178), (0.2, 132)])
def test_equation_one_inside_the_mask_and_nothing_outside(opacity, expected):
    image = np.full((64, 64, 3), 101, np.uint8)
    corrupted, mask = anomalous(Corruptor(White(), (opacity, opacity)), image)
    # beta * 255 + (1 - beta) * 101
    np.testing.assert_array_equal(corrupted[mask], expected)
    np.testing.assert_array_equal(corrupted[~mask], 101)
    np.testing.assert_array_equal(image, 101)


def test_gray_pastes_no_color():
    image = np.full((64, 64, 3), 101, np.uint8)
    corrupted, mask = anomalous(Corruptor(Red(), (1.0, 1.0), gray=True), image)
    assert (corrupted[mask] == corrupted[mask][0, 0]).all()
    colored, mask = anomalous(Corruptor(Red(), (1.0, 1.0)), image)
    np.testing.assert_array_equal(colored[mask][0], (255, 0, 0))


def test_a_seed_gives_the_same_image():
    image = np.full((64, 64, 3), 101, np.uint8)
    corruptor = Corruptor(ProceduralTextures())
    first, again = (corruptor.corrupt(image, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_perlin_noise_is_zero_on_the_grid_and_stays_in_range():
    noise = perlin(np.random.default_rng(0), 64, 4, 8)
    np.testing.assert_allclose(noise[::16, ::8], 0, atol=1e-6)
    assert -1 <= noise.min() < -0.2 and 0.2 < noise.max() <= 1


def test_masks_of_all_scales_cover_a_small_share_and_are_seldom_empty():
    masks = [perlin_mask(np.random.default_rng(seed), 128) for seed in range(200)]
    shares = np.array([mask.mean() for mask in masks])
    assert 0.02 < shares.mean() < 0.08  # the paper's threshold of 0.5 marks about 4 %
    assert (shares == 0).mean() < 0.15


def test_shading_changes_the_light_of_a_large_region_and_nothing_else():
    image = np.tile(np.arange(40, 104, dtype=np.uint8)[None, :, None], (64, 1, 3))
    corruptor = Corruptor(White(), shading=1.0)
    areas, gains = [], []
    for seed in range(40):
        corrupted, mask = corruptor.corrupt(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(corrupted[~mask], image[~mask])
        areas.append(mask.mean())
        if mask.any():
            ratio = corrupted[mask] / image[mask]
            gains.append(np.median(ratio))
            assert np.ptp(ratio) < 0.03  # one gain for the region, but for rounding
    sizes = np.abs(np.log2(gains))
    assert 0.14 < sizes.min() and sizes.max() < 0.71
    assert min(gains) < 1 < max(gains)
    assert 0.15 < np.mean(areas) < 0.3
    mean = np.mean([perlin_mask(np.random.default_rng(seed), 64).mean() for seed in range(40)])
    assert np.mean(areas) > 3 * mean


def test_a_share_of_the_anomalies_is_shaded():
    image = np.full((64, 64, 3), 101, np.uint8)
    corruptor = Corruptor(White(), (1.0, 1.0), shading=0.5)
    pasted = shaded = 0
    for seed in range(200):
        corrupted, mask = corruptor.corrupt(image, np.random.default_rng(seed))
        if mask.any():
            pasted += bool((corrupted[mask] == 255).all())
            shaded += bool((corrupted[mask] != 255).all())
    assert 0.4 < shaded / (shaded + pasted) < 0.65


def test_what_a_training_pasted_is_pasted_again():
    drawn = {"opacity_min": 0.3, "opacity_max": 0.6, "texture_color": "gray", "shading": 0.25}
    again = trained_corruptor(drawn | {"batch": 8}, White())
    assert (again.opacity, again.gray, again.shading) == ((0.3, 0.6), True, 0.25)


def test_a_card_from_before_the_options_means_the_paper_s():
    again = trained_corruptor({}, White())
    assert (again.opacity, again.gray, again.shading) == ((0.2, 1.0), False, 0.0)
