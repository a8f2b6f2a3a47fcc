"""Tries everything that a station's file names: models, cameras, outputs, folder."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError, GateFailed
from edgeseg.files import check_writable, locked, shown
from edgeseg.station.config import CameraConfig, OutputConfig, StationConfig, read_station
from edgeseg.station.lines.line import own_frame, stream_config
from edgeseg.station.lines.recipes import Recipes
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.kinds import open_output
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


@dataclass(frozen=True)
class CheckReport:
    """What works and what does not."""

    file: Path
    tried: tuple[Tried, ...]
    runs: bool = False
    """Whether a station has the folder, and with it perhaps the cameras and the ports."""

    def summary(self) -> str:
        """Return a table."""
        rows = [
            ["FAIL" if each.problem else "ok", each.what, each.problem or each.found]
            for each in self.tried
        ]
        lines = table(rows, "<<<")
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


def check_station(file: Path) -> CheckReport:
    """Open every model, camera and output of a station, and close it again."""
    config = read_station(file)
    tried = [_try("folder", lambda: _writable(config.folder))]
    runs = _is_in_use(config.folder)
    judges: dict[str, Judge] = {}
    with ExitStack() as stack:

        def load() -> str:
            recipes = stack.enter_context(Recipes(config))
            judges.update(recipes.judges(stream_config(config.camera[0])))
            return ", ".join(f"{name}: {card.name}" for name, card in recipes.cards.items())

        tried.append(_try("recipes", load))
        for camera in config.camera:
            judge = judges.get(config.first_recipe(camera))
            if judge is not None:
                tried.append(_try(f"camera {camera.name}", _one_frame(camera, judge)))
        for output in config.outputs:
            tried.append(_try(f"output {output.name}", _connected(output, config)))
    return CheckReport(file, tuple(tried), runs)


def _try(what: str, call: Callable[[], str]) -> Tried:
    """Call in a thread of its own, which is left behind if it does not return."""
    found: list[str] = []
    problems = [f"no answer in {PATIENCE:.0f} s"]

    def run() -> None:
        try:
            found.append(call())
            problems[0] = ""
        except EdgesegError as error:
            problems[0] = error.problem
        except Exception as error:  # of a plugin or a library
            problems[0] = str(error) or type(error).__name__

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return Tried(what, problems[0], found[0] if found else "")


def _writable(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder)
    return str(folder)


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
            opened.open()
        return output.kind

    return connect
