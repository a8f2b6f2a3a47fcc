"""Each type of synthetic defect, and its mask."""

import numpy as np
import pytest

from edgeseg.data.defects import mark, patch, shade
from edgeseg.data.noise import perlin_mask


@pytest.mark.parametrize("draw", [shade, mark, patch])
def test_a_seed_gives_the_same_defect_and_the_image_is_not_modified(draw):
    image = np.random.default_rng(0).integers(60, 120, (64, 64, 3), np.uint8)
    before = image.copy()
    first, again = (draw(image, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(image, before)
    assert (first[0].dtype, first[0].shape) == (np.uint8, image.shape)
    assert (first[1].dtype, first[1].shape) == (np.bool_, (64, 64))


def test_shade_changes_only_the_brightness_of_a_large_region():
    image = np.tile(np.arange(40, 104, dtype=np.uint8)[None, :, None], (64, 1, 3))
    areas, gains = [], []
    for seed in range(40):
        corrupted, mask = shade(image, np.random.default_rng(seed))
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
    mean = np.mean(
        [perlin_mask(np.random.default_rng(seed), (64, 64)).mean() for seed in range(40)]
    )
    assert np.mean(areas) > 3 * mean


def test_mark_is_fine_and_changes_brightness():
    image = np.full((128, 128, 3), 100, np.uint8)
    areas, dark, light = [], 0, 0
    for seed in range(60):
        corrupted, mask = mark(image, np.random.default_rng(seed))
        changed = corrupted[:, :, 0].astype(int) - 100
        areas.append(mask.mean())
        dark += bool(changed.min() < 0)
        light += bool(changed.max() > 0)
        assert not (changed.min() < 0 < changed.max())  # one mark is darker or lighter, not both
        # 25 % of a pixel under a mark of 2^-0.25 is 4 gray levels.
        assert (np.abs(changed[mask]) >= 3).all()
        assert np.abs(changed[~mask]).max() <= 0.25 * 300 + 1
    assert 0.0005 < np.median(areas) < 0.02
    assert dark > 2 * light > 10


def test_patch_only_moves_pixels():
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(64)[:, None] * 4, np.arange(64)[None, :] * 4
    colors = {tuple(pixel) for pixel in image.reshape(-1, 3)}
    moved = 0
    for seed in range(20):
        corrupted, mask = patch(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(corrupted[~mask], image[~mask])
        assert {tuple(pixel) for pixel in corrupted.reshape(-1, 3)} <= colors
        moved += int((corrupted[mask] != image[mask]).any(axis=1).sum())
        np.testing.assert_array_equal(mask, _first_mask(seed))
    assert moved > 1000


def _first_mask(seed):
    """The outline is the Perlin mask of the paper, drawn first."""
    return perlin_mask(np.random.default_rng(seed), (64, 64))
