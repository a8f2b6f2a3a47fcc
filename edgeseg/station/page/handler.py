"""One request: who asks is checked here, in this order, before anything of the station is read.

host          the name that was asked for is this station's (against DNS rebinding)
rate          per address; fewer attempts to log in
origin        a browser says which page asks: only the station's own
role          a cookie or a token; to change something: operate
change        JSON, at most BODY bytes, and with the header that only the own page knows
"""

import hmac
import select
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.log import log
from edgeseg.station.page.access import VALID, Visitor, is_same_origin
from edgeseg.station.page.api import STILL_SECONDS, PageRequest, RefusedRequest, Reply
from edgeseg.station.page.server import PageServer

SILENT = 20.0  # seconds after which a connection ends that sends or takes nothing
BODY, PATH = 4096, 1000  # bytes and characters of a request
STATES = 0.25  # seconds between two states
PING = 10.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BOUNDARY = "edgeseg-picture"


@dataclass(frozen=True)
class LoginBody:
    """Of /api/login."""

    token: str


class PageHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "edgeseg", ""
    timeout = SILENT

    def setup(self) -> None:
        """Shake hands, if the connection is encrypted."""
        if self.server.tls is not None:
            self.request.settimeout(SILENT)
            self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        """Answer a question."""
        self._serve(self._get)

    def do_POST(self) -> None:
        """Make a change."""
        self._serve(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request; also called by the base class."""
        self.close_connection = True
        if code >= 500:  # an unknown method or version
            code = 405 if code == 501 else 400
        self._send(Reply.of({"error": "the request cannot be understood"}, code))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log of requests."""

    def _serve(self, answer: Callable[[PageRequest], Reply | None]) -> None:
        try:
            reply = self._checked(answer)
        except RefusedRequest as refused:
            if self.command != "GET":
                self.close_connection = True  # its body was not read
            reply = Reply.of({"error": str(refused)}, refused.status)
        except (EdgesegError, sqlite3.Error) as error:  # of the journal, or the disk
            problem = error.problem if isinstance(error, EdgesegError) else str(error)
            self.close_connection = True
            reply = Reply.of({"error": problem}, 503)
        except OSError:  # the other side is gone
            self.close_connection = True
            return
        except Exception as error:  # of any kind: others are served
            if not self.server.site.closed:
                log.error(f"page: {self.command} failed: {error!r}")
            self.close_connection = True
            reply = Reply.of({"error": "an internal error; see the log of the station"}, 500)
        if reply is not None:
            try:
                self._send(reply)
            except OSError:
                self.close_connection = True

    def _checked(self, answer: Callable[[PageRequest], Reply | None]) -> Reply | None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.hosts.knows(hosts[0]):
            raise RefusedRequest(421, "this name is not known; add it to hosts in [page]")
        path, _, query = self.path.partition("?")
        rate = self.server.pictures if path.startswith("/still/") else self.server.rate
        if not rate.allows(self.client_address[0]):
            raise RefusedRequest(429, "too many requests")
        if not path.startswith("/") or len(self.path) > PATH:
            raise RefusedRequest(404, "not found")
        if self.command == "GET":
            if (
                self.headers.get("Content-Length", "0") != "0"
                or "Transfer-Encoding" in self.headers
            ):
                self.close_connection = True  # what follows is no request
            static = self.server.api.static(path)
            if static is not None:
                return static
        if not is_same_origin(self.headers, hosts[0], tls=self.server.tls is not None):  # type: ignore[arg-type]
            raise RefusedRequest(403, "another page has asked")
        body = self._body() if self.command == "POST" else b""
        return answer(PageRequest(path, query, body, self._visitor()))

    def _visitor(self) -> Visitor:
        return self.server.access.visitor(
            self.headers.get("Authorization", ""), self.headers.get("Cookie", "")
        )

    def _body(self) -> bytes:
        length = self.headers.get_all("Content-Length") or []
        if "Transfer-Encoding" in self.headers or len(length) != 1:
            raise RefusedRequest(411, "expected one Content-Length")
        if not (length[0].isascii() and length[0].isdecimal()):
            raise RefusedRequest(400, "expected a number as Content-Length")
        if len(length[0]) > 9 or int(length[0]) > BODY:
            raise RefusedRequest(413, f"expected at most {BODY} bytes")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedRequest(415, "expected application/json")
        return self.rfile.read(int(length[0]))

    def _get(self, asked: PageRequest) -> Reply | None:
        visitor = asked.visitor
        if asked.path == "/api/session":
            needs = not self.server.access.open
            return Reply.of({"role": visitor.role, "csrf": visitor.csrf, "token": needs})
        if visitor.role is None:
            raise RefusedRequest(401, "a token is needed")
        if asked.path == "/api/events":
            self._events()
            return None
        if asked.path.startswith("/live/"):
            self._live(asked.path[len("/live/") :])
            return None
        return self.server.api.view(asked)

    def _post(self, asked: PageRequest) -> Reply:
        visitor = asked.visitor
        if asked.path == "/api/login":
            return self._login(asked)
        if visitor.role is None:
            raise RefusedRequest(401, "a token is needed")
        given = self.headers.get("X-Csrf-Token", "").encode("utf-8", "replace")
        if visitor.csrf and not hmac.compare_digest(given, visitor.csrf.encode()):
            raise RefusedRequest(403, "another page has asked, or this page is old: load it again")
        if asked.path == "/api/logout":
            return Reply.of({}, cookie=self._cookie("", 0))
        if visitor.role != "operate":
            raise RefusedRequest(403, "this token allows to look, not to change anything")
        return self.server.api.change(asked)

    def _login(self, asked: PageRequest) -> Reply:
        access = self.server.access
        if not self.server.logins.allows(self.client_address[0]):
            raise RefusedRequest(429, "too many attempts; wait a minute")
        role = None if access.open else access.role(asked.document(LoginBody).token.strip())
        if role is None:
            raise RefusedRequest(401, "this is no token of this station")
        return Reply.of({"role": role}, cookie=self._cookie(access.session(role), VALID))

    def _cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self.server.tls is not None else ""
        return (
            f"{self.server.access.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; "
            f"SameSite=Strict{secure}"
        )

    def _events(self) -> None:
        """Send the state whenever it has changed, until the other side is gone."""
        site = self.server.site
        with self.server.stream():
            self._begin("text/event-stream")
            last, sent = b"", 0.0
            self.wfile.write(b"retry: 1000\n\n")
            while not site.closed:
                document, now = site.document(), time.monotonic()
                if document != last:
                    self.wfile.write(b"data: " + document + b"\n\n")
                    last, sent = document, now
                elif now - sent > PING:
                    self.wfile.write(b": \n\n")
                    sent = now
                time.sleep(STATES)
                site.wait(1.0)

    def _live(self, camera: str) -> None:
        """Send every new picture, until the other side is gone."""
        site, number = self.server.site, 0
        try:
            site.live.after(camera, 0, 0)
        except KeyError as error:
            raise RefusedRequest(404, "no such camera") from error
        with self.server.stream():
            self._begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            while not site.closed:
                found = site.live.after(camera, number, STILL_SECONDS)
                if found is None:
                    if self._gone():
                        return
                    continue
                number = found.number
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: "
                self.wfile.write(f"{head}{len(found.data)}\r\n\r\n".encode() + found.data + b"\r\n")

    def _gone(self) -> bool:
        """Whether the other side of a stream, which has nothing more to say, has ended it."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def _begin(self, kind: str) -> None:
        """Send the head of an answer that ends with its connection."""
        self.close_connection = True
        self.send_response(200)
        for name, value in {**HEADERS, "Content-Type": kind, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {**HEADERS, **reply.headers, "Content-Length": str(len(reply.body))}
        if reply.body:
            headers["Content-Type"] = reply.kind
        if self.close_connection:
            headers["Connection"] = "close"
        if reply.status == 429:
            headers["Retry-After"] = "1"
        if self.server.tls is not None:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
