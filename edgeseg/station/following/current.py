"""Which model a recipe runs: a file that is replaced as a whole, so that a power cut leaves one.

    FOLDER/models/RECIPE/current.json
    FOLDER/models/RECIPE/DIGEST/         a model: what was pulled, and its engine

A new model is on trial until it has inspected for a while. If the inspector or the station ends
before, the model of before runs again: `settle` is called before the inspector is started. Without
the file, or with one that cannot be read, the model of the station's file runs.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.files import shown, write_atomic
from edgeseg.log import log
from edgeseg.schema import Invalid, bounded, build, parse, read_text
from edgeseg.station.config import RecipeConfig, StationConfig

MODELS, FILE = "models", "current.json"


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A model that was pulled, and can be run."""

    digest: str
    """Of its manifest."""
    model: str
    """Its engine, relative to the folder of the recipe."""
    signed_at: int = bounded(0, default=0)
    """Seconds since 1970; 0: signatures were not asked for."""


@dataclass(frozen=True, kw_only=True)
class Current:
    """What a recipe runs; None: the model of the station's file."""

    v: int = bounded(1, 1, default=1)
    now: Followed | None = None
    before: Followed | None = None
    trial: bool = False
    """Whether `now` has yet to prove itself."""
    ended: dict[str, int] = field(default_factory=dict)
    """By digest: trials during which the inspector or the station ended."""
    newest_signature: int = bounded(0, default=0)
    """When a model that was kept was signed, the newest of all: an older signature is refused."""

    def returned(self, *, ended: bool) -> "Current":
        """Return what runs after a trial that failed; ended: the process did."""
        counts = dict(self.ended)
        if ended and self.now is not None:
            counts[self.now.digest] = counts.get(self.now.digest, 0) + 1
        return replace(self, now=self.before, before=None, trial=False, ended=counts)


def folder_of(station: Path, recipe: str) -> Path:
    """Return the folder of a recipe's models; station: of the state."""
    return station / MODELS / recipe


def read_current(folder: Path) -> Current:
    """Read what a recipe runs; a file that cannot be read is logged, and counts as none."""
    path = folder / FILE
    try:
        return build(Current, parse(read_text(path)))
    except FileNotFoundError:
        return Current()
    except (OSError, Invalid, ValueError) as error:
        log.error(f"{shown(path)} cannot be read, the model of the station's file runs: {error}")
        return Current()


def write_current(folder: Path, current: Current) -> None:
    """Replace the file; WriteError: it stays as it was."""
    write_atomic(folder / FILE, (json.dumps(asdict(current), indent=1) + "\n").encode())


def models_of(config: StationConfig, recipe: RecipeConfig, *, proven: bool = False) -> list[Path]:
    """Return the models of a recipe: what it runs, then what runs if that cannot be opened.

    The model that is on trial is alone: if it cannot be opened, nothing takes its place. proven:
    without it, also where a full disk keeps the end of its trial from being noted.
    """
    own = config.base / recipe.model
    if not recipe.follow:
        return [own]
    folder = folder_of(config.folder, recipe.name)
    current = read_current(folder)
    if current.trial and current.now is not None:
        if not proven:
            return [folder / current.now.model]
        current = current.returned(ended=True)
    followed = (current.now, current.before)
    return [*(folder / each.model for each in followed if each is not None), own]


def settle(station: Path) -> None:
    """End every trial: the model of before runs again."""
    for path in sorted((station / MODELS).glob(f"*/{FILE}")):
        current = read_current(path.parent)
        if current.trial:
            log.error(
                f"recipe {path.parent.name}: the inspector ended while a new model was on trial; "
                "the model of before runs again"
            )
            try:
                write_current(path.parent, current.returned(ended=True))
            except EdgesegError as error:
                log.error(f"this cannot be noted: {error.problem}")
