"""Rotation and lighting."""

import numpy as np

from edgeseg.data.augment import FILL, relight, rotate


def corner(policy, seeds=40):
    """Return the rotations of an image with one white corner, by policy."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:16, :16] = 255
    return image, [rotate(image, policy, np.random.default_rng(seed)) for seed in range(seeds)]


def test_rotate_none_changes_nothing():
    image, turned = corner("none")
    assert all(t is image for t in turned)


def test_rotate_slight_keeps_the_corner_and_fills_with_gray():
    _, turned = corner("slight")
    assert all(t[8, 8, 0] == 255 for t in turned)
    assert any((t[0, 63] == FILL).all() for t in turned)


def test_rotate_full_moves_the_corner_to_every_side():
    _, turned = corner("full")
    places = ((8, 8), (8, 55), (55, 8), (55, 55))
    assert all(any(t[place][0] == 255 for t in turned) for place in places)


def test_relight_changes_gain_and_offset_only():
    image = np.arange(0, 192, dtype=np.uint8).reshape(8, 8, 3)
    assert relight(image, 0.0, np.random.default_rng(0)) is image
    lit = relight(image, 0.3, np.random.default_rng(0)).astype(int)
    assert (np.diff(lit.ravel()) >= 0).all()
    assert (lit != image).any()
