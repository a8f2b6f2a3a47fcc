"""Folders, names and writing: the one place where files are listed, named, locked and replaced.

A write goes to a temporary file beside its target and is renamed, so that a reader finds the old or
the new file, whole. Temporary names cannot be guessed and are created exclusively; the writer holds
a lock on its temporary file, and one without a lock is from a dead process and is removed.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from edgeseg.errors import ConfigError, DataError, EdgesegError, WriteError
from edgeseg.index import INDEX, indexed_names
from edgeseg.text import escaped

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, so nothing is refused and nothing is cleaned
    fcntl = None  # type: ignore[assignment]

PART = ".part-"
_MAC_ARCHIVE = "__MACOSX"
_LOCKED_ELSEWHERE = {errno.EWOULDBLOCK, errno.EACCES}


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield the path of an empty temporary file; rename it to `path` if the block succeeds.

    If the block fails, or the process is killed, the old file is unchanged. A link at `path` is
    replaced, not followed. durable: wait for the disk, so that the file survives a power cut.
    WriteError: full disk or missing permission.
    """
    held, part = -1, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held, part = temporary(path.parent, path.suffix)
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            if part is not None:
                part.unlink(missing_ok=True)
        if held >= 0:
            os.close(held)


def temporary(folder: Path, suffix: str) -> tuple[int, Path]:
    """Create a temporary file, locked until its descriptor is closed; remove those of the dead."""
    for stale in folder.glob(f"{PART}*"):
        _remove_unlocked(stale)
    while True:
        part = folder / f"{PART}{secrets.token_hex(8)}{suffix}"
        held = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock(held) and part.exists():  # not removed between its creation and its lock
            return held, part
        os.close(held)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file atomically: under a temporary name, then rename it."""
    with replacing(path) as part:
        part.write_bytes(data)


def check_writable(folder: Path) -> None:
    """WriteError if no file can be written to a folder, or if it cannot be made; nothing stays."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held, part = temporary(folder, "")
        os.close(held)
        part.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        with suppress(OSError):
            for path in missing:
                path.rmdir()


def check_room(folder: Path, needed: int, what: str, *, remedy: str, code: str) -> None:
    """WriteError if fewer bytes are free on the disk of a folder, which may not exist yet.

    what: needs them, with the verb.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise WriteError(
            f"{what} {-(-needed >> 20)} MiB in {shown(folder)}, and {free >> 20} MiB are free",
            remedy=remedy,
            code=code,
        )


def cannot_write(path: Path, error: OSError) -> WriteError:
    """Return the error of a failed write, with what to check."""
    return WriteError(
        f"cannot write {shown(path)}: {error.strerror or error}", remedy=_writable(path, error)
    )


def _writable(path: Path, error: OSError) -> str:
    """Return what makes a path writable."""
    folder = next((place for place in path.parents if place.exists()), Path())
    file = next((place for place in (path, *path.parents) if place.is_file()), None)
    if isinstance(error, FileExistsError | NotADirectoryError) and file is not None:
        return f"use another path: {shown(file)} is a file"
    if isinstance(error, FileNotFoundError) and folder != path.parent:
        return f"mkdir -p {quoted(path.parent)}"
    return f"check space and permissions: df -h {quoted(folder)}"


def cannot_read(path: Path, error: OSError) -> DataError:
    """Return the error of a failed read (`data/unreadable`)."""
    return DataError(
        f"cannot read {shown(path)}: {error.strerror or error}",
        remedy="check the path and its permissions",
        code="data/unreadable",
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the advisory lock of an existing folder or of a file, which is created if it is missing.

    The lock ends with the block or with the process. EdgesegError (`files/locked`): another process
    holds it. Where the file system has no locks, the block runs without one.
    """
    try:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
        held = os.open(path, flags, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        if not _lock(held):
            raise EdgesegError(
                f"{shown(path)} is in use by another edgeseg process.",
                remedy="wait for it, stop it, or choose another name",
                code="files/locked",
            )
        yield
    finally:
        os.close(held)


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path]) -> None:
    """Refuse an output that is, or contains, an input or another output, before any is opened.

    outputs: flag -> path; None: not asked for. Compared are resolved paths, hard links, and names
    without regard to case. ConfigError: `output/is-input`, `output/same`.
    """
    wanted = [(flag, path) for flag, path in outputs.items() if path is not None]
    for flag, path in wanted:
        for given in inputs:
            if _same_or_inside(given, path):
                relation = "is" if given.resolve() == path.resolve() else "would overwrite"
                raise ConfigError(
                    f"{flag} {shown(path)} {relation} the input {shown(given)}",
                    remedy=f"choose another path for {flag}",
                    code="output/is-input",
                )
        for other_flag, other in wanted:
            if other_flag != flag and _same_or_inside(other, path):
                raise ConfigError(
                    f"{flag} {shown(path)} would overwrite {other_flag} {shown(other)}",
                    remedy=f"choose another path for {flag}",
                    code="output/same",
                )


@dataclass(frozen=True)
class Listing:
    """The files of a folder, and how many entries were left out, by reason."""

    files: tuple[Path, ...]
    left_out: Mapping[str, int]


def walk(folder: Path, suffixes: Collection[str], *, deep: bool = True) -> Listing:
    """List the files of a folder that have one of the suffixes, in natural order of their paths.

    Left out and counted: hidden entries and resource forks of macOS, other suffixes, what is no
    regular file, and what `edgeseg predict` wrote there (index.py). Links are followed; a folder
    that several links lead to is listed once.
    deep: subfolders too. DataError (`data/unreadable`): a folder cannot be read.
    """
    files: list[Path] = []
    left: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    _walk(folder, suffixes, deep, files, left, seen)
    return Listing(tuple(sorted(files, key=natural_key)), left)


def natural_key(path: Path) -> tuple[object, ...]:
    """Return a sort key: frame 2 before frame 10, composed and decomposed letters alike."""
    return (*(_natural(part) for part in path.parts), str(path))


def shown(name: str | Path) -> str:
    """Return a name for messages: control characters and bytes that are no text are escaped."""
    return escaped(str(name))


def quoted(path: str | Path) -> str:
    """Return a path for a shell (bash), so that it is one argument and no option."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if shown(text) == text:
        return quote(text)
    plain = b"%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz "
    escaped = (chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(escaped)}'"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def newest(folder: Path, pattern: str) -> list[Path]:
    """Return the matching files of a folder, newest first."""
    return sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)


def _remove_unlocked(part: Path) -> None:
    if fcntl is None:
        return
    with suppress(OSError):
        held = os.open(part, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if _lock(held):
                part.unlink()
        finally:
            os.close(held)


def _lock(held: int) -> bool:
    """Lock an open file; False if another process has it, True also where there are no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _LOCKED_ELSEWHERE
    return True


def _same_or_inside(inner: Path, outer: Path) -> bool:
    """Whether `outer` is `inner` or a folder above it."""
    places = (inner.resolve(), *inner.resolve().parents)
    target = outer.resolve()
    if str(target).casefold() in (str(place).casefold() for place in places):
        return True
    return any(_same_file(place, target) for place in places)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _walk(
    folder: Path,
    suffixes: Collection[str],
    deep: bool,
    files: list[Path],
    left: Counter[str],
    seen: set[tuple[int, int]],
) -> None:
    try:
        status = folder.stat()
        entries = list(folder.iterdir())
    except OSError as error:
        raise cannot_read(folder, error) from error
    if (status.st_dev, status.st_ino) in seen:
        left["linked again"] += 1
        return
    seen.add((status.st_dev, status.st_ino))
    names = {entry.name for entry in entries}
    written = indexed_names(folder) | {INDEX} if INDEX in names else frozenset()
    for entry in entries:
        suffix = entry.suffix.lower()
        if entry.name.startswith(".") or entry.name == _MAC_ARCHIVE:
            left["hidden"] += 1
        elif entry.name in written:
            left["written by predict"] += 1
        elif entry.is_dir():
            if deep:
                _walk(entry, suffixes, deep, files, left, seen)
        elif not entry.is_file():
            left["no file"] += 1
        elif suffix not in suffixes:
            left[suffix or "without suffix"] += 1
        else:
            files.append(entry)


def _natural(name: str) -> tuple[object, ...]:
    composed = unicodedata.normalize("NFC", name).casefold()
    pieces = re.split(r"([0-9]+)", composed)
    return tuple(
        (len(piece.lstrip("0")), piece.lstrip("0")) if place % 2 else piece
        for place, piece in enumerate(pieces)
    )
