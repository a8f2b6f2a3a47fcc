"""One request to a server that may be slow, broken or hostile: everything has an end.

The time of a request is bounded from the connection to the last byte, also if the server sends a
byte at times. What may be read of an answer is bounded by who reads it.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

from edgeseg import __version__
from edgeseg.deadline import deadline, secured
from edgeseg.errors import RegistryError
from edgeseg.schema import parse

MOST = 1 << 20
"""Bytes that are read of a document: a manifest, a token, an error."""


class Unavailable(Exception):
    """An answer after which another try may succeed."""


@contextmanager
def exchange(
    method: str,
    url: SplitResult,
    tls: ssl.SSLContext | None,
    headers: Mapping[str, str],
    *,
    body: BinaryIO | bytes | None = None,
    size: int = 0,
    seconds: float,
) -> Iterator[HTTPResponse]:
    """Send a request and yield its answer; the block reads the body.

    body, size: what is sent, and its bytes. seconds: from the connection to the end of the block.
    OSError or HTTPException: no server, another certificate, no answer, no time left. Unavailable:
    429 and 5xx.
    """
    peer = url.netloc
    connected = _connected(url, tls, seconds)
    connection = HTTPConnection(peer)
    connection.sock = connected
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    fixed = {"User-Agent": f"edgeseg/{__version__}", "Connection": "close"}
    if body is not None:
        fixed["Content-Length"] = str(size)
    try:
        with deadline(connected, seconds, peer):
            with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                # it may have answered before it hung up
                connection.request(method, target, body, {**headers, **fixed})
            with connection.getresponse() as answer:
                if answer.status == 429 or answer.status >= 500:
                    raise Unavailable(f"status {answer.status}")
                yield answer
    finally:
        connection.close()


def read_json(answer: HTTPResponse, peer: str) -> dict[str, Any]:
    """Return the object that is the body of an answer; RegistryError (`registry/answer`)."""
    try:
        found = parse(read_all(answer, peer))
    except ValueError as error:
        raise bad_answer(peer, f"no JSON ({error})") from error
    if not isinstance(found, dict):
        raise bad_answer(peer, "no JSON object")
    return found


def read_all(answer: HTTPResponse, peer: str) -> bytes:
    """Return the body of an answer, of a document's size at most."""
    found = bytearray()
    while len(found) <= MOST and (piece := answer.read(MOST + 1 - len(found))):
        found += piece
    if len(found) > MOST:
        raise bad_answer(peer, f"more than {MOST >> 20} MiB")
    if answer.length:
        raise HTTPException(f"{answer.length} bytes are missing")
    return bytes(found)


def address(text: str, base: SplitResult | None = None) -> SplitResult:
    """Return an address that a server has named; RegistryError for what is none.

    base: what it is relative to.
    """
    try:
        found = urlsplit(text if base is None else urljoin(base.geturl(), text))
        if not (found.hostname and found.geturl().isascii()) or "@" in found.netloc:
            raise ValueError
        found.port  # noqa: B018  # ValueError for one that is none
    except ValueError:
        peer = "the registry" if base is None else base.netloc
        raise bad_answer(peer, f"{ascii(text)[:80]} in place of an address") from None
    return found


def bad_answer(peer: str, found: str) -> RegistryError:
    """Return the error of an answer that no registry gives."""
    return RegistryError(
        f"{peer} answered what no registry answers: {found}",
        remedy="check that this is the address of an OCI registry",
        code="registry/answer",
    )


def _connected(url: SplitResult, tls: ssl.SSLContext | None, seconds: float) -> socket.socket:
    host = url.hostname or ""
    place = (host, url.port or (80 if tls is None else 443))
    try:
        plain = socket.create_connection(place, timeout=seconds)
    except UnicodeError as error:  # a part of the name that is empty or too long
        raise OSError(f"{host} is no name of a host") from error
    return plain if tls is None else secured(plain, tls, host, seconds, url.netloc)
