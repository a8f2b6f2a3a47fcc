"""The data sets that this machine has fetched, by the hash of their content.

    $EDGESEG_CACHE/data/<digest>/<name>/...      default: $XDG_CACHE_HOME/edgeseg, ~/.cache/edgeseg
    $EDGESEG_CACHE/jobs/<random>/...             of running jobs; what dead ones left is removed

A data set is fetched once per machine, also by several jobs at a time, and appears under its name
whole or not at all. Its files are compared with their SHA-256 before each use; one that was changed
or damaged is fetched again. Nothing is removed by itself: a folder in `data` can be deleted.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgeseg.cluster.content import FolderContent, check_name, entry_of, unpack
from edgeseg.errors import EdgesegError
from edgeseg.files import cannot_write, locked, sha256
from edgeseg.log import log

POLL_S = 0.1  # between looks at the lock of another job that fetches the same data


def cache_folder() -> Path:
    """Return the folder of the cache on this machine."""
    if given := os.environ.get("EDGESEG_CACHE"):
        return Path(given)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "edgeseg"


def cached(content: FolderContent, fetch: Callable[[int], bytes]) -> Path:
    """Return the path of a data set on this machine; it is fetched if it is not here, whole.

    fetch: number of a part (`FolderContent.parts`) -> its archive. EdgesegError `cluster/...`.
    """
    home = cache_folder() / "data" / content.digest
    for entry in content.files:
        check_name(entry.name)
    check_name(content.name)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(home, error) from error
    with _waiting_lock(home.with_name(f".{content.digest}.lock")):
        if home.is_dir():
            if _intact(home, content):
                return home / content.name
            log.warning(f"{home} was changed; it is fetched again")
            shutil.rmtree(home)
        part = home.with_name(f".part-{content.digest}")  # of a dead process, if it exists
        shutil.rmtree(part, ignore_errors=True)
        began = time.monotonic()
        root = part / content.name if content.folder else part
        try:
            root.mkdir(parents=True)
            for number, entries in enumerate(content.parts()):
                unpack(fetch(number), [root], {entry.name: entry for entry in entries})
            if not _intact(part, content):
                raise EdgesegError(
                    f"files of the data set {content.name} did not arrive",
                    remedy="run the same command again",
                    code="cluster/damaged",
                )
            part.replace(home)
        except OSError as error:
            raise cannot_write(home, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        size = sum(entry.size for entry in content.files) / 1e6
        log.info(f"fetched {content.name}: {size:.1f} MB in {time.monotonic() - began:.1f} s")
    return home / content.name


def _intact(home: Path, content: FolderContent) -> bool:
    root = home / content.name if content.folder else home
    with suppress(OSError):
        return all(
            (path.stat().st_size, sha256(path)) == entry_of(entry)
            for entry in content.files
            for path in (root / entry.name,)
        )
    return False


@contextmanager
def job_folder() -> Iterator[Path]:
    """Yield an empty folder for one job; it is removed afterwards, and so are those of the dead."""
    jobs = cache_folder() / "jobs"
    try:
        jobs.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with _waiting_lock(jobs / ".lock"):
                for stale in jobs.glob("[!.]*"):
                    with suppress(EdgesegError), locked(stale):
                        shutil.rmtree(stale, ignore_errors=True)
                folder = jobs / secrets.token_hex(8)
                folder.mkdir()
                held.enter_context(locked(folder))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise cannot_write(jobs, error) from error


@contextmanager
def _waiting_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file as soon as it is free."""
    while True:
        try:
            held = locked(path)
            held.__enter__()
            break
        except EdgesegError as error:
            if error.code != "files/locked":
                raise
            time.sleep(POLL_S)
    try:
        yield
    finally:
        held.__exit__(None, None, None)
