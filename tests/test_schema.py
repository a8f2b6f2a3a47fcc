"""Documents become typed, bounded values, or the error names field, value and bounds."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from edgeseg import schema
from edgeseg.schema import Invalid, bounded, build, is_plain, parse, read_text, without_nan
from tests.kit.names import LEADING_ELSEWHERE


@dataclass(frozen=True, kw_only=True)
class Inner:
    scale: float = bounded(0, 1)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = bounded(name=True)
    kind: Literal["a", "b"] = "a"
    size: tuple[int, int] | None = bounded(1, 99, default=None)
    many: list[int] = field(default_factory=list)
    inner: Inner | None = None
    steps: dict[str, int] = bounded(0, default=None)
    free: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None


def test_a_document_becomes_typed_values():
    document = {
        "name": "größe 1",
        "kind": "b",
        "size": [2, 3],
        "many": [1, 2, 3],
        "inner": {"scale": 1},
        "steps": {"head": 5},
        "free": {"deep": [{"er": None}]},
        "path": "a/b",
    }
    found = build(Outer, document)
    assert (found.name, found.kind, found.size, found.many) == ("größe 1", "b", (2, 3), [1, 2, 3])
    assert type(found.inner.scale) is float and found.inner == Inner(scale=1.0)
    assert (found.steps, found.free, found.path) == ({"head": 5}, document["free"], Path("a/b"))
    assert build(Outer, {"name": "x"}) == Outer(name="x")


WRONG = [
    ({}, "missing", "missing name"),
    ([], "type", "expected an object"),
    ({"name": "x", "later": 1, "also": 2}, "unknown", "unknown also, later"),
    ({"name": 1}, "type", "name is 1 (expected text)"),
    ({"name": "../evil"}, "value", "name is '../evil' (expected a plain name"),
    ({"name": "x", "kind": "c"}, "value", "kind is 'c' (expected one of a, b)"),
    ({"name": "x", "kind": ["a"]}, "value", "expected one of a, b"),
    ({"name": "x", "size": [1]}, "value", "size is [1] (expected 2 values)"),
    ({"name": "x", "size": [1, 100]}, "value", "size[1] is 100 (expected 1 to 99)"),
    ({"name": "x", "size": [1, True]}, "type", "size[1] is True (expected a whole number)"),
    ({"name": "x", "size": "12"}, "type", "size is '12' (expected a list)"),
    ({"name": "x", "many": [1, None]}, "type", "many[1] is None"),
    ({"name": "x", "inner": {"scale": 1.5}}, "value", "inner.scale is 1.5 (expected 0 to 1)"),
    ({"name": "x", "inner": {"scale": float("nan")}}, "value", "expected a finite number"),
    ({"name": "x", "inner": {}}, "missing", "missing inner.scale"),
    ({"name": "x", "inner": {"scale": 10**400}}, "type", "inner.scale is 1000"),
    ({"name": "x", "steps": {"head": -1}}, "value", "steps.head is -1 (expected at least 0)"),
    ({"name": "x", "free": {"a": [float("inf")]}}, "value", "free.a.0 is inf"),
    ({"name": "x", "free": 1}, "type", "free is 1 (expected an object)"),
    ({"name": "x", "path": 1}, "type", "path is 1 (expected text)"),
    ({"name": "x", "path": "a" * 70_000}, "value", "at most 65536 characters"),
]


@pytest.mark.parametrize(("document", "kind", "words"), WRONG)
def test_what_is_wrong_is_named(document, kind, words):
    with pytest.raises(Invalid) as caught:
        build(Outer, document)
    assert caught.value.kind == kind and words in str(caught.value)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


def test_all_that_is_wrong_is_named_at_once():
    document = {"name": 1, "kinds": "b", "size": [2, "3"], "many": ["x", 2, None], "inner": {}}
    with pytest.raises(Invalid) as caught:
        build(Outer, document)
    assert caught.value.problems == (
        "unknown kinds (expected kind)",
        "name is 1 (expected text)",
        "size[1] is '3' (expected a whole number)",
        "many[0] is 'x' (expected a whole number)",
        "many[2] is None (expected a whole number)",
    )
    assert caught.value.kind == "unknown" and str(caught.value).count("; ") == 4


def test_of_a_long_list_the_first_problems_are_named():
    with pytest.raises(Invalid) as caught:
        build(Outer, {"name": "x", "many": ["x"] * 1000})
    assert len(caught.value.problems) == schema.MOST


@pytest.mark.parametrize("text", ["{", "NaN", "[Infinity]", "-Infinity", "1e999", "[" * 100_000])
def test_json_without_a_meaning_is_refused(text):
    with pytest.raises(ValueError):
        parse(text)


def test_nesting_beyond_what_a_reader_follows_is_refused():
    deep = parse("[" * 60 + "]" * 60)
    with pytest.raises(Invalid, match="nesting"):
        build(Outer, {"name": "x", "free": {"deep": deep}})


PLAIN = ["plates", "größe", "a b", "-x", "a.b", "x" * 200, "\udcff", "'; touch PWNED; '", "é"]


def test_a_plain_name_leads_nowhere_else():
    assert all(map(is_plain, PLAIN))
    assert not any(map(is_plain, LEADING_ELSEWHERE))


def test_a_file_is_measured_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # a hole: 3 GB that take no room
    monkeypatch.setenv("EDGESEG_MAX_JSON_MB", "1")
    with pytest.raises(ValueError, match="EDGESEG_MAX_JSON_MB"):
        read_text(path)
    path.write_text(json.dumps({"a": "é"}))
    assert parse(read_text(path)) == {"a": "é"}


def test_measurements_that_are_no_numbers_are_stored_as_null():
    assert without_nan({"a": [float("nan"), 1.0], "b": float("-inf")}) == {
        "a": [None, 1.0],
        "b": None,
    }


def test_settings_of_older_versions_are_checked_one_by_one():
    schema.check_given(Outer, {"kind": "b", "size": None}, "config")
    with pytest.raises(Invalid, match=r"config\.kind is 'c'"):
        schema.check_given(Outer, {"kind": "c"}, "config")
    with pytest.raises(Invalid, match=r"unknown config\.later"):
        schema.check_given(Outer, {"later": 1}, "config")
