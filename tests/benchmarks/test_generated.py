"""The generated data sets: what each defect changes, what varies between good parts, the layout."""

import sys

import numpy as np
import pytest

import generated
from edgeseg.data.images import read_pixels
from edgeseg.data.layouts import open_dataset

DEFECTS = [(kind, name) for kind, each in generated.KINDS.items() for name in each.defects]


@pytest.mark.parametrize("kind, name", DEFECTS)
def test_a_defect_is_a_good_part_of_the_same_seed_but_for_its_mask(kind, name):
    both = generated.KINDS[kind]
    for seed in range(3):
        image, mask = both.defects[name](np.random.default_rng(seed))
        again, same = both.defects[name](np.random.default_rng(seed))
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(mask, same)
        good = both.good(np.random.default_rng(100 + seed))
        assert (image.dtype, image.shape) == (np.uint8, good.shape)
        assert mask.shape == image.shape[:2]
        assert 5 < mask.sum() < 0.2 * mask.size


def test_a_missing_screw_is_dark_where_the_mask_is():
    image, mask = generated.missing_screw(np.random.default_rng(0))
    whole, parts = generated.draw_board(np.random.default_rng(0))
    there = np.isin(parts, (1, 2, 3, 4))
    assert image[mask].mean() < 0.75 * whole[there].mean()


def test_good_boards_differ_in_position_within_their_tolerance():
    rng, rows = np.random.default_rng(0), []
    for _ in range(12):
        _, parts = generated.draw_board(rng)
        rows.append(np.nonzero(parts == 5)[0].mean())
    assert 0.5 < np.std(rows) < 4
    _, mask = generated.misplaced(rng)
    _, parts = generated.draw_board(rng)
    usual = np.argwhere((parts == 6) | (parts >= 10)).mean(axis=0)
    assert np.abs(np.argwhere(mask).mean(axis=0) - usual).max() > 4


def test_main_writes_the_mvtec_layout(tmp_path, monkeypatch, capsys):
    counts = ["--train", "2", "--good", "1", "--bad", "1"]
    monkeypatch.setattr(sys, "argv", ["generated.py", "board", str(tmp_path / "board"), *counts])
    generated.main()
    assert capsys.readouterr().out == f"{tmp_path / 'board'}\n"
    dataset = open_dataset(tmp_path / "board")
    assert len(dataset.train) == 2
    assert sorted(sample.label for sample in dataset.test) == sorted(
        ["good", *generated.KINDS["board"].defects]
    )
    for sample in dataset.test:
        if sample.mask is not None:
            assert set(np.unique(read_pixels(sample.mask))) == {0, 255}
