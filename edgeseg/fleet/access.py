"""How a registry is reached: password, TLS, and the header that each request carries.

A password comes from a file, an environment variable, or the `auths` of Docker's config.json; never
from the command line. The header is sent with the first request: a registry that answers a large
upload with 401 closes the connection while the client still writes.

    Basic     with every request
    Bearer    a token of the service that the registry names, asked for with the password; only a
              service on the registry's host, or on another one of its domain, gets it
"""

import base64
import ipaddress
import json
import os
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urlsplit

from edgeseg.errors import ConfigError, RegistryError
from edgeseg.files import shown
from edgeseg.fleet.http import address, exchange, read_json
from edgeseg.station.following.reference import Reference
from edgeseg.station.outputs.credentials import is_loopback, read_secret, tls_context

DOCKER = "DOCKER_CONFIG"
TOKEN_SECONDS, LONGEST_TOKEN = 60, 86_400  # of a token without `expires_in`; of any
SPARE = 20  # seconds before its end another one is asked for
_PARAMETER = re.compile(r'([A-Za-z]+)="([^"\\]*)"')
_VISIBLE = re.compile(r"[!-~]{1,16384}")


@dataclass(frozen=True, kw_only=True)
class RegistryAccess:
    """The settings."""

    user: str = ""
    password_file: str = ""
    password_env: str = ""
    ca: str = ""
    """PEM file of the authority of the registry's certificate [default: the system's]."""
    plain_http: bool = False
    """Whether http may be used where it is not this machine: without any protection."""
    timeout_s: float = 20.0
    patience_s: float = 30.0
    """In which a request that failed is sent again."""
    base: Path = Path()
    """What files are relative to."""


class Entrance:
    """What opens one repository of a registry."""

    def __init__(self, reference: Reference, access: RegistryAccess, *, push: bool = False) -> None:
        """ConfigError: a password or certificate that cannot be used."""
        self.reference, self.access = reference, access
        host = urlsplit(f"//{reference.registry}").hostname or ""
        plain = access.plain_http or (is_loopback(host) and not access.ca)
        self.root = urlsplit(f"{'http' if plain else 'https'}://{reference.registry}")
        self.plain = plain
        self._tls = None if plain else tls_context(access.base, access.ca, "", "")
        self._scope = f"repository:{reference.repository}:pull" + ",push" * push
        self._basic = _basic(reference.registry, access)
        self._bearer, self._until = "", 0.0
        self._asked = False

    def tls(self, url: SplitResult) -> ssl.SSLContext | None:
        """Return what verifies an address; RegistryError for http where it is not allowed."""
        if url.scheme == "https":
            return self._tls or ssl.create_default_context()
        if (
            url.scheme == "http"
            and self.plain
            and (self.access.plain_http or is_loopback(url.hostname or ""))
        ):
            return None
        raise RegistryError(
            f"{self.reference.registry} leads to {url.scheme}://{url.hostname} (expected https)",
            remedy="--plain-http allows http, without any protection; TLS: --ca FILE",
            code="registry/plain-http",
        )

    def header(self) -> dict[str, str]:
        """Return the header of a request to the registry; asks for a token where one is due."""
        if not self._asked:
            self._ask()
        if self._until and time.monotonic() > self._until:
            self._ask()
        if self._bearer:
            return {"Authorization": f"Bearer {self._bearer}"}
        return {"Authorization": self._basic} if self._basic else {}

    def _ask(self) -> None:
        """Find out how the registry wants to be asked."""
        header = {"Authorization": self._basic} if self._basic else {}
        url = self.root._replace(path="/v2/")
        with exchange("GET", url, self.tls(url), header, seconds=self.access.timeout_s) as answer:
            challenge = answer.headers.get("WWW-Authenticate", "")
            status = answer.status
        if status == 401 and challenge[:7].lower() == "bearer ":
            self._bearer, seconds = self._token(dict(_PARAMETER.findall(challenge)))
            self._until = time.monotonic() + max(seconds - SPARE, 1)
        self._asked = True

    def _token(self, challenge: dict[str, str]) -> tuple[str, float]:
        """Return a token of the service that a challenge names, and its life in seconds."""
        realm = address(challenge.get("realm", ""))
        if not _akin(realm.hostname or "", self.root.hostname or ""):
            raise RegistryError(
                f"{self.reference.registry} asks for a token of {ascii(realm.hostname)[:80]}, "
                "which is no host of its domain: it gets no password",
                remedy="name the registry as its token service knows it",
                code="registry/token-host",
            )
        query = {"scope": self._scope} | {k: v for k, v in challenge.items() if k == "service"}
        url = realm._replace(query=urlencode(query), fragment="")
        header = {"Authorization": self._basic} if self._basic else {}
        with exchange("GET", url, self.tls(url), header, seconds=self.access.timeout_s) as answer:
            if answer.status != 200:
                raise refused(self.reference, answer.status)
            document = read_json(answer, str(self.reference.registry))
        token = document.get("token") or document.get("access_token")
        life = document.get("expires_in", TOKEN_SECONDS)
        if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
            raise RegistryError(
                f"the token service {realm.hostname} answered without a token",
                remedy="look at the log of the token service",
                code="registry/answer",
            )
        return token, min(life, LONGEST_TOKEN) if isinstance(life, int | float) else TOKEN_SECONDS


def refused(reference: Reference, status: int) -> RegistryError:
    """Return the error of a registry that does not let this client in."""
    return RegistryError(
        f"{reference.registry} refuses {reference.repository} (status {status})",
        remedy="--user NAME with --password-file FILE or --password-env NAME, or docker login",
        code="registry/refused",
    )


def _akin(host: str, registry: str) -> bool:
    """Whether a host is the registry's, its domain, or another one in its domain."""
    if host == registry:
        return True
    try:
        ipaddress.ip_address(registry)
        return False
    except ValueError:
        domain = registry.partition(".")[2]
    return "." in domain and f".{host}".endswith(f".{domain}")


def _basic(registry: str, access: RegistryAccess) -> str:
    """Return the header value of a user and a password; empty if none is known."""
    if access.user:
        if ":" in access.user or not access.user.isprintable():
            raise _unusable("the user has a colon or control characters")
        password = read_secret(access.base, access.password_file, access.password_env, "password")
        if not password:
            raise _unusable(f"a user and no password for {registry}")
        pair = f"{access.user}:{password}".encode()
        return "Basic " + base64.b64encode(pair).decode()
    return _of_docker(registry)


def _of_docker(registry: str) -> str:
    try:
        folder = Path(os.environ.get(DOCKER) or Path.home() / ".docker")
    except RuntimeError:  # a user without a home
        return ""
    file = folder / "config.json"
    try:
        found = json.loads(file.read_bytes()[: 1 << 20])
        entry = found.get("auths", {}).get(registry, {})
        pair = base64.b64decode(entry.get("auth", ""), validate=True)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, TypeError):
        raise _unusable(f"{shown(file)} cannot be read") from None
    return "Basic " + base64.b64encode(pair).decode() if b":" in pair else ""


def _unusable(problem: str) -> ConfigError:
    return ConfigError(
        f"{problem}.",
        remedy="--user NAME with --password-file FILE or --password-env NAME, or docker login",
        code="registry/password",
    )
