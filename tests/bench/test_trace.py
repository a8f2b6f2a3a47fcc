"""The picture of a run: bars where they belong, and paper where there are none."""

import numpy as np
import pytest

from edgeseg.bench.trace import (
    COLORS,
    LEFT,
    PAPER,
    RIGHT,
    WIDTH,
    box,
    draw_timeline,
    end_to_end,
    tick_step,
)

ROWS = ("teacher\n30.0 ms", "student\n60.0 ms", "rest\n10.0 ms")


@pytest.fixture
def bars():
    return end_to_end(
        [(0, "teacher.conv1", 30.0), (1, "student.conv1", 60.0), (2, "sigmoid", 10.0)]
    )


def test_layers_lie_end_to_end(bars):
    assert [(bar.start, bar.ms) for bar in bars] == [(0.0, 30.0), (30.0, 60.0), (90.0, 10.0)]


def test_a_bar_is_as_wide_as_its_share_of_the_time(bars):
    wide = WIDTH - LEFT - RIGHT
    lefts, tops, rights, bottoms = zip(*(box(bar, 100.0) for bar in bars), strict=True)
    assert lefts == (LEFT, LEFT + round(0.3 * wide), LEFT + round(0.9 * wide))
    assert rights[0] < lefts[1] <= rights[0] + 2, "a gap of one pixel"
    assert rights[2] <= LEFT + wide
    assert len({b - t for t, b in zip(tops, bottoms, strict=True)}) == 1
    assert bottoms[0] < tops[1] and bottoms[1] < tops[2]


def test_the_shortest_bar_is_still_seen():
    (bar,) = end_to_end([(0, "relu", 1e-6)])
    left, _, right, _ = box(bar, 1000.0)
    assert left == right


def test_bars_are_drawn_in_their_rows_colors_and_nowhere_else(bars):
    picture = draw_timeline(bars, ROWS, ["a run"])
    for bar in bars:
        left, _, right, bottom = box(bar, 100.0)
        edge = picture[bottom - 1, left + 1 : right]  # below the writing
        assert (edge == COLORS[bar.row]).all()
        for other in range(len(ROWS)):
            if other != bar.row:
                row = box(bars[other], 100.0)[3] - 1
                assert not (picture[row, left : right + 1] == COLORS[other]).all(axis=-1).any()


def test_the_labels_are_written_left_of_the_bars(bars):
    picture = draw_timeline(bars, ROWS, ["a run", "on a machine"])
    blank = draw_timeline(bars, [" "] * 3, [])
    differing = (picture != blank).any(axis=-1)
    _, top, _, bottom = box(bars[1], 100.0)
    assert differing[top:bottom, :LEFT].any() and not differing[top:bottom, LEFT:].any()
    assert differing[:60].any(), "the lines above"
    assert (blank[top:bottom, : LEFT - 1] == PAPER).all()


def test_a_label_that_does_not_fit_is_left_out():
    long, short = end_to_end([(0, "head.blocks.0.conv2", 99.0), (0, "head.blocks.1.conv2", 1.0)])
    picture = draw_timeline([long, short], ["head"], [])
    written = []
    for bar in (long, short):
        left, top, right, bottom = box(bar, 100.0)
        written.append(bool((picture[top : bottom + 1, left : right + 1] != COLORS[0]).any()))
    assert written == [True, False]


@pytest.mark.parametrize(
    ("total", "step"), [(100.0, 10.0), (94.8, 10.0), (101.0, 20.0), (3.0, 0.5), (0.04, 0.005)]
)
def test_ticks_are_round_numbers_and_not_too_many(total, step):
    assert tick_step(total) == pytest.approx(step)


def test_a_run_without_layers_is_an_empty_picture():
    assert draw_timeline([], ["teacher"], []).dtype == np.uint8
