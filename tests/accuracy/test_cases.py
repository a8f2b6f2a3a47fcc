"""The gate's frames: which, and what is true of them."""

import numpy as np
import pytest

from edgeseg.accuracy.cases import open_cases, spread
from edgeseg.data.images import write_png
from edgeseg.data.parts import write_parts
from edgeseg.errors import DataError
from tests.kit.red_graph import CARD, SIDE, write_plates


def test_labelled_images_with_the_truth_of_their_masks(tmp_path):
    cases = open_cases(write_plates(tmp_path / "plates", good=2, bad=3), CARD, 400)
    assert len(cases) == 5
    assert cases.origin == f"5 labelled images of {tmp_path / 'plates'}"
    assert cases.good.sum() == 2 and cases.judged.all()
    for read, truth, good in zip(cases.read, cases.truth, cases.good, strict=True):
        np.testing.assert_array_equal(read()[..., 0] == 250, truth)
        assert truth.sum() == (0 if good else 24)


def test_a_defect_without_a_mask_is_not_judged_by_its_pixels(tmp_path):
    cases = open_cases(write_plates(tmp_path / "plates", good=2, bad=3, masks=False), CARD, 400)
    np.testing.assert_array_equal(cases.judged, cases.good)


def test_a_large_set_is_thinned_evenly(tmp_path):
    cases = open_cases(write_plates(tmp_path / "plates", good=8, bad=4), CARD, 6)
    assert (len(cases), cases.good.sum()) == (6, 4)
    assert cases.origin.startswith("6 of 12 labelled images of ")


@pytest.mark.parametrize(
    ("good", "bad", "most", "expected"),
    [
        (8, 4, 6, (4, 2)),
        (99, 1, 4, (3, 1)),
        (1, 99, 4, (1, 3)),
        (2, 2, 4, (2, 2)),
        (1, 1, 2, (1, 1)),
    ],
)
def test_both_kinds_keep_their_share_and_at_least_one(good, bad, most, expected):
    flags = np.arange(good + bad) < good
    places = spread(flags, most)
    assert (flags[places].sum(), (~flags[places]).sum()) == expected
    assert list(places) == sorted(set(places))


def test_the_ends_of_a_set_are_among_the_chosen():
    places = spread(np.arange(20) < 10, 4)
    np.testing.assert_array_equal(places, [0, 9, 10, 19])


def test_good_images_get_anomalies_that_a_seed_repeats(tmp_path):
    root = write_parts(tmp_path / "parts", train=3, good=0, bad=0)
    cases = open_cases(root, CARD, 400)
    assert len(cases) == 6
    np.testing.assert_array_equal(cases.good, [True] * 3 + [False] * 3)
    assert cases.origin == f"3 good images of {root}, without and with a drawn anomaly"
    again = open_cases(root, CARD, 400)
    for clean, drawn, truth, other in zip(
        cases.read[:3], cases.read[3:], cases.truth[3:], again.read[3:], strict=True
    ):
        assert clean().shape == drawn().shape == (SIDE, SIDE, 3)
        changed = (clean() != drawn()).any(axis=2)
        assert changed.any() and not (changed & ~truth).any()  # nothing outside of the mask
        np.testing.assert_array_equal(drawn(), other())
    assert not cases.truth[:3].any()


def test_a_test_set_without_defects_is_not_labelled(tmp_path):
    root = write_plates(tmp_path / "plates", good=3, bad=0)
    assert "with a drawn anomaly" in open_cases(root, CARD, 400).origin


def test_a_folder_of_bad_parts_alone_is_refused(tmp_path):
    write_png(tmp_path / "bad/1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError):
        open_cases(tmp_path, CARD, 400)


def test_a_mask_of_another_size_is_refused(tmp_path):
    root = write_plates(tmp_path / "plates", good=1, bad=1)
    write_png(root / "ground_truth/dent/01_mask.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match="01_mask"):
        open_cases(root, CARD, 400)
