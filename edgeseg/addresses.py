"""What a user may see of an address: never the name and the password in it."""

import re

_ACCOUNT = re.compile(r"(?<=://)[^/\s\"']*@")
# A password with a slash in it; an address with a port and an @ in its path loses more than that.
_SLASHED_ACCOUNT = re.compile(r"(?<=://)[^\s\"'@/]*:[^\s\"'@]*@")
_QUERY = re.compile(r"(?<=\?)[^\s\"']+")
_SECRET = re.compile(
    r"""[\w-]*(user|pass|pwd|pw|token|key|auth|secret)[\w-]*\s*=\s*("[^"]*"|'[^']*'|\S*)""",
    re.IGNORECASE,
)


def public(text: str) -> str:
    """Return an address, or a pipeline with addresses in it, without accounts and queries.

    rtsp://user:pass@host/live?token=1  ->  rtsp://host/live?...
    """
    if "://" not in text:
        return text
    for account in (_ACCOUNT, _SLASHED_ACCOUNT):
        text = account.sub("", text)
    return _SECRET.sub("...", _QUERY.sub("...", text))
