"""Addresses of sources without user names, passwords and tokens, for messages and reports."""

import re

_ACCOUNT = re.compile(r"(?<=://)[^/\s\"']*@")
# A password with a slash; an address with a port and an @ in its path is shortened further.
_SLASHED_ACCOUNT = re.compile(r"(?<=://)[^\s\"'@/]*:[^\s\"'@]*@")
_QUERY = re.compile(r"(?<=\?)[^\s\"']+")
_SECRET = re.compile(
    r"""[\w-]*(user|pass|pwd|pw|token|key|auth|secret)[\w-]*\s*=\s*("[^"]*"|'[^']*'|\S*)""",
    re.IGNORECASE,
)


def public(text: str) -> str:
    """Remove accounts and queries from an address or from a pipeline with addresses.

    rtsp://user:pass@host/live?token=1  ->  rtsp://host/live?...
    """
    if "://" not in text:
        return text
    for account in (_ACCOUNT, _SLASHED_ACCOUNT):
        text = account.sub("", text)
    return _SECRET.sub("...", _QUERY.sub("...", text))
