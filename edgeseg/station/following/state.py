"""How following does, for the metrics and for the follower's next start: FOLDER/models/RECIPE."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgeseg.files import write_atomic
from edgeseg.schema import bounded, build, parse, read_text

FILE = "following.json"


@dataclass(frozen=True, kw_only=True)
class Following:
    """What is known of a recipe that follows a tag; times in seconds since 1970."""

    v: int = bounded(1, 1, default=1)
    running: str = ""
    """Digest of the model that runs; empty: that of the station's file."""
    wanted: str = ""
    """Digest that the tag names; empty: never answered."""
    problem: str = ""
    """Why the wanted model does not run, or why the registry was not heard; empty: all is well."""
    answered: float = 0.0
    """When the registry last answered."""
    settings: str = ""
    """Of the station's file, under which models were refused: others are another chance."""
    refused: dict[str, str] = field(default_factory=dict)
    """By digest: why it is not tried again."""
    killed: dict[str, int] = field(default_factory=dict)
    """By digest: attempts that ended without a word."""


def read_following(folder: Path) -> Following:
    """Read the state of a recipe; what cannot be read counts as none."""
    try:
        return build(Following, parse(read_text(folder / FILE)))
    except (OSError, ValueError):
        return Following()


def write_following(folder: Path, state: Following) -> None:
    """Replace the state; WriteError: it stays as it was."""
    write_atomic(folder / FILE, (json.dumps(asdict(state), indent=1) + "\n").encode())
