"""The name of a model in a registry: `registry.example:5000/line/bottle:stable`.

REGISTRY[:PORT]/NAME[/NAME...]:TAG, or @sha256:DIGEST in place of the tag or after it: then no other
content is accepted. Source: OCI distribution specification 1.1, "Pulling manifests".
"""

import re
from dataclasses import dataclass

from edgeseg.errors import ConfigError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
EXAMPLE = "registry.example:5000/line/bottle:stable"


@dataclass(frozen=True)
class Reference:
    """What a registry is asked for."""

    registry: str
    """Host, and port if there is one."""
    repository: str
    tag: str = ""
    digest: str = ""
    """`sha256:...`; empty: whatever the tag names."""

    @property
    def target(self) -> str:
        """By what the manifest is asked for."""
        return self.digest or self.tag

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rpartition("/")[2]

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (
            f"@{self.digest}" if self.digest else ""
        )


def parse_reference(text: str) -> Reference:
    """Return the reference that a text is; ConfigError (`registry/reference`) for anything else."""
    rest, at, digest = text.partition("@")
    registry, slash, path = rest.partition("/")
    repository, colon, tag = path.partition(":")
    names = _HOST.fullmatch(registry) and _NAME.fullmatch(repository) and len(repository) <= 255
    good = bool(slash and names and (at or colon))
    good &= bool(not colon or TAG.fullmatch(tag)) and bool(not at or DIGEST.fullmatch(digest))
    port = registry.rpartition(":")[2] if registry.rfind(":") > registry.rfind("]") else "1"
    if good and 0 < int(port) < 1 << 16:
        return Reference(registry, repository, tag, digest)
    account = at and not digest.startswith("sha256:")
    shown = "a name with an @" if account else ascii(text)[:80]
    raise ConfigError(
        f"invalid reference: {shown} (expected REGISTRY/NAME:TAG, the name in lower case, or "
        "@sha256: and 64 digits)",
        remedy=f"a name such as {EXAMPLE}",
        code="registry/reference",
    )
