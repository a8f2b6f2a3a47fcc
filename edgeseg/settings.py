"""What settings are made of: fields with their sentences, checks, sizes, times, TOML files."""

import dataclasses
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}
_IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_EXAMPLES = {int: "100", float: "0.5", bool: "true"}  # where no default can be shown

T = TypeVar("T")
S = TypeVar("S")


def setting(default: T, help: str) -> T:
    """Declare a field with its default and the sentence that `--help` prints."""
    return field(default=default, metadata={"help": help})


def by_model(help: str) -> Any:
    """Declare a field whose default is the model's own; the configuration fills it in at birth."""
    return field(default=None, metadata={"help": help})


def parse_size(text: str, flag: str) -> tuple[int, int]:
    """Turn `640x480` into (height 480, width 640)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(
            f"{flag} is '{text}'; WIDTHxHEIGHT in pixels was expected.", remedy=f"{flag} 640x480"
        )
    return int(height), int(width)


def parse_duration(text: str, flag: str) -> float:
    """Turn `500ms`, `10s`, `10` or `2min` into seconds: 1 ms to a day."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|)", text.strip().lower(), re.ASCII)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0.001 <= seconds <= 86400:
        raise ConfigError(
            f"{flag} is '{text}'; a time from 1ms to 1440min was expected.", remedy=f"{flag} 10s"
        )
    return seconds


def make(kind: type[S], flags: dict[str, Any], file: Path | None = None) -> S:
    """Build a config: defaults, then the TOML file, then the flags that were given."""
    values = fit(read_toml(file), kind, file) if file else {}
    values |= {name: value for name, value in flags.items() if value is not None}
    return kind(**values)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; ConfigError when that cannot be done."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error}.", remedy="correct the TOML file"
        ) from error


def fit(values: dict[str, Any], kind: type[Any], path: Path) -> dict[str, Any]:
    """Return a TOML table as fields of a config, or refuse what is none; `path` is named."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    known(values, fields, path)
    return {
        name: _fit(name, value, hints[name], fields[name].default, path)
        for name, value in values.items()
    }


def known(names: Iterable[str], expected: Collection[str], path: Path, of: str = "setting") -> None:
    """Refuse a name in a TOML file that is none of those expected, with the nearest that is."""
    for name in names:
        if name not in expected:
            near = get_close_matches(str(name), expected, 1)
            hint = f"rename it to {near[0]}" if near else f"use one of: {', '.join(expected)}"
            raise ConfigError(f"{path} sets '{name}', which is no {of}.", remedy=hint)


def _fit(name: str, value: Any, hint: Any, default: Any, path: Path) -> Any:
    """Convert a TOML value to the field's type, or refuse it; a path starts at the TOML file."""
    kind = get_args(hint)[0] if type(None) in get_args(hint) else hint  # of `Path | None`, Path
    if kind is float and type(value) is int:
        return float(value)
    wanted = kind if kind in (int, float, bool) else str  # a path and a choice are text in TOML
    if type(value) is not wanted:
        shown = _EXAMPLES.get(wanted) if default is None else default
        example = f'{name} = "{value}"' if wanted is str else f"{name} = {shown}"
        raise ConfigError(
            f"{path} sets {name} to {value!r}; {_IN_WORDS[wanted]} was expected.",
            remedy=f"write, for instance: {example}",
        )
    return path.parent / value if kind is Path else value


def check_choices(config: Any) -> None:
    """Refuse a word that is none of its field's choices."""
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        for kind in (hint, *get_args(hint)):
            known = get_args(kind) if get_origin(kind) is Literal else (value,)
            if value is not None and value not in known:
                near = get_close_matches(str(value), known, 1) or known
                raise ConfigError(
                    f"{name} is '{value}'; one of {', '.join(known)} was expected.",
                    remedy=f"{_flag(name)} {near[0]}",
                )


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside [low, high], with the nearest that is inside."""
    if not low <= value <= high:
        raise ConfigError(
            f"{name} is {value}; {low} to {high} was expected.",
            remedy=f"{_flag(name)} {min(max(value, low), high)}",
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
