"""A client of the OCI distribution API, for blobs of any size and servers that nobody trusts.

    fetch      a blob to a file: size and SHA-256 are checked while it streams to a temporary file,
               which is renamed when both are right; a broken transfer goes on where it ended
    send       a blob that the registry does not have, asked for by HEAD, in one PUT or in chunks
    manifest   at most 1 MiB, checked against its digest

Everything is tried again after a broken connection, 429 and 5xx, until `patience_s` seconds after
the first of these, or after the last one that came with progress.
Source: OCI distribution specification 1.1.
"""

import errno
import hashlib
import http.client
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode

from edgeseg.errors import RegistryError
from edgeseg.files import replacing, sha256, shown
from edgeseg.fleet.access import Entrance, RegistryAccess, refused
from edgeseg.fleet.http import MOST, Unavailable, address, bad_answer, exchange, read_all
from edgeseg.station.following.reference import DIGEST, Reference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
SLOWEST = 50_000  # bytes per second, below which a transfer is given up
BLOCK = 1 << 18
CHUNK = 32 << 20  # of an upload; a blob of this size at most is sent in one request
REDIRECTS = 3
ANYTHING = "application/octet-stream"
_OF_THIS_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)")

T = TypeVar("T")


@dataclass(frozen=True)
class Blob:
    """Content, by its digest; a descriptor of a manifest."""

    media_type: str
    digest: str
    size: int
    title: str = ""
    """A file name."""


class Registry:
    """One repository of a registry."""

    def __init__(self, reference: Reference, access: RegistryAccess, *, push: bool = False) -> None:
        """push: whether content will be sent. ConfigError: password or certificate."""
        self.reference = reference
        self._entrance = Entrance(reference, access, push=push)
        self._seconds, self._patience = access.timeout_s, access.patience_s
        self.sent = self.received = 0
        """Bytes of blobs."""

    def digest_of(self, target: str) -> str | None:
        """Return the digest of a manifest by a tag or digest; None: not found."""

        def ask() -> str | None:
            with self._get("HEAD", f"manifests/{target}", {"Accept": MANIFEST}) as answer:
                if answer.status == 404:
                    return None
                self._expect(answer, 200)
                found = answer.headers.get("Docker-Content-Digest", "")
            if DIGEST.fullmatch(found):
                return found
            manifest = self.manifest(target)  # the header is optional
            return None if manifest is None else manifest[1]

        return self._tried(ask)

    def missing(self, what: str = "") -> RegistryError:
        """Return the error for what was not found; what: of the reference, with `of`."""
        return RegistryError(
            f"not found: {what}{self.reference}",
            remedy="check the name, or push it: edgeseg push MODEL REFERENCE",
            code="registry/not-found",
        )

    def manifest(self, target: str) -> tuple[bytes, str] | None:
        """Return a manifest and its digest by a tag or digest; None: not found.

        RegistryError (`registry/digest`): other content than the digest says.
        """

        def ask() -> tuple[bytes, str] | None:
            with self._get("GET", f"manifests/{target}", {"Accept": MANIFEST}) as answer:
                if answer.status == 404:
                    return None
                self._expect(answer, 200)
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
                if kind != MANIFEST:
                    raise bad_answer(self._name, f"a manifest of type {ascii(kind)[:80]}")
                data = read_all(answer, self._name)
                told = answer.headers.get("Docker-Content-Digest", "")
            digest = digest_of(data)
            wanted = target if DIGEST.fullmatch(target) else told or digest
            if digest != wanted:
                raise self._wrong(f"manifest {target}", digest, wanted)
            return data, digest

        return self._tried(ask)

    def put_manifest(self, data: bytes, target: str) -> str:
        """Store a manifest under a tag; return its digest."""

        def put() -> None:
            headers = {"Content-Type": MANIFEST}
            with self._request("PUT", self._url(f"manifests/{target}"), headers, data) as answer:
                self._expect(answer, 201)

        self._tried(put)
        return digest_of(data)

    def has(self, digest: str) -> bool:
        """Whether the registry has a blob."""

        def ask() -> bool:
            with self._get("HEAD", f"blobs/{digest}", {}) as answer:
                if answer.status != 404:
                    self._expect(answer, 200)
                return answer.status == 200

        return self._tried(ask)

    def send(self, blob: Blob, content: Path | bytes) -> bool:
        """Send a blob; False: the registry had it, and nothing was sent."""
        if self.has(blob.digest):
            return False

        with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:

            def send() -> None:
                file.seek(0)
                self._send(blob, file)

            self._tried(send)
        return True

    def fetch(self, blob: Blob, path: Path) -> bool:
        """Write a blob to a file; False: the file has that content already.

        RegistryError (`registry/digest`): wrong content; then nothing is at `path` that was not
        before. WriteError: a full disk.
        """
        if path.is_file() and path.stat().st_size == blob.size and is_content(path, blob):
            return False
        with replacing(path) as part, part.open("wb") as file:
            self._fetch(blob, file)
        return True

    def read(self, blob: Blob) -> bytes:
        """Return a small blob; RegistryError if it is larger than a document may be."""
        if blob.size > MOST:
            raise bad_answer(self._name, f"a document of {blob.size} bytes")
        file = BytesIO()
        self._fetch(blob, file)
        return file.getvalue()

    @property
    def _name(self) -> str:
        return f"{self.reference.registry}/{self.reference.repository}"

    def _url(self, path: str) -> SplitResult:
        return self._entrance.root._replace(path=f"/v2/{self.reference.repository}/{path}")

    def _fetch(self, blob: Blob, file: BinaryIO) -> None:
        """Write a blob; after a broken connection the rest is asked for."""
        digest, got = hashlib.sha256(), 0

        def ask() -> None:
            nonlocal digest, got
            if got == blob.size:  # the connection broke after its last byte
                return
            headers = {"Range": f"bytes={got}-"} if got else {}
            with self._get("GET", f"blobs/{blob.digest}", headers, blob.size - got) as answer:
                if answer.status == 404:
                    raise self.missing(f"blob {blob.digest} of ")
                self._expect(answer, 200, 206)
                if answer.status == 200 or not _goes_on(answer, got):
                    file.seek(0)
                    file.truncate()
                    digest, got = hashlib.sha256(), 0
                    self._expect(answer, 200)
                if answer.length is not None and answer.length != blob.size - got:
                    size = f"{got + answer.length} bytes"
                    raise self._wrong(blob.digest, size, f"{blob.size} bytes")
                while piece := answer.read(min(BLOCK, blob.size - got + 1)):
                    got += len(piece)
                    if got > blob.size:
                        raise self._wrong(blob.digest, f"more than {blob.size} bytes", "no more")
                    digest.update(piece)
                    file.write(piece)
                    self.received += len(piece)
            if got < blob.size:
                raise HTTPException(f"{blob.size - got} bytes are missing")

        self._tried(ask, lambda: got // BLOCK)
        found = f"sha256:{digest.hexdigest()}"
        if found != blob.digest:
            raise self._wrong(blob.title or blob.digest, found, blob.digest)

    def _send(self, blob: Blob, file: BinaryIO) -> None:
        with self._request("POST", self._url("blobs/uploads/"), {}, b"") as answer:
            self._expect(answer, 202)
            place = self._upload(answer, self._url("blobs/uploads/"))
        rest, done = blob.size, 0
        while rest > CHUNK:
            headers = {"Content-Type": ANYTHING, "Content-Range": f"{done}-{done + CHUNK - 1}"}
            piece = _Piece(file, CHUNK)
            with self._request("PATCH", place, headers, piece, CHUNK) as answer:
                self._expect(answer, 202)
                place = self._upload(answer, place)
            done, rest = done + CHUNK, rest - CHUNK
            self.sent += CHUNK
        headers = {"Content-Type": ANYTHING}
        if done:
            headers["Content-Range"] = f"{done}-{blob.size - 1}"
        query = urlencode([*parse_qsl(place.query), ("digest", blob.digest)])
        last = place._replace(query=query)
        with self._request("PUT", last, headers, _Piece(file, rest), rest) as answer:
            self._expect(answer, 201, 204)
        self.sent += rest

    def _upload(self, answer: HTTPResponse, url: SplitResult) -> SplitResult:
        """Return where an upload goes on; only on the registry itself, as it was reached."""
        place = address(answer.headers.get("Location", ""), url)
        if place.hostname != url.hostname or not place.path.startswith("/"):
            raise bad_answer(self._name, f"an upload to {ascii(place.hostname)[:80]}")
        return self._entrance.root._replace(path=place.path, query=place.query)

    @contextmanager
    def _get(
        self, method: str, path: str, headers: Mapping[str, str], size: int = MOST
    ) -> Iterator[HTTPResponse]:
        """Ask for something, and follow redirects; another host gets no password."""
        url, own = self._url(path), True
        for _ in range(REDIRECTS + 1):
            with self._request(method, url, headers, None, size, own=own) as answer:
                if answer.status not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = address(answer.headers.get("Location", ""), url)
                own = own and url.netloc == self._entrance.root.netloc
        raise bad_answer(self._name, f"more than {REDIRECTS} redirects")

    @contextmanager
    def _request(
        self,
        method: str,
        url: SplitResult,
        headers: Mapping[str, str],
        body: Any,
        size: int = 0,
        *,
        own: bool = True,
    ) -> Iterator[HTTPResponse]:
        """own: whether it is the registry that is asked, which gets the password."""
        size = len(body) if isinstance(body, bytes) else size
        headers = {**headers, **(self._entrance.header() if own else {})}
        tls, seconds = self._entrance.tls(url), self._seconds + size / SLOWEST
        with exchange(method, url, tls, headers, body=body, size=size, seconds=seconds) as answer:
            yield answer

    def _expect(self, answer: HTTPResponse, *expected: int) -> None:
        if answer.status in expected:
            return
        if answer.status in (401, 403):
            raise refused(self.reference, answer.status)
        if answer.status == 404:
            raise self.missing()
        words = http.client.responses.get(answer.status, "")
        raise bad_answer(self._name, f"{answer.status} {words}".strip())

    def _tried(self, ask: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """Try again until it works, or the patience is over since a failure without progress."""
        pause, end, before = FIRST_PAUSE, math.inf, 0
        while True:
            try:
                return ask()
            except (OSError, HTTPException, Unavailable) as error:
                if getattr(error, "errno", None) in _OF_THIS_DISK:
                    raise
                failed, now = time.monotonic(), progress()
                if end == math.inf or now > before:
                    before, pause, end = now, FIRST_PAUSE, failed + self._patience
                if _hopeless(error) or failed + pause > end:
                    raise self._unreachable(error) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _unreachable(self, error: Exception) -> RegistryError:
        own = isinstance(error, OSError | Unavailable)  # the text of others may be the server's
        words = str(error) if own and str(error) else type(error).__name__
        return RegistryError(
            f"the registry {self.reference.registry} does not answer as it should: {shown(words)}",
            remedy="check address, network (no proxy is used) and certificate (--ca FILE), then "
            "try again",
            code="registry/unreachable",
        )

    def _wrong(self, what: str, found: str, expected: str) -> RegistryError:
        return RegistryError(
            f"{self._name}: wrong content for {what}: {found} (expected {expected})",
            remedy="push it again under a new tag, and check the disk of the registry",
            code="registry/digest",
        )


class _Piece:
    """The next bytes of a file, as a body."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._rest = file, size

    def read(self, size: int) -> bytes:
        """Return some of them."""
        found = self._file.read(min(size, self._rest))
        self._rest -= len(found)
        return found


def digest_of(data: bytes) -> str:
    """Return the digest of content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob_of(content: Path | bytes, media_type: str, title: str = "") -> Blob:
    """Describe content that will be sent."""
    if isinstance(content, bytes):
        return Blob(media_type, digest_of(content), len(content), title)
    return Blob(media_type, f"sha256:{sha256(content)}", content.stat().st_size, title)


def is_content(path: Path, blob: Blob) -> bool:
    """Whether a file has the content of a blob."""
    return f"sha256:{sha256(path)}" == blob.digest


def _goes_on(answer: HTTPResponse, got: int) -> bool:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == got


def _hopeless(error: Exception) -> bool:
    """Whether another try would end the same way."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
