"""Tries everything that a station's file names: models, cameras, outputs, folder."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError, GateFailed, SinkError
from edgeseg.files import check_writable, locked, shown
from edgeseg.station.config import (
    CameraConfig,
    OutputConfig,
    RecipeConfig,
    StationConfig,
    in_toml,
    read_station,
)
from edgeseg.station.lines.line import own_frame, stream_config
from edgeseg.station.lines.recipes import Recipes
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.kinds import open_output
from edgeseg.station.secrets import check_secrets, secret_files
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.source.open import open_for
from edgeseg.text import table

PATIENCE = 10.0  # seconds for each part


@dataclass(frozen=True)
class Tried:
    """One part of a station."""

    what: str
    problem: str
    """Empty: it works."""
    found: str = ""
    remedy: str = ""
    code: str = ""
    """Of the problem; empty where a library has raised."""

    def rows(self) -> list[list[str]]:
        """Return its rows of the table: what was found, and below it what to do."""
        code = f" [{self.code}]" if self.code else ""
        found = f"{self.problem}{code}" if self.problem else self.found
        rows = [["FAIL" if self.problem else "ok", self.what, found]]
        return rows + [["", "", f"  fix: {self.remedy}"]] * bool(self.remedy)


@dataclass(frozen=True)
class CheckReport:
    """What works and what does not."""

    file: Path
    tried: tuple[Tried, ...]
    runs: bool = False
    """Whether a station has the folder, and with it perhaps the cameras and the ports."""

    def summary(self) -> str:
        """Return a table."""
        lines = table([row for each in self.tried for row in each.rows()], "<<<")
        if self.runs:
            lines.append("a station runs in this folder: cameras and ports that it has are in use")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        tried = [vars(each) for each in self.tried]
        return {"file": str(self.file), "tried": tried, "runs": self.runs}

    def check(self) -> None:
        """GateFailed if something does not work."""
        failed = [each.what for each in self.tried if each.problem]
        first = "end the station that runs, " if self.runs else ""
        if failed:
            raise GateFailed(
                f"{len(failed)} of {len(self.tried)} do not work: {', '.join(failed)}.",
                remedy=f"{first}mend what is named, or correct {shown(self.file)}",
                code="gate/station",
            )


def check_station(
    file: Path, wanted_digest: Callable[[StationConfig, RecipeConfig], str]
) -> CheckReport:
    """Open every model, camera and output of a station, and close it again.

    wanted_digest: asks the registry of a recipe that follows a tag.
    """
    config = read_station(file)
    tried = [_try("folder", lambda: _writable(config.folder))]
    runs = _is_in_use(config.folder)
    judges: dict[str, Judge] = {}
    with ExitStack() as stack:
        for recipe in config.recipe:
            tried.append(_try(f"recipe {recipe.name}", _loaded(recipe, config, stack, judges)))
            if recipe.follow:
                ask = partial(wanted_digest, config, recipe)
                tried.append(_try(f"tag of recipe {recipe.name}", ask))
        for camera in config.camera:
            what, name = f"camera {camera.name}", config.first_recipe(camera)
            judge = judges.get(name)
            if judge is not None:
                tried.append(_try(what, _one_frame(camera, judge)))
            else:
                tried.append(Tried(what, f"not tried, for its recipe {name} does not work"))
        if files := secret_files(config):
            tried.append(_try("secrets", lambda: check_secrets(files)))
        for output in config.outputs:
            tried.append(_try(f"output {output.name}", _connected(output, config)))
    return CheckReport(file, tuple(tried), runs)


def _try(what: str, call: Callable[[], str]) -> Tried:
    """Call in a thread of its own, which is left behind if it does not return."""
    done = [Tried(what, f"no answer in {PATIENCE:.0f} s")]

    def run() -> None:
        try:
            done.append(Tried(what, "", call()))
        except EdgesegError as error:
            problem, remedy = error.problem.removeprefix(f"{what}: "), in_toml(error.remedy)
            done.append(Tried(what, problem, remedy=remedy, code=error.code))
        except Exception as error:  # of a plugin or a library
            done.append(Tried(what, str(error) or type(error).__name__))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return done[-1]


def _writable(folder: Path) -> str:
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _loaded(
    recipe: RecipeConfig, config: StationConfig, stack: ExitStack, judges: dict[str, Judge]
) -> Callable[[], str]:
    def load() -> str:
        recipes = stack.enter_context(Recipes(replace(config, recipe=(recipe,))))
        judges.update(recipes.judges(stream_config(config.camera[0])))
        return recipes.cards[recipe.name].name

    return load


def _is_in_use(folder: Path) -> bool:
    """Whether a station runs that has this folder."""
    try:
        with locked(folder):
            return False
    except EdgesegError as error:
        return error.code == "files/locked"


def _one_frame(camera: CameraConfig, judge: Judge) -> Callable[[], str]:
    def read() -> str:
        with open_for(judge.card, stream_config(camera)) as source:
            if camera.mode == "triggered" or (source.stamps and not source.live):
                return f"{source.name}; no frame was asked for"
            source.lend([own_frame(judge) for _ in range(source.keeps)])
            frame, began = own_frame(judge), time.monotonic()
            if not source.read_into(frame):
                return f"{source.name}: has no frame"
            height, width = frame.image.shape[:2]
            seconds = time.monotonic() - began
            return f"{source.name}: {width}x{height} {frame.format} after {seconds:.1f} s"

    return read


def _connected(output: OutputConfig, config: StationConfig) -> Callable[[], str]:
    def connect() -> str:
        context = replace(OutputContext.of(config, command=lambda message: None), trial=True)
        with open_output(output, context) as opened:
            try:
                opened.open()
            except OSError as error:
                raise SinkError(
                    str(error) or type(error).__name__,
                    remedy="start what it sends to, or correct its table in the station's file",
                    code="station/output",
                ) from error
        return output.kind

    return connect
