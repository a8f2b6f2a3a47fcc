"""Defects that keep the material: each kind, its mask, and what it leaves alone."""

from functools import partial

import numpy as np
import pytest

from edgeseg.data import natural as kinds
from edgeseg.data.natural import crack, graft, natural, torn


def structured(height=96, width=64):
    """A gray part with lines and grain, so that every kind has something to change."""
    rng = np.random.default_rng(0)
    lines = 110 + 40 * np.sin(np.arange(width) / 2)[None, :]
    gray = np.clip(lines + rng.normal(0, 8, (height, width)), 0, 255).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)


OTHER = np.full((96, 64, 3), 220, np.uint8)
DRAWINGS = [torn, crack, partial(graft, other=OTHER)]
NAMES = ["torn", "crack", "graft"]


def draw(drawing, image, seed):
    return drawing(image, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("drawing", DRAWINGS, ids=NAMES)
def test_a_seed_gives_the_same_defect_on_a_part_of_any_shape(drawing):
    image = structured()
    before = image.copy()
    marked = 0
    for seed in range(20):
        first, again = draw(drawing, image, seed), draw(drawing, image, seed)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
        assert (first[0].dtype, first[0].shape) == (np.uint8, image.shape)
        assert (first[1].dtype, first[1].shape) == (np.bool_, (96, 64))
        assert (first[0][..., 0] == first[0][..., 1]).all()  # gray stays gray
        marked += bool(first[1].any())
    np.testing.assert_array_equal(image, before)
    assert marked >= 15


@pytest.mark.parametrize("drawing", DRAWINGS, ids=NAMES)
def test_a_mask_covers_what_changed_most(drawing):
    image = structured()
    for seed in range(20):
        changed, mask = draw(drawing, image, seed)
        apart = np.abs(changed.astype(int) - image)[..., 0]
        if mask.any() and not mask.all():
            assert apart[mask].mean() > 2 * apart[~mask].mean()
        assert mask.mean() < 0.95


def test_what_cannot_be_seen_is_not_marked():
    plain = np.full((64, 64, 3), 90, np.uint8)
    for seed in range(20):
        alike = plain + np.uint8(seed % 2)  # a piece of a part that looks the same
        changed, mask = graft(plain, alike, np.random.default_rng(seed))
        visible = np.abs(changed.astype(int) - plain).mean(axis=2) >= 2.5
        assert not mask.any() or visible[mask].mean() > 0.8


def test_graft_takes_the_pixels_of_the_other_part():
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 200, np.uint8)
    for seed in range(10):
        changed, mask = graft(black, white, np.random.default_rng(seed))
        assert not mask.any() or changed[mask].mean() > 50


def test_natural_draws_every_kind_and_takes_the_others_for_grafts(monkeypatch):
    drawn = []

    def record(name):
        def drawing(image, *rest):
            drawn.append((name, rest[0]))
            return image, np.zeros(image.shape[:2], np.bool_)

        return drawing

    monkeypatch.setattr(kinds, "KINDS", tuple(record(name) for name in ("a", "b")))
    monkeypatch.setattr(kinds, "graft", record("graft"))
    rng, image = np.random.default_rng(0), structured()
    for _ in range(30):
        natural(image, rng, [OTHER])
    assert {name for name, _ in drawn} == {"a", "b", "graft"}
    assert all(given is OTHER for name, given in drawn if name == "graft")
    drawn.clear()
    for _ in range(30):
        natural(image, rng, [])  # nothing but the part itself
    assert all(given is image for name, given in drawn if name == "graft")
