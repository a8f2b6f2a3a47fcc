"""The defects that judge are visible, where their masks say, and unlike those that train."""

import cv2
import numpy as np
import pytest

from edgeseg.data.defective.families import FAMILIES, draw_defect
from edgeseg.data.parts import draw_part


@pytest.mark.parametrize("family", FAMILIES)
def test_a_defect_is_visible_and_lies_in_its_mask(family):
    rng = np.random.default_rng(3)
    for _ in range(4):
        part = draw_part(rng)
        changed, mask = draw_defect(family, part, rng)
        assert changed.shape == part.shape and changed.dtype == np.uint8
        assert mask.shape == part.shape[:2] and 0 < mask.mean() < 0.4
        apart = cv2.absdiff(changed, part).mean(axis=2)
        assert apart[mask].mean() > 2 * apart[~mask].mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_draws_the_same_defect(family):
    part = draw_part(np.random.default_rng(1))
    first, second = (draw_defect(family, part, np.random.default_rng(7)) for _ in range(2))
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all()


def test_a_gray_part_gets_gray_defects():
    part = np.repeat(draw_part(np.random.default_rng(1))[:, :, :1], 3, axis=2)
    for family in ("spot", "chip", "light", "smooth", "warp"):
        changed, mask = draw_defect(family, part, np.random.default_rng(2))
        inside = changed[mask].astype(int)
        assert np.ptp(inside, axis=1).max() <= 40, family


def test_no_family_is_one_that_trains():
    trained = {"texture", "shade", "mark", "patch", "torn", "crack", "graft"}
    assert not trained & set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_defect_lies_inside_of_what_is_inspected(family):
    part = draw_part(np.random.default_rng(1))
    inside = np.zeros(part.shape[:2], np.bool_)
    inside[40:120, 60:160] = True
    changed, mask = draw_defect(family, part, np.random.default_rng(2), inside)
    assert mask.any() and not mask[~inside].any() and (changed == part)[~inside].all()
