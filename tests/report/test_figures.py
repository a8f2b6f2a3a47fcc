"""The figures of the page, in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.evaluation.operating_points import Rate
from edgeseg.report import charts, figures
from edgeseg.report.facts import ModelFacts
from tests.kit.cards import make_card
from tests.report.conftest import measured

GOOD, BAD = [0.1, 0.2, 0.3, 0.6], [0.4, 0.7, 0.8, 0.9]


def test_operating_points_are_ordered_and_the_one_in_use_is_marked():
    rows = figures.points(measured(GOOD, BAD), 0.5)
    places = [row.rates.threshold for row in rows]
    assert places == sorted(set(places)) and len(places) > 2
    (current,) = (row for row in rows if row.current)
    assert (current.threshold, current.reason) == ("0.5", "in use")
    assert (current.rates.false_rejects.count, current.rates.misses.count) == (1, 1)
    strict = next(row for row in rows if "good parts" in row.reason)
    assert strict.rates.false_rejects.count == 0


@pytest.mark.parametrize(("good", "bad"), [(GOOD, []), ([], BAD)])
def test_one_kind_of_photos_has_operating_points_too(good, bad):
    rows = figures.points(measured(good, bad), 0.5)
    assert len(rows) > 1 and {row.rates.misses.total for row in rows} == {len(bad)}


def test_the_defects_of_the_training_are_counted_by_type():
    trained = {"1" * 64: "scratch", "2" * 64: "dent", "3" * 64: "scratch"}
    facts, plain = (
        ModelFacts(path=Path("x.onnx"), graph=make_card(defects=known), run=None, engine=None)
        for known in (trained, {})
    )
    assert [value for _, value in facts.training() if "scratch" in value] == [
        "3: dent 1, scratch 2"
    ]
    assert "3 photos of defects" in figures.trained(facts)
    assert "defects" not in figures.trained(plain)
    assert len(facts.training()) == len(plain.training()) + 1
    (row,) = figures.types(measured([], [0.9]), trained)
    assert row.label == "dent (type trained on)"


def test_the_types_with_the_most_misses_come_first():
    found = measured([], [0.1, 0.9])
    assert [(r.label, r.photos, r.missed.count, r.unknown) for r in figures.types(found)] == [
        ("dent", 2, 1, 0)
    ]


def test_rates_that_the_photos_do_not_support_are_marked():
    few = [row.reason for row in figures.points(measured(GOOD, BAD), 0.5)]
    assert sum("too few photos: needs 99)" in reason for reason in few) == 1
    many = figures.points(
        measured([0.001 * n for n in range(99)], [0.5 + 0.001 * n for n in range(49)]), 0.3
    )
    assert not any("too few" in row.reason for row in many)


def test_an_interval_is_in_percent():
    assert figures.interval(Rate(0, 20)) == "95 % interval 0 to 16 %"
    assert figures.interval(Rate(20, 20)) == "95 % interval 84 to 100 %"


def test_the_histogram_in_words_counts_both_kinds():
    text = figures.histogram_text(measured(GOOD, BAD), 0.5)
    assert "4 good photos from 0.1 to 0.6, 1 above the threshold" in text
    assert "4 defective photos from 0.4 to 0.9, 3 above" in text


@pytest.mark.parametrize("chart", [charts.histogram, charts.error_rates])
@pytest.mark.parametrize(
    ("good", "bad", "threshold"),
    [
        (GOOD, BAD, 0.5),
        (GOOD, [], 0.5),
        ([], BAD, 0.5),
        ([0.2], [], 0.2),
        ([0.001, 0.002], [0.9], 0.003),
        ([-1.0], [2.0], -0.5),
    ],
)
def test_charts_are_drawn_for_any_scores(chart, good, bad, threshold):
    svg = charts.draw(chart, measured(good, bad), threshold, charts.DARK)
    assert svg.startswith(b"<?xml") and b"threshold" in svg
    assert charts.DARK.text.encode() in svg and charts.LIGHT.text.encode() not in svg
    assert svg == charts.draw(chart, measured(good, bad), threshold, charts.DARK)


@pytest.mark.parametrize("threshold", [0.5, 0.003, -0.5])
def test_the_threshold_is_between_two_bars(threshold):
    scores = measured(GOOD, [*BAD, threshold]).scores
    edges = charts._edges(scores, threshold)
    assert abs(edges - threshold).min() < 1e-12
    assert edges[0] <= scores.min() and edges[-1] >= scores.max() and (edges[1:] > edges[:-1]).all()


def test_region_scores_are_called_so():
    by_regions = replace(measured(GOOD, BAD), by_regions=True)
    assert figures.histogram_text(by_regions, 0.5).startswith("Histogram of the region scores")
    assert b"pixel threshold" in charts.draw(charts.error_rates, by_regions, 0.5, charts.DARK)
    assert b"region score" in charts.draw(charts.histogram, by_regions, 0.5, charts.DARK)
