"""Ranges for Nsight Systems, with a module that records its calls."""

import sys
from types import SimpleNamespace

import pytest

from edgeseg.cuda.nvtx import marker
from edgeseg.errors import MissingExtra
from edgeseg.packages.extras import install_command


class Range:
    def __init__(self, calls, name, domain):
        calls.append(f"made {domain}/{name}")
        self.calls, self.name = calls, name

    def __enter__(self):
        self.calls.append(f"push {self.name}")

    def __exit__(self, *error):
        self.calls.append("pop")


@pytest.fixture
def calls(monkeypatch):
    lines = []
    fake = SimpleNamespace(annotate=lambda name, *, domain: Range(lines, name, domain))
    monkeypatch.setitem(sys.modules, "nvtx", fake)
    return lines


def test_ranges_are_made_once_and_entered_each_time(calls):
    mark = marker(on=True)
    for _ in range(2):
        with mark("frame"), mark("run"):
            pass
    once = ["push frame", "push run", "pop", "pop"]
    assert calls == ["made edgeseg/frame", "push frame", "made edgeseg/run", *once[1:], *once]


def test_a_range_ends_where_its_block_fails(calls):
    mark = marker(on=True)
    with pytest.raises(ZeroDivisionError), mark("run"):
        raise ZeroDivisionError
    assert calls[-1] == "pop"


def test_switched_off_a_mark_is_one_object_and_nvtx_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvtx", None)  # an import would fail
    mark = marker(on=False)
    assert mark("frame") is mark("run")
    with mark("frame"), mark("run"):
        pass


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(MissingExtra) as caught:
        marker(on=True)
    assert caught.value.remedy == install_command("nvtx")
