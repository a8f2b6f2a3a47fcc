"""Makes a model of a registry ready for a station: pull, engine, gate.

    python -m edgeseg.fleet.attempt STATION_FILE RECIPE DIGEST      started by the follower

A process of its own: what a builder takes, breaks or leaks ends with it. It ends when its standard
input is closed, and so with the follower. Its standard output is its Attempted, and nothing else.
Whatever kills it, nothing that the station runs was touched; the next attempt goes on with what is
complete.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from edgeseg.config import RuntimeName
from edgeseg.console import prepare
from edgeseg.errors import BuildError, EdgesegError, EngineMismatch, GateFailed, ModelError
from edgeseg.fleet.access import RegistryAccess
from edgeseg.fleet.artifact import CARD, REPORT
from edgeseg.fleet.gate import judge_model
from edgeseg.fleet.pull import engine_for, folder_name, pull_model
from edgeseg.fleet.registry import Registry
from edgeseg.fleet.signature import verify
from edgeseg.log import install_handler, log
from edgeseg.machine.threads import limit_threads
from edgeseg.station.config import RecipeConfig, StationConfig, read_station
from edgeseg.station.following.current import folder_of, read_current
from edgeseg.station.following.reference import parse_reference

OF_THE_MODEL = (ModelError, BuildError, EngineMismatch, GateFailed)
"""Errors that another attempt would end with, too; others may pass."""


@dataclass(frozen=True, kw_only=True)
class Attempted:
    """What came of an attempt."""

    outcome: Literal["ready", "refused", "waits", "failed"]
    """ready: it may run; refused: never; waits: not yet; failed: to be tried again."""
    reason: str = ""
    model: str = ""
    """The engine, relative to the folder of the recipe."""
    how: str = ""
    """Whether the engine was `here`, `pulled` or `built`."""
    frames: int = 0
    """On which it was judged."""
    signed_at: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """By step: pull, engine, replay."""


def access_of(config: StationConfig) -> RegistryAccess:
    """Return how a station reaches its registry."""
    fleet = config.fleet
    return RegistryAccess(
        user=fleet.user,
        password_file=fleet.password_file,
        password_env=fleet.password_env,
        ca=fleet.ca,
        plain_http=fleet.plain_http,
        patience_s=5.0,
        base=config.base,
    )


def wanted_digest(config: StationConfig, recipe: RecipeConfig) -> str:
    """Return the digest that a recipe's tag names now, or its own; RegistryError."""
    place = parse_reference(recipe.follow)
    registry = Registry(place, access_of(config))
    found = place.digest or registry.digest_of(place.tag)
    if found is None:
        raise registry.missing()
    return found


def key_of(config: StationConfig) -> Path | None:
    """Return the public key of a station's models."""
    return config.base / config.fleet.key if config.fleet.key else None


def attempt(file: Path, recipe_name: str, digest: str) -> Attempted:
    """Make a model ready; never raises an EdgesegError."""
    try:
        config = read_station(file)
        recipe = config.recipe_named(recipe_name)
        if recipe is None:
            return Attempted(outcome="failed", reason=f"recipe {recipe_name} is gone")
        return _attempt(file, config, recipe, digest)
    except EdgesegError as error:
        reason = f"{error.problem} [{error.code}]"
        if isinstance(error, OF_THE_MODEL):
            return Attempted(outcome="refused", reason=reason)
        return Attempted(outcome="failed", reason=reason)


def _attempt(file: Path, config: StationConfig, recipe: RecipeConfig, digest: str) -> Attempted:
    place = replace(parse_reference(recipe.follow), digest=digest)
    fleet, folder = config.fleet, folder_of(config.folder, recipe.name)
    registry = Registry(place, access_of(config), push=fleet.push)
    steps, began, signed_at = {}, time.monotonic(), 0
    if (key := key_of(config)) is not None:
        signed_at = verify(registry, digest, place.tag, key)
        if signed_at < read_current(folder).newest_signature:
            reason = "its signature is older than that of a model that was kept"
            return Attempted(outcome="failed", reason=reason)
    name = folder_name(digest)
    model = pull_model(registry, place, folder / name, left_out=(REPORT, CARD))
    steps["pull"] = time.monotonic() - began
    engine, how = engine_for(
        registry,
        model,
        precision=fleet.precision,
        runtime=cast("RuntimeName | None", recipe.runtime),
        device=recipe.device,
        build=True,
        push=fleet.push,
        key=key,
    )
    assert engine is not None
    steps["engine"] = time.monotonic() - began - steps["pull"]
    found = judge_model(file, recipe, engine, fleet)
    steps["replay"] = time.monotonic() - began - sum(steps.values())
    return Attempted(
        outcome="ready" if found.outcome == "passed" else found.outcome,
        reason=found.reason,
        model=str(engine.relative_to(folder)),
        how=how,
        frames=found.frames,
        signed_at=signed_at,
        seconds={step: round(seconds, 3) for step, seconds in steps.items()},
    )


def main(argv: Sequence[str]) -> None:
    """Attempt, and print the outcome."""
    prepare()
    outcome = os.dup(1)
    os.dup2(2, 1)  # what libraries print is for the log
    install_handler(logging.INFO)
    threading.Thread(target=_end_with_the_follower, daemon=True).start()
    file, recipe, digest = argv
    limit_threads(1)  # the cores are the inspector's
    try:
        found = attempt(Path(file), recipe, digest)
    except Exception as error:  # of a library: it is tried again, a few times
        log.exception("a new model could not be made ready")
        found = Attempted(outcome="failed", reason=f"{type(error).__name__}: {error}"[:500])
    os.write(outcome, json.dumps(asdict(found)).encode())


def _end_with_the_follower() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
