"""Fields with help and bounds, their validation, sizes, durations and TOML files."""

import dataclasses
import re
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeseg import schema
from edgeseg.errors import ConfigError
from edgeseg.files import quoted, shown
from edgeseg.schema import Invalid

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST_SIDE = 65_536  # of an image or a frame, in pixels
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_LINE = re.compile(r"at line (\d+)")
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}
_EXAMPLES = {int: "100", float: "0.5", bool: "true"}  # for settings without a default

Bound = float | Callable[[Any], float] | None
T = TypeVar("T")
S = TypeVar("S")


def setting(
    default: T, help: str, *, low: Bound = None, high: Bound = None, example: T | None = None
) -> T:
    """Declare a field: its default, its help text and its inclusive bounds.

    `validate` checks the bounds. A bound that depends on other settings is a function of the
    configuration. None is always valid: an optional field was not given. example: what the remedy
    for a low value proposes, where `low` itself would hardly do. A class may sort its fields into
    panels of `--help`: `PANELS`, title -> names of fields.
    """
    bounds = {"low": low, "high": high}
    return field(default=default, metadata={"help": help, "example": example} | bounds)


def by_model(help: str, *, low: Bound = None, high: Bound = None) -> Any:
    """Declare a field whose default depends on the model; the configuration fills it in."""
    return setting(None, help, low=low, high=high)


def fraction(default: Any, help: str) -> Any:
    """Declare a field from 0 to 1; a default of None depends on the model."""
    return setting(default, help, low=0.0, high=1.0)


class Settings:
    """Base of the settings classes, which are validated on construction."""

    def __post_init__(self) -> None:
        validate(self)


def validate(config: Any) -> None:
    """Check every field of a configuration against its choices, its type and its bounds."""
    check_choices(config)
    fields, hints = schema.schema_of(type(config))
    # Bounds that depend on other settings come last, when those are known to be valid.
    for name, each in sorted(fields.items(), key=lambda item: _depends(item[1])):
        value, hint = getattr(config, name), hints[name]
        if value is None or isinstance(value, Path):
            continue
        low, high = (
            bound(config) if callable(bound) else bound
            for bound in (each.metadata["low"], each.metadata["high"])
        )
        try:
            schema.fit(value, hint, {"low": low, "high": high}, name)
        except Invalid as error:
            own = each.metadata["example"]
            low, example = (low, _example(hint, each.default)) if own is None else (own, own)
            inside = _nearest(value, low, high, example) if error.kind == "value" else example
            raise ConfigError(
                f"invalid setting: {error}",
                remedy=f"{_flag(name)} {inside}",
                code="config/wrong-type" if error.kind == "type" else "config/out-of-range",
            ) from error


def check_choices(config: Any) -> None:
    """Check every field of a configuration against its choices."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        for kind in (hint, *get_args(hint)):
            choices = get_args(kind) if get_origin(kind) is Literal else (value,)
            if value is not None and value not in choices:
                near = get_close_matches(str(value), choices, 1) or choices
                raise ConfigError(
                    f"invalid {name}: '{value}' (expected one of {', '.join(choices)})",
                    remedy=f"{_flag(name)} {near[0]}",
                    code="config/not-a-choice",
                )


def parse_size(text: str, flag: str) -> tuple[int, int]:
    """Turn `640x480` into (height 480, width 640), each 1 to 65536."""
    found = _SIZE.fullmatch(text.strip().lower())
    width, height = map(int, found.groups()) if found else (0, 0)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise ConfigError(
            f"invalid {flag}: '{text[:40]}' (expected WIDTHxHEIGHT in pixels, 1 to {LARGEST_SIDE})",
            remedy=f"{flag} 640x480",
            code="config/not-a-size",
        )
    return height, width


def parse_duration(text: str, flag: str) -> float:
    """Turn `500ms`, `10s`, `10` or `2min` into seconds: 1 ms to a day."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|)", text.strip().lower(), re.ASCII)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0.001 <= seconds <= 86400:
        raise ConfigError(
            f"invalid {flag}: '{text}' (expected a time from 1ms to 1440min)",
            remedy=f"{flag} 10s",
            code="config/not-a-duration",
        )
    return seconds


def parse_pace(text: str, flag: str) -> float:
    """Turn a rate, `30fps`, or a duration, `33ms` or `10s`, into the seconds of a period."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*fps", text.strip().lower(), re.ASCII)
    if found and 1 / 86400 <= float(found[1]) <= 10_000:
        return 1 / float(found[1])
    return parse_duration(text, flag)


def make(kind: type[S], flags: dict[str, Any], file: Path | None = None) -> S:
    """Build a configuration: flags override the TOML file, which overrides the defaults."""
    return kind(**given(kind, flags, file))


def given(kind: type[Any], flags: dict[str, Any], file: Path | None = None) -> dict[str, Any]:
    """Return the settings that were given: flags override the TOML file."""
    values = fit(read_toml(file), kind, file) if file else {}
    return values | {name: value for name, value in flags.items() if value is not None}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings with paths as text, as in a card or a checkpoint."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; ConfigError if it is missing or not valid TOML."""
    try:
        return tomllib.loads(schema.read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        problem = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(
            f"cannot read the settings file {shown(path)}: {problem or error}",
            remedy=_readable(path, error),
            code="config/unreadable-file",
        ) from error


def _readable(path: Path, error: Exception) -> str:
    """Return what makes a TOML file readable."""
    if isinstance(error, OSError):
        return f"check the path and its permissions: ls -l {quoted(path)}"
    if isinstance(error, UnicodeDecodeError):
        return "save the TOML file as UTF-8"
    place = _LINE.search(str(error))
    return f"correct the TOML file{f' in line {place[1]}' if place else ''}"


def fit(values: dict[str, Any], kind: type[Any], path: Path) -> dict[str, Any]:
    """Convert a TOML table to fields of a configuration; ConfigError names `path`."""
    fields, hints = schema.schema_of(kind)
    known(values, fields, path)
    return {
        name: _fit(name, value, hints[name], fields[name].default, path)
        for name, value in values.items()
    }


def known(names: Iterable[str], expected: Collection[str], path: Path, of: str = "setting") -> None:
    """Raise ConfigError for an unknown name in a TOML file; the remedy is the nearest known one."""
    for name in names:
        if name not in expected:
            near = get_close_matches(str(name), expected, 1)
            hint = f"rename it to {near[0]}" if near else f"use one of: {', '.join(expected)}"
            raise ConfigError(
                f"unknown {of} in {shown(path)}: '{name}'",
                remedy=hint,
                code="config/unknown-setting",
            )


def _fit(name: str, value: Any, hint: Any, default: Any, path: Path) -> Any:
    """Convert a TOML value to the field's type; relative paths are relative to the TOML file."""
    kind = get_args(hint)[0] if type(None) in get_args(hint) else hint  # Path of `Path | None`
    try:
        fitted = schema.fit(value, str if get_origin(kind) is Literal else kind, {}, name)
    except Invalid as error:
        text = type(value) is not str and kind not in (int, float, bool)
        example = f'"{value}"' if text else _example(kind, default)
        raise ConfigError(
            f"invalid setting in {shown(path)}: {error}",
            remedy=f"for example: {name} = {example}",
            code="config/wrong-type",
        ) from error
    return path.parent / fitted if kind is Path else fitted


def _example(hint: Any, default: Any) -> Any:
    kind = next((each for each in get_args(hint) if each in _EXAMPLES), hint)  # of `float | None`
    if default is None or kind not in _EXAMPLES:
        return _EXAMPLES.get(kind, '"TEXT"')
    return str(default).lower()


def _nearest(value: Any, low: float | None, high: float | None, example: Any) -> Any:
    """Return the bound that a number is beyond; the example for NaN, where it is inside."""
    if high is not None and value > high:
        return high
    if low is not None and (value < low or not float(example) >= low):
        return low
    return example


def _depends(each: "dataclasses.Field[Any]") -> bool:
    return callable(each.metadata["low"]) or callable(each.metadata["high"])


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
