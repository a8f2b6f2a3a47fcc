"""The address at which an output serves: how it is written, and what to do if it cannot be used."""

import errno
import os

from edgeseg.addresses import public
from edgeseg.errors import ConfigError


def host_port(text: str, kind: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8765`, `0.0.0.0:8765` or `[::]:8765`; port 0: a free one.

    kind: of the output that serves there. ConfigError for anything else.
    """
    host, colon, port = text.rpartition(":")
    host = host.strip("[]") if host.startswith("[") and host.endswith("]") else host
    good = colon and host and port.isascii() and port.isdecimal() and len(port) < 6
    if good and int(port) < 1 << 16:
        return host, int(port)
    raise ConfigError(
        f"{kind}: invalid address '{public(text[:60])}' (expected HOST:PORT)",
        remedy='address = "127.0.0.1:8765"',
        code=f"station/{kind}-address",
    )


def cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    """Return the error of a server that cannot begin (`station/listen`), with what to do."""
    remedies = {
        errno.EADDRINUSE: f"use another port, or end what has this one: ss -ltnp 'sport = :{port}'",
        errno.EADDRNOTAVAIL: "use an address of this machine: ip -brief address",
        errno.EACCES: "use a port from 1024 on",
    }
    number = error.errno or 0
    why = os.strerror(number) if number in remedies else error.strerror or error
    return ConfigError(
        f"cannot listen on {host}:{port}: {why}",
        remedy=remedies.get(number, "use another address or port"),
        code="station/listen",
    )
