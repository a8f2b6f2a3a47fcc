"""docs/not-run-on-gpu.md names a check for each of its claims, and every check."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edgeseg.gpu_check.table import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "not-run-on-gpu.md"
NAMES = [check.name for check in CHECKS]
NO_CHECK = "no check: "


def claims(text):
    """Return (claim, last column) of each row of the tables that have a column of checks."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[c.strip() for c in row.strip("|\n").split(" | ")] for row in
                          table.splitlines()]  # fmt: skip
        if head[-1] == "checks":
            found += [(row[0], row[-1]) for row in rows]
    return found


CLAIMS = claims(PAGE.read_text(encoding="utf-8"))


def patterns(column):
    return re.findall(r"`([^`]+)`", column)


@pytest.mark.parametrize(("claim", "column"), CLAIMS, ids=[claim for claim, _ in CLAIMS])
def test_a_claim_names_its_checks_or_why_there_is_none(claim, column):
    if column.startswith(NO_CHECK):
        assert len(column) > len(NO_CHECK)
        return
    named = patterns(column)
    assert named, "no check"
    assert [each for each in named if not any(fnmatch(name, each) for name in NAMES)] == []


def test_every_check_is_named():
    assert len(CLAIMS) > 20
    named = [p for _, column in CLAIMS if not column.startswith(NO_CHECK) for p in patterns(column)]
    assert [name for name in NAMES if not any(fnmatch(name, each) for each in named)] == []
