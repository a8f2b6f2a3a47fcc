"""Files with passwords, tokens and private keys that a station's file names."""

from collections.abc import Sequence
from pathlib import Path

from edgeseg.errors import ConfigError
from edgeseg.files import quoted, shown
from edgeseg.station.config import StationConfig

NAMES = ("password_file", "token_file", "key")
"""Settings of outputs that name such a file."""
OTHERS = 0o007
"""Rights of every user of the machine."""


def secret_files(config: StationConfig) -> list[Path]:
    """Return the files with secrets that are there; a missing one is named where it is used."""
    names = [(each.settings or {}).get(name) for each in config.outputs for name in NAMES]
    names.append(config.fleet.password_file)
    found = [config.base / str(name) for name in dict.fromkeys(names) if name]
    return [path for path in found if path.is_file()]


def check_secrets(files: Sequence[Path]) -> str:
    """Return what was found; ConfigError (`station/secret-readable`) if everybody can use one."""
    found = [path for path in files if path.stat().st_mode & OTHERS]
    if found:
        raise ConfigError(
            f"every user of this machine can use {', '.join(map(shown, found))}",
            remedy=f"chmod o= {' '.join(map(quoted, found))}",
            code="station/secret-readable",
        )
    return f"files that not everybody can use: {len(files)}"
