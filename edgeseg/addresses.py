"""Addresses of sources: as they may be shown, and as FFmpeg and GStreamer understand them.

given                                    shown
rtsp://user:pass@host:554/live?key=1     rtsp://host:554/live
rtsp://user:pa/ss@host/live              rtsp://...    the password cannot be told from the path
gst://rtspsrc location=... user-pw=x     gst://rtspsrc location=rtsp://host/live user-pw=...
"""

import re
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from edgeseg.errors import SourceError
from edgeseg.files import shown

ESCAPES = (
    "in the user name and the password write @ as %40, # as %23, / as %2F, ? as %3F, : as %3A, "
    "% as %25 and a space as %20"
)
HIDDEN = "..."
OURS = ("csi", "genicam", "test", "v4l2", "watch")  # schemes without accounts

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%[\w.-]+)?", re.IGNORECASE)
_ACCOUNT = re.compile(r".*:.*@", re.DOTALL)  # of an address without a correct scheme
_SECRET = re.compile(r"(user|pass|pwd|pw|token|key|auth|secret)[\w-]*=", re.IGNORECASE)
_WITH_ACCOUNT = re.compile(r'\b([a-z][a-z0-9+.-]+)(:/{1,2})([^ \n"]*)@', re.IGNORECASE)
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

_ASSIGNED = re.compile(r"\s*=\s*")
_TOKEN = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+""", re.DOTALL)
_CAPS = re.compile(r"(video|image|application)/[\w.():-]+(,|$)")
_NAME = re.compile(r"[\w-]+")
_LINK = re.compile(r"!|[\w-]+\.\w*")  # between elements, or the pad of a named one
_HARMLESS = frozenset(
    "bitrate clock-rate device do-timestamp drop encoding-name format framerate height io-mode "
    "is-live latency leaky max-buffers max-size-buffers max-size-bytes max-size-time media name "
    "num-buffers pattern payload port protocols sensor-id sensor-mode sync tcp-timeout timeout "
    "wbmode width".split()
)


def public(text: str) -> str:
    """Return an address or a pipeline without accounts, queries, fragments and other secrets.

    An address that cannot be parsed beyond doubt is shown as its scheme only. A path is unchanged.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return HIDDEN if _ACCOUNT.match(text) else text
    if not _SCHEME.fullmatch(scheme):
        return HIDDEN
    scheme = scheme.lower()
    if scheme in OURS:
        return text
    found = public_pipeline(rest) if scheme == "gst" else _place(text)
    return f"{scheme}://{found or HIDDEN}"


def encoded(url: str) -> str:
    """Return a URL in ASCII, with the reserved characters of its account percent-encoded.

    SourceError (`source/invalid-address`): the account cannot be told from the host or the path.
    """
    parts = _split(url)
    if parts is None or not parts.hostname or "@" in parts.fragment:
        raise SourceError(
            f"invalid address: {public(url)} (expected SCHEME://USER:PASSWORD@HOST:PORT/PATH).",
            remedy=ESCAPES,
            code="source/invalid-address",
        )
    account, at, host = parts.netloc.rpartition("@")
    names = (_escaped(name) for name in account.split(":", 1))
    whole = parts._replace(netloc=":".join(names) + at + host).geturl()
    return quote(whole, safe=_PRINTABLE, errors="surrogateescape")


def scrub(text: str, words: list[str]) -> str:
    """Replace the addresses among `words`, the command line, where they occur in a text."""
    for word in sorted(words, key=len, reverse=True):
        address = word.partition("=")[2] if word.startswith("--") else word
        if (harmless := public(address)) != address:
            text = text.replace(address, harmless).replace(str(Path(address)), harmless)
    return text


def without_accounts(text: str) -> str:
    """Replace what is before the last @ of each address in a text, also with one slash."""
    return _WITH_ACCOUNT.sub(_without_account, text)


def _without_account(found: re.Match[str]) -> str:
    scheme, slashes, account = found.groups()
    if scheme.lower() in OURS and ":" not in account:  # test://640x480@30
        return found[0]
    return f"{scheme}{slashes}{HIDDEN}@"


def _split(url: str) -> SplitResult | None:
    """Parse a URL; None if its port is no number, or if urlsplit would drop characters of it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if re.search(r"[\t\r\n]", url) else parts


def _place(url: str) -> str | None:
    """Return host, port and path; None in doubt: an @ beyond the host may follow a password."""
    parts = _split(url)
    if parts is None or "@" in parts.path + parts.query + parts.fragment:
        return None
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        return None
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    path = f"/{HIDDEN}" if _SECRET.search(parts.path) else shown(parts.path)
    return f"{host}{port}{path}"


def public_pipeline(text: str) -> str:
    """Return a GStreamer pipeline with the values of those properties that hold no secret."""
    text = _ASSIGNED.sub("=", text)
    if not text.isprintable() or _TOKEN.sub("", text).strip():  # a quote without its end
        return HIDDEN
    tokens: list[str] = _TOKEN.findall(text)
    pairs = zip(["!", *tokens], tokens, strict=False)
    return " ".join(_public_token(token, before) for before, token in pairs)


def _public_token(token: str, before: str) -> str:
    """Return an element, a link, caps or a property; before: the token on the left."""
    if _CAPS.match(token):
        return ",".join(_public_property(piece) for piece in token.split(","))
    if "=" in token:
        return _public_property(token)
    element = before == "!" or before.endswith(".")
    return token if _LINK.fullmatch(token) or (element and _NAME.fullmatch(token)) else HIDDEN


def _public_property(text: str) -> str:
    name, assigned, value = text.partition("=")
    if not assigned or name in _HARMLESS:
        return text
    value = value.strip("\"'")
    harmless = name in ("location", "uri") and ("://" in value or not _ACCOUNT.match(value))
    return f"{name}={public(value) if harmless else HIDDEN}"


def _escaped(name: str) -> str:
    """Percent-encode a user name or a password, in which escapes may be."""
    kept = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", name)
    return quote(unquote_to_bytes(kept.encode("utf-8", "surrogateescape")), safe="")
