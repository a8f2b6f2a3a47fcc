"""Atomic writes, hashes, and the newest files of a folder."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from edgeseg.errors import WriteError


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    If the block fails, or the process is killed, the old file is unchanged. durable: wait for the
    disk, so that the file survives a power cut. WriteError: full disk or missing permission.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {error.strerror or error}",
            remedy=f"check space and permissions: df -h {quote(str(path.parent))}",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file atomically: under a temporary name, then rename it."""
    with replacing(path) as part:
        part.write_bytes(data)


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
