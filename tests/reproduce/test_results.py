"""`lines_of`: means, deviations and differences, compared with values computed by hand."""

import math
from pathlib import Path

import pytest

from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.results import SECONDS, Cell, RowResult, Stat, lines_of
from edgeseg.reproduce.runs import TableRun
from edgeseg.reproduce.table import AVERAGE, Figure, Row

METRICS = ("image_auroc", "pixel_ap")
ROW = Row(
    label="DeSTSeg",
    settings={},
    figures={
        "bottle": (Figure(99.0), Figure(90.0, 2.0)),
        "cable": (Figure(97.0), Figure(60.0, 3.0)),
        AVERAGE: (Figure(98.0, 0.4), Figure(75.0, 1.0)),
    },
)


def result(category, seed, image_auroc, pixel_ap, seconds=10.0):
    run = TableRun(
        category=category,
        row="DeSTSeg",
        config=TrainConfig(seed=seed),
        data=Path(),
        folder=Path(f"{category}-{seed}"),
    )
    return RowResult(run, {"image_auroc": image_auroc, "pixel_ap": pixel_ap, SECONDS: seconds})


def lines(results, categories=("bottle", "cable"), comparable=True, complete=True, row=ROW):
    found = lines_of(row, METRICS, results, categories, comparable=comparable, complete=complete)
    return {line.category: line for line in found}


def test_lines_of_a_category_have_mean_and_sample_deviation_over_seeds():
    found = lines([result("bottle", s, x, 80.0, x) for s, x in enumerate((96.0, 98.0, 100.0))])
    line = found["bottle"]
    assert line.runs == 3
    assert line.cells["image_auroc"].ours == Stat(98.0, 2.0, 3)
    assert line.cells["image_auroc"].difference == pytest.approx(-1.0)
    assert line.cells["pixel_ap"].ours == Stat(80.0, 0.0, 3)
    assert line.seconds == Stat(98.0, 2.0, 3)
    assert str(line.cells["image_auroc"].ours) == "98.0 ± 2.0"


def test_stat_of_one_seed_has_no_deviation():
    line = lines([result("bottle", 0, 96.0, None)])["bottle"]
    assert line.cells["image_auroc"].ours == Stat(96.0, None, 1)
    assert line.cells["pixel_ap"].ours is None and line.cells["pixel_ap"].difference is None


def test_average_deviation_is_over_the_seeds_of_all_categories():
    found = lines(
        [
            result("bottle", 0, 90.0, 80.0, 10.0),
            result("bottle", 1, 94.0, 80.0, 20.0),
            result("bottle", 2, 98.0, 80.0, 60.0),
            result("cable", 0, 80.0, 60.0, 10.0),
            result("cable", 1, 80.0, 60.0, 10.0),
        ]
    )
    line = found[AVERAGE]
    # bottle's mean is 94, cable's 80; seed 0 averages to 85, seed 1 to 87, seed 2 lacks cable
    assert line.cells["image_auroc"].ours == Stat(87.0, pytest.approx(math.sqrt(2)), 2)
    assert line.cells["image_auroc"].difference == pytest.approx(-11.0)
    assert line.runs == 5
    assert line.seconds.mean == pytest.approx(20.0)


def test_average_over_fewer_categories_is_compared_with_the_papers_over_the_same():
    line = lines([result("bottle", 0, 95.0, 80.0)], ("bottle", "cable"))[AVERAGE]
    assert line.cells["pixel_ap"].paper == Figure(90.0)
    assert line.cells["pixel_ap"].difference == pytest.approx(-10.0)


def test_other_data_than_the_papers_have_no_difference():
    line = lines([result("bottle", 0, 95.0, 80.0)], ("bottle",), comparable=False)["bottle"]
    assert line.cells["pixel_ap"].paper == Figure(90.0, 2.0)
    assert line.cells["pixel_ap"].difference is None


def test_data_without_categories_are_compared_with_the_average():
    row = Row(label="DSKD", settings={}, figures={AVERAGE: (Figure(96.2), Figure(70.3))})
    found = lines([result("tiles", 0, 95.2, 70.3)], ("tiles",), row=row)
    assert list(found) == ["tiles"]
    assert found["tiles"].cells["image_auroc"].difference == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("ours", "paper", "beyond"),
    [
        (Stat(95.0, 1.0, 5), Figure(98.0, 1.0), True),
        (Stat(97.0, 1.0, 5), Figure(98.0, 1.0), False),
        (Stat(97.0, 0.5, 5), Figure(98.0), True),
        (Stat(97.0, None, 1), Figure(98.0), None),
    ],
)
def test_cell_beyond_both_deviations(ours, paper, beyond):
    assert Cell(ours, paper, comparable=True).beyond is beyond
