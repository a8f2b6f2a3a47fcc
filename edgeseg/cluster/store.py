"""An object store that this machine and the workers reach: s3://, gs://, file:// (fsspec).

    <url>/data/<digest>/<number>.tar     parts of a data set; `complete` beside them marks the end
    <url>/results/<key>.tar              of a job, by what it computes (paths.job_key)
    <url>/results/<key>.json             its SHA-256, output and failure; written last

What is read is checked against its SHA-256. Credentials are those of fsspec: environment
variables, files and roles of the machine; none are sent to the workers.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.addresses import public
from edgeseg.cluster.content import FolderContent
from edgeseg.cluster.send import archive
from edgeseg.cluster.worker import JobResult
from edgeseg.errors import EdgesegError
from edgeseg.files import quoted, shown
from edgeseg.packages.extras import require


@dataclass(frozen=True)
class ObjectStore:
    """A folder in an object store; a value, so that workers can be given it."""

    url: str

    def check(self) -> None:
        """EdgesegError (`cluster/store`) unless a file can be written, read and removed."""
        name = f"edgeseg-write-test-{secrets.token_hex(8)}"  # others may check at the same time
        self._write(name, b"edgeseg")
        if self._read(name) != b"edgeseg":
            raise self._broken("what was written cannot be read")
        with self._errors():
            system, root = self._open()
            system.rm_file(f"{root}/{name}")

    def offer(self, path: Path, content: FolderContent) -> None:
        """Store a data set, unless it is there."""
        folder = f"data/{content.digest}"
        if self._read(f"{folder}/complete") is not None:
            return
        for number in range(len(content.parts())):
            self._write(f"{folder}/{number}.tar", archive(path, content, number))
        self._write(f"{folder}/complete", b"")

    def part(self, digest: str, number: int) -> bytes:
        """Return a part of a data set."""
        found = self._read(f"data/{digest}/{number}.tar")
        if found is None:
            raise self._broken(f"data/{digest}/{number}.tar is missing")
        return found

    def keep(self, key: str, result: JobResult) -> JobResult:
        """Store a result, and return what has to travel yet: a failure is not stored."""
        if result.failure is not None or result.files is None:
            return result
        self._write(f"results/{key}.tar", result.files)
        card = {
            "sha256": hashlib.sha256(result.files).hexdigest(),
            "log": result.log.decode(errors="replace"),
            "node": result.node,
        }
        self._write(f"results/{key}.json", json.dumps(card, indent=2).encode())
        return JobResult(failure=None, files=None, log=result.log, node=result.node)

    def result(self, key: str) -> JobResult | None:
        """Return the result of a job; None where it is missing or damaged."""
        card, files = self._read(f"results/{key}.json"), self._read(f"results/{key}.tar")
        if card is None or files is None:
            return None
        try:
            known = json.loads(card)
            sound = known["sha256"] == hashlib.sha256(files).hexdigest()
        except (ValueError, KeyError, TypeError):
            return None
        if not sound:
            return None
        return JobResult(
            failure=None, files=files, log=str(known.get("log", "")).encode(), node="the store"
        )

    def _read(self, name: str) -> bytes | None:
        with self._errors():
            system, root = self._open()
            try:
                found: bytes = system.cat_file(f"{root}/{name}")
            except FileNotFoundError:
                return None
            return found

    def _write(self, name: str, data: bytes) -> None:
        with self._errors():
            system, root = self._open()
            with system.transaction, system.open(f"{root}/{name}", "wb") as file:
                file.write(data)

    def _open(self) -> tuple[Any, str]:
        fsspec = require("fsspec", extra="storage")
        local = {"auto_mkdir": True} if self.url.startswith("file://") else {}
        system, root = fsspec.core.url_to_fs(self.url, **local)
        return system, root.rstrip("/")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the packages of object stores raise, of any class, into an error of ours."""
        try:
            yield
        except EdgesegError:
            raise
        except ImportError as error:
            package = {"s3": "s3fs", "gs": "gcsfs"}.get(self.url.partition("://")[0], "its package")
            raise EdgesegError(
                f"cannot open {public(self.url)}: {error}",
                remedy=f"pip install {quoted(package)}",
                code="cluster/store",
            ) from error
        except Exception as error:
            raise self._broken(f"{type(error).__name__}: {error}") from error

    def _broken(self, problem: str) -> EdgesegError:
        return EdgesegError(
            f"the store {public(self.url)} fails: {shown(problem)[:300]}",
            remedy="check the address, the credentials and the permissions: read, write, delete",
            code="cluster/store",
        )
