"""Every requirement has bounds, and both lists of versions are those of pyproject.toml."""

import re
import sys
from itertools import chain
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
EXTRAS_TESTED = ("opencv", "cpu", "openvino", "video")
TESTED = [
    *PROJECT["dependencies"],
    *(r for name in EXTRAS_TESTED for r in EXTRAS[name] if not r.startswith("edgeseg[")),
]
NAME = re.compile(r"[A-Za-z0-9-]+")


def versions(file):
    """The pins of a file: package -> versions, several where they differ by Python."""
    found = {}
    for line in (REPOSITORY / file).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split(";")[0].strip().split("==")
            found.setdefault(name, []).append(version)
    return found


def numbers(version):
    """`1.24.0` -> (1, 24): zeros at the end do not count."""
    parts = [int(part) for part in re.findall(r"\d+", version)]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def lower(requirement):
    return re.search(r">=([\d.]+)", requirement).group(1)


@pytest.mark.parametrize("requirement", sorted({*TESTED}))
def test_the_lowest_version_is_what_ci_installs(requirement):
    pins = versions(".ci/lowest.txt")[NAME.match(requirement).group()]
    assert numbers(lower(requirement)) in map(numbers, pins)


def test_constraints_pin_every_requirement_of_every_extra_that_is_tested():
    pinned = versions("constraints.txt")
    listed = [r for name in ("train", "rtx", "docs", "dev") for r in EXTRAS[name]] + TESTED
    names = {NAME.match(requirement).group() for requirement in listed} - {"edgeseg"}
    assert names <= set(pinned)
    for requirement in listed:
        if ">=" in requirement:
            name = NAME.match(requirement).group()
            assert all(numbers(pin) >= numbers(lower(requirement)) for pin in pinned[name])


@pytest.mark.parametrize("file", ["constraints.txt", ".ci/lowest.txt"])
def test_a_list_of_versions_names_no_index_and_no_path(file):
    lines = (REPOSITORY / file).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 20
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .*)?", line) for line in pins)
    assert "/" not in "".join(lines)


def test_every_requirement_has_a_lower_bound():
    """And an upper one where its major versions break: those without are named here."""
    free = set()
    for requirement in [*PROJECT["dependencies"], *chain(*EXTRAS.values())]:
        if not requirement.startswith("edgeseg["):
            assert ">=" in requirement, requirement
            if "<" not in requirement.split(";")[0]:
                free.add(NAME.match(requirement).group())
    by_date = {
        "fsspec",
        "nvidia-ml-py",
        "openvino",
        "pillow",
        "pycuda",
    }  # majors are dates, or yearly
    tools = {
        "build",
        "hatchling",
        "mypy",
        "pytest",
        "pytest-xdist",
        "ruff",
        "scikit-learn",
        "scipy-stubs",
    }
    assert free == by_date | tools | {"rich", "tensorrt", "tomli"}
