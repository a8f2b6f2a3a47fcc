"""From flags and a TOML file to a configuration; what does not fit is refused with what does."""

import dataclasses
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}

S = TypeVar("S")


def make(kind: type[S], flags: dict[str, Any], file: Path | None = None) -> S:
    """Build a config: defaults, then the TOML file, then the flags that were given."""
    values = _read_toml(file, kind) if file else {}
    values |= {name: value for name, value in flags.items() if value is not None}
    return kind(**values)


def _read_toml(path: Path, kind: type[Any]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error}.", remedy="correct the TOML file"
        ) from error
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in fields:
            near = get_close_matches(name, fields, 1)
            hint = f"rename it to {near[0]}" if near else f"use one of: {', '.join(fields)}"
            raise ConfigError(f"{path} sets '{name}', which is no setting.", remedy=hint)
        values[name] = _fit(name, value, hints[name], fields[name].default, path)
    return values


def _fit(name: str, value: Any, hint: Any, default: Any, path: Path) -> Any:
    """Convert a TOML value to the field's type, or refuse it; a path starts at the TOML file."""
    kind = get_args(hint)[0] if default is None else hint  # of `Path | None`, Path
    if kind is float and type(value) is int:
        return float(value)
    wanted = kind if kind in (int, float, bool) else str  # a path and a choice are text in TOML
    if type(value) is not wanted:
        example = f'{name} = "{value}"' if wanted is str else f"{name} = {default}"
        raise ConfigError(
            f"{path} sets {name} to {value!r}; {_IN_WORDS[wanted]} was expected.",
            remedy=f"write, for instance: {example}",
        )
    return path.parent / value if kind is Path else value
