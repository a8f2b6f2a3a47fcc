"""Bins of scores, and their drawing."""

import numpy as np

from edgeseg.evaluation.histogram import Bin, digits_of, histogram, histogram_lines


def test_every_image_is_in_one_bin_and_the_ends_are_exact():
    rng = np.random.default_rng(0)
    scores, good = rng.random(300), rng.random(300) < 0.7
    bins = histogram(scores, good)
    assert (bins[0].low, bins[-1].high) == (scores.min(), scores.max())
    assert sum(each.good for each in bins) == good.sum()
    assert sum(each.defective for each in bins) == (~good).sum()
    widths = [each.high - each.low for each in bins]
    assert np.allclose(widths, widths[0])


def test_scores_of_several_magnitudes_are_binned_by_their_logarithm():
    bins = histogram([0.001, 0.01, 0.9, 0.004], [True, True, False, True], bins=3)
    ratios = [each.high / each.low for each in bins]
    assert np.allclose(ratios, ratios[0])
    assert [each.good for each in bins] == [2, 1, 0]


def test_equal_scores_are_one_bin():
    assert histogram([0.5, 0.5], [True, False]) == [Bin(0.5, 0.5, 1, 1)]


def test_the_drawing_marks_the_bin_of_a_threshold():
    bins = [Bin(0.0, 0.5, 4, 0), Bin(0.5, 1.0, 1, 2)]
    lines = histogram_lines(bins, {"present": 0.5, "chosen": 0.1, "beyond": 7})
    assert lines[0].split() == ["score", "from", "good", "defective"]
    assert lines[1].split() == ["0.00", "#" * 24, "4", "<-", "chosen"]
    assert lines[2].split() == [
        "0.50",
        "#" * 6,
        "1",
        "#" * 12,
        "2",
        "<-",
        "present,",
        "<-",
        "beyond",
    ]


def test_digits_tell_values_apart():
    assert digits_of([0.1, 0.2, 0.3]) == 2
    assert digits_of([0.21170, 0.21168]) == 6
    assert digits_of([0.5]) == 3
