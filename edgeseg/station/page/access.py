"""Who may look, and who may operate: tokens, sessions of browsers, and against foreign pages.

    on the loopback address    everybody on this machine may operate, without a token
    elsewhere                  one token for each role, made at the first start, in page-tokens.json

A browser gives its token once and gets a cookie that says its role and how long it is valid, signed
with that token: removing the file ends all sessions. A program sends `Authorization: Bearer TOKEN`.
What changes something needs, besides, a header that only the station's own page can know.
"""

import hmac
import ipaddress
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.errors import WriteError
from edgeseg.files import cannot_write, quoted, shown
from edgeseg.schema import bounded, build, parse, read_text

Role = Literal["view", "operate"]
ROLES: tuple[Role, ...] = ("operate", "view")
FILE = "page-tokens.json"
VALID = 30 * 24 * 3600  # seconds of a session
LOCAL_NAMES = ("localhost",)


@dataclass(frozen=True)
class Tokens:
    """What a person types, or a program sends."""

    view: str = bounded()
    operate: str = bounded()


@dataclass(frozen=True)
class Visitor:
    """Who asks."""

    role: Role | None
    csrf: str = ""
    """What a change must bring; empty for a program, which no foreign page can use."""


class Access:
    """Decides who may do what; for all threads."""

    def __init__(self, tokens: Tokens | None, cookie: str = "edgeseg") -> None:
        """tokens: None where everybody may operate; cookie: its name, which ports share."""
        self._tokens, self.cookie = tokens, cookie
        self._local = secrets.token_hex(16)

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return self._tokens is None

    def visitor(self, authorization: str, cookie: str) -> Visitor:
        """Return who asks, by these two headers."""
        if self._tokens is None:
            return Visitor("operate", self._local)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return Visitor(self.role(token.strip()))
        session = _value(self.cookie, cookie)
        role = self._session_role(session)
        return Visitor(role, self._signature(role, f"csrf {session}") if role else "")

    def role(self, token: str) -> Role | None:
        """Return the role that a token gives."""
        given = token.encode("utf-8", "replace")
        for role in ROLES:
            if hmac.compare_digest(given, self._key(role)):
                return role
        return None

    def session(self, role: Role) -> str:
        """Return the value of a new cookie."""
        content = f"{role}.{int(time.time()) + VALID}.{secrets.token_hex(8)}"
        return f"{content}.{self._signature(role, content)}"

    def _session_role(self, session: str) -> Role | None:
        content, _, signature = session.rpartition(".")
        name, _, rest = content.partition(".")
        until = rest.partition(".")[0]
        for role in ROLES:
            if role == name and len(until) < 12 and until.isascii() and until.isdecimal():
                signed = hmac.compare_digest(
                    signature.encode("utf-8", "replace"), self._signature(role, content).encode()
                )
                return role if signed and int(until) > time.time() else None
        return None

    def _key(self, role: Role) -> bytes:
        assert self._tokens is not None
        return (self._tokens.operate if role == "operate" else self._tokens.view).encode()

    def _signature(self, role: Role, content: str) -> str:
        return hmac.new(self._key(role), content.encode("utf-8", "replace"), "sha256").hexdigest()


def _value(wanted: str, header: str) -> str:
    """Return the value of a cookie in a Cookie header; empty without one."""
    for piece in header.split(";"):
        name, _, value = piece.strip().partition("=")
        if name == wanted:
            return value
    return ""


def kept_tokens(folder: Path) -> tuple[Tokens, bool]:
    """Return the tokens of a station, and whether they were made just now.

    WriteError: they cannot be kept; ConfigError: the file is damaged.
    """
    path = folder / FILE
    try:
        held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read(path), False
    except OSError as error:
        raise cannot_write(path, error) from error
    found = Tokens(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    try:
        with os.fdopen(held, "w", encoding="utf-8") as file:
            json.dump(vars(found), file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise cannot_write(path, error) from error
    return found, True


def _read(path: Path) -> Tokens:
    try:
        os.chmod(path, 0o600)  # noqa: PTH101
        found = build(Tokens, parse(read_text(path)))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if min(len(found.view), len(found.operate)) < 16 or found.view == found.operate:
        raise _damaged(path, "two different tokens of at least 16 characters are expected")
    return found


def _damaged(path: Path, problem: str) -> WriteError:
    return WriteError(
        f"{shown(path)} cannot be used: {problem}.",
        remedy=f"mv {quoted(path)} {quoted(path.with_suffix('.old'))}; the station makes new ones",
        code="station/tokens",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host; a name other than localhost is not."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class KnownHosts:
    """The names under which the page may be asked for.

    A foreign page whose name leads to this machine (DNS rebinding) has a name that is none of them.
    """

    def __init__(self, bound: str, more: tuple[str, ...]) -> None:
        """bound: where the page is served; more: names that the station's file allows."""
        own = socket.gethostname().lower()
        self._names = {*LOCAL_NAMES, *(name.lower() for name in more)}
        self._local = is_loopback(bound)
        if not self._local:
            self._names |= {bound.lower(), own, f"{own}.local"}

    def knows(self, header: str) -> bool:
        """Whether a Host header names this station."""
        name, colon, port = header.strip().lower().rpartition(":")
        if not colon or (port.endswith("]") and name.startswith("[")):
            name, port = header.strip().lower(), ""
        if port and not (port.isascii() and port.isdecimal()):
            return False
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._local


def is_same_origin(headers: Mapping[str, str], host: str, *, tls: bool) -> bool:
    """Whether a browser says that the station's own page asks; programs say nothing."""
    origin = headers.get("Origin")
    if origin is not None and origin.lower() != f"http{'s' if tls else ''}://{host.lower()}":
        return False
    return headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
