"""docs/not-run-on-gpu.md names a check for each claim, and agrees with the results files."""

import copy
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edgeseg.gpu_check.table import CHECKS

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))  # its scripts import one another
import gpu_page  # noqa: E402

TEXT = gpu_page.PAGE.read_text(encoding="utf-8")
RESULTS = gpu_page.read_results()
NAMES = [check.name for check in CHECKS]
NO_CHECK, ON_JETSON = "no check: ", "on a Jetson: "


def claims(text):
    """Return (claim, last column) of each row of the tables that have a column of checks."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[c.strip() for c in row.strip("|\n").split(" | ")] for row in
                          table.splitlines()]  # fmt: skip
        if head[-1] == "checks":
            found += [(row[0], row[-1]) for row in rows]
    return found


CLAIMS = claims(TEXT)
NOT_RUN = claims(TEXT[TEXT.index("\n## Not run on a GPU") :])


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


def named(column):
    return {name for name in NAMES if any(fnmatch(name, each) for each in patterns(column))}


def test_what_is_called_not_run_is_what_no_gpu_has_passed():
    columns = [column for _, column in NOT_RUN if not column.startswith(NO_CHECK)]
    here = [column for column in columns if not column.startswith(ON_JETSON)]
    assert set().union(*map(named, here)) == set(gpu_page.never_passed(RESULTS.values()))
    jetsons = [each for each in RESULTS.values() if each["device"]["integrated"]]
    on_jetson = set().union(*map(named, columns)) - set().union(*map(named, here))
    assert on_jetson <= set(gpu_page.never_passed(jetsons))


def test_the_lists_of_the_page_are_those_of_the_results_files():
    assert TEXT == gpu_page.replaced(TEXT, gpu_page.lists(RESULTS))


def test_a_check_that_passes_leaves_the_list():
    later = copy.deepcopy(RESULTS)
    (check,) = [c for c in next(iter(later.values()))["checks"] if c["name"] == "gil"]
    check["state"] = "PASS"
    assert set(gpu_page.never_passed(RESULTS.values())) == {
        *gpu_page.never_passed(later.values()), "gil"
    }  # fmt: skip
    assert TEXT != gpu_page.replaced(TEXT, gpu_page.lists(later))


@pytest.mark.parametrize("name", RESULTS)
def test_a_results_file_is_a_whole_report(name):
    results = RESULTS[name]
    assert {check["state"] for check in results["checks"]} <= {"PASS", "FAIL", "SKIP"}
    assert len(results["checks"]) >= 40 and results["device"]["name"]
