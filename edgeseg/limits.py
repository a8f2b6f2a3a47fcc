"""Limits of what a file or a flag may ask for, checked before memory is allocated.

An environment variable of the same name raises one: `EDGESEG_MAX_PIXELS=1000000000 edgeseg ...`.
"""

import os

from edgeseg.errors import ConfigError

LIMITS = {
    "EDGESEG_MAX_PIXELS": 1 << 28,
    "EDGESEG_MAX_IMAGE_SIZE": 4096,
    "EDGESEG_MAX_JSON_MB": 256,
}
"""Pixels of a photo, or of the frames of one inference; side of the network's input, in pixels; MB
of a JSON, TOML or card file."""
_MOST = 1 << 48
THRESHOLD = 1e6
"""Largest magnitude of a threshold; it has to stay finite in the float32 input of a graph."""


def limit(name: str) -> int:
    """Return a limit of LIMITS; ConfigError for an environment variable that is no number."""
    given = os.environ.get(name, "").strip()
    if not given:
        return LIMITS[name]
    if not (given.isascii() and given.isdecimal() and 0 < int(given[:16]) <= _MOST):
        raise ConfigError(
            f"invalid environment variable {name}: {given[:40]!r} (expected 1 to {_MOST})",
            remedy=f"export {name}={LIMITS[name]}",
            code="config/limit",
        )
    return int(given)


def check_limit(name: str, found: int, what: str) -> None:
    """Raise ConfigError for a number beyond a limit; the remedy raises the limit."""
    if found > (most := limit(name)):
        raise ConfigError(
            f"too large: {found} {what} (expected at most {most})",
            remedy=f"a smaller size, or: export {name}={found}",
            code="config/limit",
        )
