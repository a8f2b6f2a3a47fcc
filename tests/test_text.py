"""Mirrors edgeseg/text.py."""

import math

import pytest

from edgeseg.text import counted, percent, signed, table


def test_table_aligns_each_column_to_its_side():
    rows = [["name", "ms"], ["teacher", "1.5"], ["head", "10.25"]]
    assert table(rows, "<>") == [
        "name        ms",
        "teacher    1.5",
        "head     10.25",
    ]


def test_table_takes_short_rows_and_leaves_no_blanks_at_the_end():
    assert table([["a", ""], ["bcd"]], "<<", gap=" | ") == ["a   |", "bcd"]


def test_one_is_no_plural():
    assert [counted(n, "thread") for n in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0126, "+0.013"), (-0.0004, "+0.000"), (-0.0126, "-0.013"), (0.0, "+0.000")],
)
def test_a_change_that_rounds_to_nothing_has_no_minus(value, text):
    assert signed(value, 3) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.0004, "0.04 %"),
        (0.125, "12.5 %"),
        (0.9999, "> 99.9 %"),
        (0.0417, "4.17 %"),
        (math.nan, "-"),
    ],
)
def test_no_share_is_rounded_to_nothing_or_to_all(share, text):
    assert percent(share) == text
