"""Passwords, tokens and certificates of outputs; none of them is ever part of a text.

A password comes from a file or an environment variable, not from the station's file, which people
copy and show. It is read at each connection, so a new one needs no restart.
"""

import ipaddress
import os
import ssl
from pathlib import Path

from edgeseg.errors import ConfigError
from edgeseg.files import shown


def read_secret(base: Path, file: str, variable: str, name: str) -> str:
    """Return a password or token, without spaces around it; empty if neither source is given.

    base: what the path is relative to; name: of the settings, `password` or `token`. ConfigError
    (`station/secret`): not found, empty, or both sources are given.
    """
    if file and variable:
        raise _unusable(f"{name}_file and {name}_env are both given (expected one of them)", name)
    if variable:
        secret = os.environ.get(variable, "").strip()
        where = f"environment variable {variable}"
    elif file:
        secret, where = _read(base / file, name), shown(base / file)
    else:
        return ""
    if not secret:
        raise _unusable(f"{where} has no {name}", name)
    if not secret.isprintable():
        raise _unusable(f"the {name} of {where} has control characters", name)
    return secret


def tls_context(base: Path, ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return what verifies the other side, by its name, and identifies this one.

    ca: empty for the authorities that the system trusts. ConfigError (`station/certificate`): a
    file that is missing or no certificate.
    """
    files = [str(base / each) if each else None for each in (ca, certificate, key)]
    for each in filter(None, files):
        if not Path(each).is_file():
            raise _bad_certificate(f"not found: {shown(Path(each))}")
    try:
        context = ssl.create_default_context(cafile=files[0])
        if files[1]:
            context.load_cert_chain(files[1], files[2], password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        names = ", ".join(filter(None, (ca, certificate, key)))
        raise _bad_certificate(f"certificates that cannot be used: {names} ({error})") from error
    return context


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number; nobody is asked."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise _unusable(f"{shown(path)} cannot be read: {reason}", name) from None


def _no_password() -> str:
    raise ValueError("the key has a password")  # or OpenSSL would ask for it at the terminal


def _unusable(problem: str, name: str) -> ConfigError:
    return ConfigError(
        f"{problem}.",
        remedy=f"write the {name} to a file of its own, and name that file",
        code="station/secret",
    )


def _bad_certificate(problem: str) -> ConfigError:
    return ConfigError(
        f"{problem}.",
        remedy="name PEM files, without a password for the key",
        code="station/certificate",
    )
