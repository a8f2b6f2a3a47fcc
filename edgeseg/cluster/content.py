"""The content of a folder: names and SHA-256 of its files, and their archives.

An archive is an uncompressed tar with regular files only. What is unpacked is checked: every name
is relative and below the folder, and has no link on its way; where the content is known, every
file has its size and SHA-256.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from edgeseg.errors import EdgesegError
from edgeseg.files import cannot_read, replacing, sha256, shown

PART_BYTES = 64 << 20
"""Files of a data set are archived in parts of about this size: a part has to fit in memory."""
DAMAGED = "run the same command again; if it stays so with --store, remove the folder data/ there"


@dataclass(frozen=True)
class Entry:
    """A file: its name below the folder (POSIX), bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class FolderContent:
    """A folder, or one file; `name` is the folder's own, since data sets are called by it."""

    name: str
    folder: bool
    files: tuple[Entry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of names and files, hexadecimal."""
        listed = [self.name, self.folder, [[e.name, e.size, e.sha256] for e in self.files]]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def parts(self) -> tuple[tuple[Entry, ...], ...]:
        """Return the files in groups of about PART_BYTES."""
        groups: list[list[Entry]] = [[]]
        size = 0
        for entry in self.files:
            if size and size + entry.size > PART_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(entry)
            size += entry.size
        return tuple(tuple(group) for group in groups)


def content_of(root: Path, without: Collection[Path] = ()) -> FolderContent:
    """Read the content of a folder or a file; hidden files and the folders `without` are left out.

    DataError (`data/unreadable`).
    """
    base = root if root.is_dir() else root.parent
    try:
        files = list_files(root, without) if root.is_dir() else [root]
        entries = tuple(
            Entry(path.relative_to(base).as_posix(), path.stat().st_size, sha256(path))
            for path in files
        )
    except OSError as error:
        raise cannot_read(root, error) from error
    return FolderContent(root.name or root.resolve().name, root.is_dir(), entries)


def list_files(root: Path, without: Collection[Path] = ()) -> list[Path]:
    """Return all regular files below a folder by name, but hidden ones; links are followed.

    OSError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    found, seen = [], set()
    for place, folders, names in os.walk(root, onerror=fail, followlinks=True):
        here, status = Path(place), Path(place).stat()
        again = (status.st_dev, status.st_ino) in seen
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [n for n in folders if not (again or n.startswith(".") or here / n in without)]
        files = (here / name for name in names if not (again or name.startswith(".")))
        found += [path for path in files if path.is_file()]
    return sorted(found)


def pack(files: Iterable[tuple[str, Path]]) -> bytes:
    """Return an archive of files: (name in it, path)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in files:
            with path.open("rb") as file:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(file.fileno()).st_size
                archive.addfile(member, file)
    return stream.getvalue()


def unpack(
    data: bytes, folders: Sequence[Path], expected: Mapping[str, Entry] | None = None
) -> list[Path]:
    """Write the files of an archive, each atomically, in their order; returns their paths.

    The names in the archive begin with the number of a folder: `0/card.json`.
    expected: the files that may be there, by name, for one folder. EdgesegError
    `cluster/unsafe-archive`: before the unsafe file is written; `cluster/damaged`; WriteError.
    """
    paths = []
    for name, content in _members(data):
        number, _, inside = name.partition("/")
        if not (number.isdecimal() and int(number) < len(folders) and inside):
            raise _unsafe(name, "leads out of its folder")
        check_name(inside)
        folder = folders[int(number)]
        target = folder / inside
        if expected is not None and _size_and_hash(content) != entry_of(expected.get(inside)):
            raise EdgesegError(
                f"{shown(inside)} arrived damaged (expected the SHA-256 of the sender)",
                remedy=DAMAGED,
                code="cluster/damaged",
            )
        if any(part.is_symlink() for part in target.parents if folder in part.parents):
            raise _unsafe(name, "would be written through a link")
        with replacing(target, durable=False) as part:
            part.write_bytes(content)
        paths.append(target)
    return paths


def names_in(data: bytes) -> list[str]:
    """Return the names in an archive."""
    return [name for name, _ in _members(data)]


def hashes_in(data: bytes) -> list[tuple[int, str]]:
    """Return size and SHA-256 of each file in an archive."""
    return [_size_and_hash(content) for _, content in _members(data)]


def entry_of(entry: Entry | None) -> tuple[int, str] | None:
    """Return size and SHA-256."""
    return None if entry is None else (entry.size, entry.sha256)


def _size_and_hash(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha256(content).hexdigest()


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if not member.isreg():
                    raise _unsafe(member.name, "is no regular file")
                check_name(member.name)
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()
    except (tarfile.TarError, UnicodeError) as error:
        raise EdgesegError(
            f"an archive arrived damaged: {error}",
            remedy=DAMAGED,
            code="cluster/damaged",
        ) from error


def check_name(name: str) -> None:
    """EdgesegError (`cluster/unsafe-archive`) for a name that could lead out of the folder."""
    odd = any(part in ("", ".", "..") for part in name.split("/"))
    if odd or "\\" in name or "\0" in name or PureWindowsPath(name).drive:
        raise _unsafe(name, "leads out of its folder")


def _unsafe(name: str, why: str) -> EdgesegError:
    return EdgesegError(
        f"refused an archive: {shown(name)} {why} (expected regular files below one folder)",
        remedy="do not trust the machine that sent it",
        code="cluster/unsafe-archive",
    )
