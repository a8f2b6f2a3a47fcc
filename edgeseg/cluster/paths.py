"""The paths in the fields of a job: which it reads, and the same job with other paths.

A path is found in fields of dataclasses, in tuples, lists and dictionaries, at any depth.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from edgeseg import __version__
from edgeseg.cluster.jobs import folders_of

J = TypeVar("J")


def inputs_of(job: Any) -> tuple[Path, ...]:
    """Return the files and folders that a job reads, none of them within another one.

    A path that does not exist is not among them: the job reports it.
    """
    folders = folders_of(job)
    found = {path for path in paths_in(job) if not _below(path, folders) and path.exists()}
    return tuple(sorted(path for path in found if not _below(path, found - {path})))


def paths_in(value: Any) -> Iterator[Path]:
    """Yield every path in a value."""
    if isinstance(value, Path):
        yield value
    for part in _parts(value):
        yield from paths_in(part)


def moved(value: J, places: Mapping[Path, Path]) -> J:
    """Return a value with other paths; places: old -> new, also for what lies below the old one."""

    def move(path: Path) -> Path:
        for old in sorted(places, key=lambda place: len(place.parts), reverse=True):
            if _below(path, (old,)):
                return places[old] / path.relative_to(old)
        return path

    found: J = _with_paths(value, move)
    return found


def job_key(job: Any, work: Callable[[Any], None], digests: Mapping[Path, str]) -> str:
    """Return the SHA-256 of what a job computes: its settings, its work and the data it reads.

    Paths count by what lies there and by name, not by place. digests: of `inputs_of(job)`.
    """
    named = {path: Path(digest) for path, digest in digests.items()}
    named |= {folder: Path(folder.name) for folder in folders_of(job)}
    document = {
        "edgeseg": __version__,
        "work": f"{work.__module__}.{work.__qualname__}",
        "job": _document(moved(job, named)),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _below(path: Path, places: "Iterator[Path] | tuple[Path, ...] | set[Path]") -> bool:
    return any(place == path or place in path.parents for place in places)


def _parts(value: Any) -> Iterator[Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, field.name) for field in dataclasses.fields(value))
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.values()


def _with_paths(value: Any, move: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return move(value)
    if not any(True for _ in paths_in(value)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(
            value, **{name: _with_paths(each, move) for name, each in changed.items()}
        )
    if isinstance(value, Mapping):
        return {name: _with_paths(each, move) for name, each in value.items()}
    return type(value)(_with_paths(each, move) for each in value)


def _document(value: Any) -> Any:
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _document(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"": type(value).__name__} | fields
    if isinstance(value, Mapping):
        return {str(name): _document(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_document(each) for each in value]
    raise TypeError(f"a job has a field of {type(value).__name__}, which has no stable key")
