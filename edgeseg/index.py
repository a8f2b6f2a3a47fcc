"""The index of a results folder: which files `edgeseg predict` wrote there, with their hashes.

    predictions.index    {"edgeseg": "predictions", "version": 1}
                         ["part_mask.png", "<SHA-256>"]
                         ...

One JSON document a line, appended before a file is written. A file is replaced only if its name and
its content are in the index, so that a mask which a person drew or edited is kept; and no walker
takes a file whose name is in the index for a photo.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from edgeseg.errors import SinkError
from edgeseg.schema import parse

INDEX = "predictions.index"
HEADER = {"edgeseg": "predictions", "version": 1}
LARGEST = 1 << 28
"""Bytes of an index that is read: a million files."""

Hashes = dict[str, set[str]]
"""File name -> SHA-256 of everything that was written under it."""


def read_index(folder: Path) -> Hashes | None:
    """Read the index of a folder; None if it has none that edgeseg wrote. Torn lines are ignored.

    OSError where it cannot be read.
    """
    path = folder / INDEX
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return None
    lines = [_parsed(line) for line in path.read_bytes().splitlines()]
    if not lines or lines[0] != HEADER:
        return None
    found: Hashes = {}
    for line in lines[1:]:
        match line:
            case [str(name), str(digest)]:
                found.setdefault(name, set()).add(digest)
    return found


def indexed_names(folder: Path) -> frozenset[str]:
    """Return the names that a walker leaves out; empty if the folder has no index."""
    with suppress(OSError):
        return frozenset(read_index(folder) or ())
    return frozenset()


def append(folder: Path, name: str, digest: str) -> None:
    """Add a file to the index, which is created if it is missing; a link is not followed."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    line = json.dumps([name, digest]).encode() + b"\n"
    with os.fdopen(os.open(folder / INDEX, flags, 0o666), "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            line = json.dumps(HEADER).encode() + b"\n" + line
        else:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line  # after a torn line
        file.write(line)


def check_index(folder: Path) -> Hashes:
    """Return what was written to a folder; SinkError for an index of something else."""
    found = read_index(folder)
    if found is None and os.path.lexists(folder / INDEX):
        raise SinkError(
            f"{folder / INDEX} is not an index of edgeseg predict",
            remedy="choose another folder with --out",
            code="sink/not-ours",
        )
    return found or {}


def _parsed(line: bytes) -> object:
    try:
        parsed: object = parse(line)
        return parsed
    except ValueError:
        return None
