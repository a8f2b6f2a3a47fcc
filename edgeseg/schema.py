"""JSON and TOML from files become typed, bounded values, or `Invalid` says which field is wrong.

    document = parse(read_text(path))       of bounded size, without NaN and infinity
    card = build(ModelCard, document)       each field by its annotation and its bounds

Every border uses it: cards, the metadata of ONNX files, calibration files, checkpoints, settings.
A schema is a frozen dataclass. Its fields have the annotations bool, int, float, str, Path, Any,
Literal, `X | None`, list, tuple, dict with keys of text, and other dataclasses; `bounded` adds
bounds. Numbers are finite, text is at most LONGEST characters.
"""

import dataclasses
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from edgeseg.limits import limit
from edgeseg.text import escaped

T = TypeVar("T")
LONGEST, LONGEST_NAME = 65_536, 200  # characters
DEEPEST = 40  # nested lists and objects
MOST = 5  # problems of a document that are named
_SHOWN = 60  # characters of a wrong value in a message
Schema = tuple[Mapping[str, "dataclasses.Field[Any]"], Mapping[str, Any]]
_SCHEMAS: dict[Any, Schema] = {}
_IN_WORDS: dict[Any, str] = {
    **{int: "a whole number", float: "a number", bool: "true or false", str: "text"},
    **{dict: "an object", list: "a list"},
}


Fault = Literal["missing", "unknown", "type", "value"]


class Invalid(ValueError):
    """A value that does not fit its schema; str() names the field, the value and what is expected.

    kind: `missing`, `unknown` (a field of another version), `type` or `value`; of the first problem
    if there are several.
    """

    def __init__(self, problem: str, kind: Fault) -> None:
        super().__init__(problem)
        self.kind: Fault = kind
        self.problems: tuple[str, ...] = (problem,)

    @classmethod
    def of(cls, found: Sequence["Invalid"]) -> "Invalid":
        """Return one error for the first MOST problems, in their order."""
        if len(found) == 1:
            return found[0]
        problems = tuple(problem for each in found for problem in each.problems)[:MOST]
        joined = cls("; ".join(problems), found[0].kind)
        joined.problems = problems
        return joined


class NotFinite(ValueError):
    """NaN or infinity where a number is expected."""


def bounded(
    low: float | None = None,
    high: float | None = None,
    *,
    name: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """Declare a field with inclusive bounds of its numbers, also of those within a list.

    name: its text is a plain file name, as `is_plain` tells.
    """
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "name": name})


def is_plain(name: str) -> bool:
    """Whether text is the name of a file or folder that leads nowhere else.

    At most LONGEST_NAME characters, no separators, no control characters, not `.` or `..`.
    """
    return (
        0 < len(name) <= LONGEST_NAME
        and name not in (".", "..")
        and not any(c in "/\\" or unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name)
    )


def read_text(path: Path) -> str:
    """Read a UTF-8 file; OSError if it is missing, ValueError if it is too large or not UTF-8."""
    most = limit("EDGESEG_MAX_JSON_MB") << 20
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most >> 20} MB (EDGESEG_MAX_JSON_MB raises the limit)")
    return data.decode("utf-8-sig")  # some editors put a mark at the begin


def parse(text: str | bytes) -> Any:
    """Parse JSON; ValueError for malformed text, NaN, infinity, deep nesting, and a name twice."""
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def without_nan(value: Any) -> Any:
    """Return a document with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def build(kind: type[T], document: Any, place: str = "") -> T:
    """Convert a document to a dataclass; Invalid for what is missing, unknown or wrong in it."""
    if not isinstance(document, Mapping):
        raise Invalid(
            f"{place or kind.__name__} is {_shown(document)} (expected an object)", "type"
        )
    fields, hints = schema_of(kind)
    prefix = f"{place}." if place else ""
    wrong: list[Invalid] = []
    if missing := [name for name, field in fields.items() if _required(field, name, document)]:
        names = ", ".join(prefix + name for name in missing)
        wrong.append(Invalid(f"missing {names}", "missing"))
    if unknown := sorted(set(map(str, document)) - set(fields)):
        names = ", ".join(prefix + _named(name, fields) for name in unknown[:MOST])
        wrong.append(Invalid(f"unknown {names}", "unknown"))
    known = [name for name in document if name in fields] if unknown else document
    given = ((document[n], hints[n], fields[n].metadata, prefix + n) for n in known)
    return kind(**dict(zip(known, _each(given, wrong), strict=True)))


def check_given(kind: type[Any], values: Mapping[str, Any], place: str) -> None:
    """Check the fields of a configuration that are given; None stands for one that is not.

    Invalid: an unknown or wrong one. Bounds that depend on other fields are not checked.
    """
    fields, hints = schema_of(kind)
    for name, value in values.items():
        if name not in fields:
            raise Invalid(f"unknown {place}.{_cut(str(name))}", "unknown")
        if value is not None:
            fit(value, hints[name], fields[name].metadata, f"{place}.{name}")


def fit(value: Any, hint: Any, bounds: Mapping[str, Any], place: str) -> Any:
    """Convert a value to an annotation; Invalid names `place`. bounds: of `bounded`."""
    origin, args = _parts(hint)
    if hint is Any:
        return _plain_json(value, place, 0)
    if origin in (Union, UnionType):
        return None if value is None and NoneType in args else fit(value, args[0], bounds, place)
    if origin is Literal:
        if value not in args or type(value) not in map(type, args):
            _refuse(place, value, f"one of {', '.join(map(str, args))}", "value")
        return value
    if dataclasses.is_dataclass(hint):
        return build(hint, value, place)  # type: ignore[arg-type]
    if origin is dict:
        _check_type(place, value, dict)
        names = [_text(key, {}, place) for key in value]
        given = ((value[name], args[1], bounds, f"{place}.{_cut(name)}") for name in names)
        return dict(zip(names, _each(given), strict=True))
    if origin in (list, tuple):
        return _sequence(value, origin, args, bounds, place)
    return _scalar(value, hint, bounds, place)


def check_range(place: str, value: float, low: float | None, high: float | None) -> None:
    """Raise Invalid for a number beyond its inclusive bounds, and for NaN."""
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        both = f"{low} to {high}" if low is not None else f"at most {high}"
        words = both if high is not None else f"at least {low}"
        _refuse(place, value, words, "value")


def schema_of(kind: Any) -> "Schema":
    """Return the fields and the annotations of a dataclass, by name."""
    found = _SCHEMAS.get(kind)
    if found is None:
        by_name = {each.name: each for each in dataclasses.fields(kind)}
        found = _SCHEMAS[kind] = by_name, get_type_hints(kind)
    return found


def _each(
    given: Iterable[tuple[Any, Any, Mapping[str, Any], str]], wrong: Sequence[Invalid] = ()
) -> list[Any]:
    """Fit values, each with the arguments of `fit`; Invalid names the first MOST that are wrong.

    wrong: what is wrong already.
    """
    found, problems = [], list(wrong)
    for value, hint, bounds, place in given:
        try:
            found.append(fit(value, hint, bounds, place))
        except Invalid as error:
            problems.append(error)
            if len(problems) == MOST:
                break
    if problems:
        raise Invalid.of(problems)
    return found


def _named(name: str, expected: Iterable[str]) -> str:
    """Return an unknown name with the known one that it resembles."""
    from difflib import get_close_matches

    near = get_close_matches(name[:LONGEST_NAME], expected, 1)
    return f"{_cut(name)} (expected {near[0]})" if near else _cut(name)


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _required(field: "dataclasses.Field[Any]", name: str, document: Mapping[str, Any]) -> bool:
    missing = dataclasses.MISSING
    return name not in document and field.default is missing and field.default_factory is missing


def _sequence(
    value: Any, origin: Any, args: tuple[Any, ...], bounds: Mapping[str, Any], place: str
) -> Any:
    _check_type(place, value, list, tuple)
    kinds = list(args)
    if origin is list or args[-1] is Ellipsis:
        kinds = [args[0]] * len(value)
    if len(value) != len(kinds):
        _refuse(place, value, f"{len(kinds)} values", "value")
    pairs = enumerate(zip(value, kinds, strict=True))
    return origin(_each((each, kind, bounds, f"{place}[{k}]") for k, (each, kind) in pairs))


def _scalar(value: Any, hint: Any, bounds: Mapping[str, Any], place: str) -> Any:
    if hint in (str, Path):
        return hint(_text(value, bounds, place))
    if hint is float and type(value) is int and abs(value) < 1e300:
        value = float(value)
    _check_type(place, value, hint)
    if hint is float and not math.isfinite(value):
        _refuse(place, value, "a finite number", "value")
    low, high = (None if callable(side) else side for side in map(bounds.get, ("low", "high")))
    check_range(place, value, low, high)
    return value


def _text(value: Any, bounds: Mapping[str, Any], place: str) -> str:
    _check_type(place, value, str)
    if len(value) > LONGEST:
        _refuse(place, value, f"at most {LONGEST} characters", "value")
    if bounds.get("name") and not is_plain(value):
        words = f"a plain name: 1 to {LONGEST_NAME} characters, no separators"
        _refuse(place, value, words, "value")
    return str(value)


def _check_type(place: str, value: Any, *kinds: type[Any]) -> None:
    if type(value) not in kinds:
        _refuse(place, value, _IN_WORDS[kinds[0]], "type")


def _plain_json(value: Any, place: str, depth: int) -> Any:
    """Check a value without a schema: finite numbers, and nesting that a reader can follow."""
    if depth > DEEPEST:
        _refuse(place, value, "less nesting", "value")
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(place, value, "a finite number", "value")
    if isinstance(value, dict | list | tuple):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            _plain_json(each, f"{place}.{_cut(str(key))}", depth + 1)
    return value


def _refuse(place: str, value: Any, expected: str, kind: Literal["type", "value"]) -> NoReturn:
    raise Invalid(f"{place} is {_shown(value)} (expected {expected})", kind)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_shown(twice)} is there more than once")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise NotFinite(f"{text} is not a number (expected finite numbers)")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotFinite(f"{_cut(text)} is out of range (expected finite numbers)")
    return value


def _shown(value: Any) -> str:
    return _cut(ascii(value))


def _cut(text: str) -> str:
    text = escaped(text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
