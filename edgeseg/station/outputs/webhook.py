"""Posts records to an HTTP server; only an answer 2xx, received whole, acknowledges them.

    body = "lines"     a batch as JSON Lines, application/x-ndjson
    body = "record"    one record a request, application/json, with its key as Idempotency-Key

Everything else is sent again, in order: other answers, redirects, none in time, half of one. A
server may therefore get a record twice, and knows it by its `key`.
"""

import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead, responses
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from edgeseg import __version__
from edgeseg.addresses import public
from edgeseg.deadline import deadline, secured
from edgeseg.errors import ConfigError
from edgeseg.schema import bounded
from edgeseg.station.inspection import Inspection
from edgeseg.station.outputs.base import Deliverer
from edgeseg.station.outputs.credentials import is_loopback, read_secret, tls_context

MOST = 1 << 16  # bytes that are read of an answer
LONGEST_WAIT = 3600  # seconds of Retry-After that are believed
TOO_LARGE, TOO_MANY, UNAVAILABLE = 413, 429, 503
_TOKEN = re.compile(r"[!-~]*")
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """Where records are posted."""

    url: str
    """http or https, without a user and a password."""
    body: Literal["lines", "record"] = "lines"
    batch: int = bounded(1, 200, default=200)
    """Records of a request, with `lines`."""
    token_file: str = ""
    """Has the bearer token; relative to the station's file."""
    token_env: str = ""
    """Or the environment variable that has it."""
    ca: str = ""
    """PEM file of the authority that the server's certificate is of [default: the system's]."""
    certificate: str = ""
    """PEM file by which this station identifies itself."""
    key: str = ""
    timeout_s: float = bounded(0.1, 600, default=10.0)
    """From the begin of a request to the end of its answer."""

    def __post_init__(self) -> None:
        """ConfigError for an address that cannot be used, or would show a token to others."""
        problem = _problem(self.url)
        if problem is None and (self.token_file or self.token_env):
            parts = urlsplit(self.url)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                problem = "sends a token, which http would show to others (expected https)"
        if problem:
            raise ConfigError(
                f"output webhook: url {problem}.",
                remedy='url = "https://host.example/edgeseg" in the station\'s file',
                code="station/url",
            )


class WebhookOutput(Deliverer):
    """Posts over one connection, which stays open."""

    Settings = WebhookSettings
    settings: WebhookSettings
    _connection: HTTPConnection | None = None
    _used = False
    """Whether the connection has had a request: the server may have closed it since."""
    _token = ""
    _tls: ssl.SSLContext | None = None
    _not_before = 0.0
    """When the server wants to be asked again."""
    _most = MOST
    """Records that it takes at once."""

    def open(self) -> None:
        if time.monotonic() < self._not_before:
            raise ConnectionError(f"{self._name} has asked to wait")
        each, base = self.settings, self.context.base
        self._token = read_secret(base, each.token_file, each.token_env, "token")
        if not _TOKEN.fullmatch(self._token):
            raise ConfigError(
                "the token has characters that no header can have.",
                remedy="a file with the token alone, in ASCII",
                code="station/secret",
            )
        if self._url.scheme == "https":
            self._tls = tls_context(base, each.ca, each.certificate, each.key)
        self._connect()

    def send(self, batch: Sequence[Inspection]) -> int:
        most = min(self.settings.batch, self._most) if self.settings.body == "lines" else 1
        acknowledged = 0
        for start in range(0, len(batch), most):
            chunk = batch[start : start + most]
            try:
                self._post(chunk)
            except Exception:
                self._disconnect()
                if acknowledged:
                    return acknowledged
                raise
            acknowledged = chunk[-1].id
        return acknowledged

    def close(self) -> None:
        self._disconnect()

    @property
    def _url(self) -> SplitResult:
        return urlsplit(self.settings.url)

    @property
    def _name(self) -> str:
        return public(self.settings.url)

    def _post(self, chunk: Sequence[Inspection]) -> None:
        try:
            try:
                answer = self._exchange(chunk)
            except (ConnectionError, ssl.SSLError):
                if not self._used:
                    raise
                self._disconnect()  # the server had closed it
                answer = self._exchange(chunk)
        except HTTPException as error:
            what = type(error).__name__  # its text is the server's, which knows the token
            raise ConnectionError(f"{self._name}: no valid answer ({what})") from None
        status = answer.status
        if 200 <= status < 300:
            return
        if status == TOO_LARGE and len(chunk) > 1:
            self._most = len(chunk) // 2
        if status in (TOO_MANY, UNAVAILABLE):
            wait = answer.headers.get("Retry-After", "").strip()
            if wait.isascii() and wait.isdecimal():
                self._not_before = time.monotonic() + min(int(wait[:9]), LONGEST_WAIT)
        words = f"{status} {responses.get(status, '')}".strip()
        note = " (a redirect is not followed)" if 300 <= status < 400 else ""
        raise ConnectionError(f"{self._name} answered {words}{note}")

    def _exchange(self, chunk: Sequence[Inspection]) -> HTTPResponse:
        """Send a request and read the whole answer."""
        connection = self._connection or self._connect()
        headers = {"User-Agent": f"edgeseg/{__version__}", "Content-Type": "application/x-ndjson"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        lines = [each.to_json() for each in chunk]
        if self.settings.body == "record":
            headers |= {"Content-Type": "application/json", "Idempotency-Key": chunk[0].key}
        else:
            lines.append("")
        url = self._url
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        with deadline(connection.sock, self.settings.timeout_s, self._name):
            connection.request("POST", target, "\n".join(lines).encode(), headers)
            answer = connection.getresponse()
            self._used, left = True, MOST
            while left and (piece := answer.read(left)):
                left -= len(piece)
            if left and answer.length:
                raise IncompleteRead(b"", answer.length)
        if answer.will_close or not left:  # or it says more than anybody reads
            self._disconnect()
        return answer

    def _connect(self) -> HTTPConnection:
        url, seconds = self._url, self.settings.timeout_s
        host = url.hostname or ""
        port = url.port or (443 if self._tls else 80)
        try:
            connected = socket.create_connection((host, port), timeout=seconds)
            connected.settimeout(seconds + 1)  # the deadline comes before
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connected = secured(connected, self._tls, host, seconds, self._name)
        except OSError as error:
            raise ConnectionError(f"{self._name}: {error.strerror or error}") from error
        self._connection = HTTPConnection(url.netloc)
        self._connection.sock = connected
        self._used = False
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _problem(url: str) -> str | None:
    """Return why an address cannot be used, without what may be secret in it."""
    if not _URL.fullmatch(url):
        return f"is {public(url)!r} (expected http:// or https://, in ASCII, without spaces)"
    try:
        parts = urlsplit(url)
        known = parts.hostname is not None and parts.port != 0
    except ValueError:
        known = False
    if not known:
        return f"is {public(url)!r} (expected a host, and a port from 1 to 65535)"
    if "@" in parts.netloc:
        return "has a user or a password (expected token_file or token_env)"
    return "has a # (expected none)" if parts.fragment else None
