"""Mirrors edgeseg/text.py."""

from edgeseg.text import table


def test_table_aligns_each_column_to_its_side():
    rows = [["name", "ms"], ["teacher", "1.5"], ["head", "10.25"]]
    assert table(rows, "<>") == [
        "name        ms",
        "teacher    1.5",
        "head     10.25",
    ]


def test_table_takes_short_rows_and_leaves_no_blanks_at_the_end():
    assert table([["a", ""], ["bcd"]], "<<", gap=" | ") == ["a   |", "bcd"]
