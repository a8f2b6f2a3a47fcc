"""The side that asks: orders from jobs, and results into their folders."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.cluster.content import (
    FolderContent,
    content_of,
    entry_of,
    hashes_in,
    names_in,
    pack,
    unpack,
)
from edgeseg.cluster.jobs import folders_of
from edgeseg.cluster.paths import inputs_of
from edgeseg.cluster.worker import JobResult, Order, pack_folders
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, cannot_write, shown


@dataclass
class Packer:
    """Makes orders; reads and hashes each data set once."""

    known: dict[tuple[Path, tuple[Path, ...]], FolderContent] = field(default_factory=dict)

    def order(self, job: Any, work: Callable[[Any], None]) -> Order:
        """Return the order of a job. DataError for data that cannot be read."""
        folders = folders_of(job)
        try:
            before = pack_folders(folders)
        except OSError as error:
            raise cannot_read(folders[0], error) from error
        return Order(
            job=job,
            work=work,
            inputs=tuple((path, self._content(path, folders)) for path in inputs_of(job)),
            before=before,
        )

    def _content(self, path: Path, folders: tuple[Path, ...]) -> FolderContent:
        inside = tuple(folder for folder in folders if path in folder.parents)
        if (path, inside) not in self.known:
            self.known[path, inside] = content_of(path, without=inside)
        return self.known[path, inside]


def archive(root: Path, content: FolderContent, number: int) -> bytes:
    """Return a part of a data set. DataError: it cannot be read, or is not what was hashed.

    A store would keep files under the hash of others, and every later job would refuse them.
    """
    base = root if content.folder else root.parent
    entries = content.parts()[number]
    try:
        data = pack((f"0/{entry.name}", base / entry.name) for entry in entries)
    except OSError as error:
        raise cannot_read(root, error) from error
    for entry, (size, digest) in zip(entries, hashes_in(data), strict=True):
        if (size, digest) != entry_of(entry):
            raise DataError(
                f"{shown(base / entry.name)} changed after the command began",
                remedy="run the same command again when nothing writes to the data",
                code="data/changed",
            )
    return data


def receive(order: Order, result: JobResult, log_file: Path | None) -> None:
    """Put the files of a result into the job's folders, and append its output to the log file.

    Every file is replaced atomically, the last written one last; what the job removed is removed.
    EdgesegError `cluster/unsafe-archive`, WriteError: the files after it are not replaced.
    """
    folders = folders_of(order.job)
    if result.files is not None:
        arrived = set(unpack(result.files, folders))
        for name in names_in(order.before):
            number, _, inside = name.partition("/")
            if (path := folders[int(number)] / inside) not in arrived:
                path.unlink(missing_ok=True)
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            with log_file.open("ab") as file:
                file.write(result.log)
        except OSError as error:
            raise cannot_write(log_file, error) from error
