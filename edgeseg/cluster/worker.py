"""What a worker on another machine does: fetch the data, run the job, pack what it wrote.

    <job folder>/0/<name of the job's first folder>/...
    <job folder>/log.txt

The job sees the paths of this machine. In the JSON files that it wrote, cards and reports, they are
replaced by the paths of the machine that asked, so that its second start finds them unchanged.
"""

import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.cluster.cache import cached, job_folder
from edgeseg.cluster.content import FolderContent, list_files, pack, unpack
from edgeseg.cluster.jobs import Failure, folders_of, outcome
from edgeseg.cluster.paths import job_key, moved
from edgeseg.errors import EdgesegError, Interrupted
from edgeseg.log import install_handler

NOT_SENT = "resume.safetensors"
"""The state of an unfinished training, which has paths of its machine; it stays there."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job on its way to a worker."""

    job: Any
    work: Callable[[Any], None]
    inputs: tuple[tuple[Path, FolderContent], ...]
    """Path on the machine that asked, and what lies there."""
    before: bytes
    """Archive of what the job's folders held before."""

    def key(self) -> str:
        """Return the SHA-256 of what the job computes."""
        return job_key(self.job, self.work, {path: found.digest for path, found in self.inputs})


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What comes back."""

    failure: Failure | None
    files: bytes | None
    """Archive of the job's folders, the file that was written last at the end; None: not run."""
    log: bytes
    node: str


def carry_out(order: Order, fetch: Callable[[str, int], bytes]) -> JobResult:
    """Run an order; Interrupted, of a worker that somebody stops, passes.

    fetch: (digest of a data set, number of a part) -> archive.
    """
    with job_folder() as here:
        log = here / "log.txt"
        with _output_to(log):
            folders = folders_of(order.job)
            places = {old: here / str(i) / old.name for i, old in enumerate(folders)}
            try:
                for place in places.values():
                    place.mkdir(parents=True)
                unpack(order.before, list(places.values()))
                for old, content in order.inputs:
                    places[old] = cached(content, partial(fetch, content.digest))
                failure = outcome(order.work, moved(order.job, places))
                written = [places[old] for old in folders]
                for folder in written:
                    _restore_paths(folder, places)
                files = pack_folders(written)
            except Interrupted:
                raise
            except EdgesegError as error:
                failure, files = Failure(error.problem, error.remedy), None
        return JobResult(failure=failure, files=files, log=log.read_bytes(), node=platform.node())


def pack_folders(folders: Iterable[Path]) -> bytes:
    """Return an archive of the files, in the order in which they were written.

    A file that marks the others as complete, and so was written last, is unpacked last.
    """
    found = [
        (path.stat().st_mtime_ns, f"{number}/{path.relative_to(folder).as_posix()}", path)
        for number, folder in enumerate(folders)
        if folder.is_dir()
        for path in list_files(folder)
        if path.name != NOT_SENT
    ]
    return pack((name, path) for _, name, path in sorted(found))


def _restore_paths(folder: Path, places: dict[Path, Path]) -> None:
    for path in list_files(folder):
        if path.suffix != ".json":
            continue
        before = text = path.read_text(encoding="utf-8")
        for old, here in places.items():
            text = text.replace(json.dumps(str(here))[:-1], json.dumps(str(old))[:-1])
        if text != before:
            times = path.stat().st_atime_ns, path.stat().st_mtime_ns
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=times)


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what this process prints, C libraries included, to a file."""
    sys.stdout.flush(), sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    install_handler(logging.INFO)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for descriptor, before in zip((1, 2), kept, strict=True):
            os.dup2(before, descriptor)
            os.close(before)
