"""The generated parts."""

import numpy as np

from edgeseg.data.images import read_image
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import DEFECTS, SIZE, draw_part, spoil, write_parts
from edgeseg.data.truth import read_mask


def test_write_parts_has_the_mvtec_layout_and_a_mask_for_each_defect(tmp_path):
    dataset = open_dataset(write_parts(tmp_path / "plates", train=3, good=2, bad=1))
    assert dataset.layout == "MVTec AD"
    assert len(dataset.train) == 3
    assert sorted(s.label for s in dataset.test) == sorted(["good", "good", *DEFECTS])
    for sample in dataset.test:
        assert read_image(sample.path).shape == (*SIZE, 3)
        if not sample.good:
            assert sample.mask is not None and read_mask(sample.mask).any()


def test_spoil_changes_the_part_only_near_the_mask():
    for name, defect in DEFECTS.items():
        rng = np.random.default_rng(5)
        part = draw_part(rng)
        spoiled, mask = spoil(part, defect, rng)
        changed = np.abs(spoiled.astype(int) - part).max(axis=2)
        assert changed[mask].mean() > 20, name
        rows, columns = np.nonzero(mask)
        changed[rows.min() - 4 : rows.max() + 5, columns.min() - 4 : columns.max() + 5] = 0
        assert not changed.any(), name


def test_draw_part_is_reproducible():
    first, again = (draw_part(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
