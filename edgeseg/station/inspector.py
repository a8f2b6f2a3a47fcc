"""The process of the cameras: it judges, writes the journal, and waits for nobody else.

    python -m edgeseg.station.inspector STATION_FILE LINK LIFE    started by the supervisor

Commands, of the gateway's outputs:

    {"command": "recipe", "recipe": NAME, "camera": NAME}     camera: all of them without it
    {"command": "trigger", "camera": NAME, "part": TEXT}      without: all that take triggers
    {"command": "part", "part": TEXT, "camera": NAME}         of the next wire trigger
    {"command": "stop", "by": WHO, "reason": TEXT}            no part is OK until
    {"command": "start", "by": WHO}                           the same one starts it

Each may have an `id`, by which its answer is found in `answers` of the status.
"""

import gc
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.closing import Closing, leave
from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.log import log
from edgeseg.machine.threads import share_cores
from edgeseg.station.child import Child, run_child
from edgeseg.station.config import StationConfig, read_again, read_station
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import furthest
from edgeseg.station.evidence.keeper import EvidenceKeeper
from edgeseg.station.following.current import settle
from edgeseg.station.inspection import Inspection
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.lines.gpio import Gpio
from edgeseg.station.lines.line import CameraLine, stream_config
from edgeseg.station.lines.recipes import Recipes
from edgeseg.station.lines.recorder import Desk, Recorder
from edgeseg.station.link import Link
from edgeseg.station.page.preview import Preview
from edgeseg.station.stops import KeptStops
from edgeseg.stream.source.base import TriggerId
from edgeseg.stream.watchdog import Watchdog

STATUS_EVERY = 0.5  # seconds
ANSWERS = 20  # to commands, that a status has
LONGEST = 200  # characters of a part's number or a reason


class Inspector(Closing):
    """The lines of a station while it is open."""

    def __init__(self, config: StationConfig, link: Link) -> None:
        """EdgesegError: a model, the journal or a setting that cannot be used."""
        self._link, self.config = link, config
        self._answers: deque[dict[str, Any]] = deque(maxlen=ANSWERS)
        self._kept_stops = KeptStops(config.folder)
        self._stops: dict[str, str] = {}
        self._gpios: list[Gpio] = []
        self._by_name: dict[str, CameraLine] = {}
        self._told = 0.0
        self.boot = f"{int(time.time()):x}{secrets.token_hex(2)}"
        with ExitStack() as stack:
            after = furthest(config.folder / CURSORS)
            journal = Journal(config.folder / FILE, limit_bytes=_limit(config), after=after)
            self.journal = stack.enter_context(journal)
            settle(config.folder)
            self.journal.tell(taken=self._tell, stored=self._tell_stored)
            self._keeper = stack.enter_context(EvidenceKeeper(config.folder))
            self._desk = Desk(journal, socket.gethostname(), self.boot, keeper=self._keeper)
            self._kept = 0
            self.journal.kept_until = lambda: self._kept
            self._lines = ExitStack()
            stack.callback(lambda: self._lines.close())
            self._stops = self._kept_stops.read()
            self._written = dict(self._stops)
            self._forget_outputs(config)
            self._open(config)
            self._stack = stack.pop_all()

    @property
    def lines(self) -> Sequence[CameraLine]:
        """The cameras, in the order of the file."""
        return tuple(self._by_name.values())

    def step(self, timeout: float) -> None:
        """Take the commands that are there, or wait for one; tell how the station does."""
        message = self._link.receive(timeout)
        while message is not None:
            self._take(message)
            message = self._link.receive(0)
        for each in self._gpios:
            each.beat()
        now = time.monotonic()
        if now - self._told >= STATUS_EVERY:
            self.tell()

    def tell(self) -> None:
        """Send the status."""
        self._told = time.monotonic()
        self._link.send({"status": self.status()})

    def status(self) -> dict[str, Any]:
        """Return how the station does."""
        return {
            "boot": self.boot,
            "stopped": self._desk.stopped,
            "stops": dict(self._stops),
            "journal": {
                "trouble": self.journal.trouble,
                "lost": self.journal.lost,
                "written": self.journal.count,
                "last": self.journal.told,
            },
            "evidence": self._keeper.status(),
            "answers": list(self._answers),
            "cameras": {line.camera.name: _status(line) for line in self.lines},
        }

    def reload(self, config: StationConfig) -> None:
        """Change to another configuration; the old one stays if the new one cannot be opened.

        The frames in flight are finished and recorded before.
        """
        recipes = Recipes(config)
        self._end_lines()
        try:
            self._open(config, recipes)
        except EdgesegError:
            self._open_again()
            raise
        self.config = config
        self.journal.limit = _limit(config)
        self._forget_outputs(config)

    def _forget_outputs(self, config: StationConfig) -> None:
        """Start what was stopped by outputs that are not required any more: nobody else would."""
        required = {f"output {each.name}" for each in config.outputs if each.require}
        for by in [each for each in self._stops if each.startswith("output ")]:
            if by not in required:
                del self._stops[by]
        self._tell_stops()

    def _open_again(self) -> None:
        """Open the configuration of before; without it the process ends, and nothing is OK."""
        try:
            self._open(self.config)
        except EdgesegError as error:
            log.error(f"what the station's file said before cannot be used any more: {error}")
            raise SystemExit(error.exit_code) from error

    def _end_lines(self) -> None:
        self._lines.close()
        self._lines, self._by_name = ExitStack(), {}
        gc.collect()  # a line and its triggers refer to each other, and would keep the models

    def close(self) -> None:
        """Finish the frames in flight, and close the journal."""
        self._stack.close()

    def _open(self, config: StationConfig, recipes: Recipes | None = None) -> None:
        with ExitStack() as stack:
            recipes = stack.enter_context(recipes or Recipes(config, proven=True))
            reserve, cards = config.station.disk_reserve_gb, recipes.cards.values()
            self._keeper.use(config.evidence, reserve, cards)
            gpios = [
                stack.enter_context(Gpio(each, partial(self._ask, each.camera)))
                for each in config.gpio
            ]
            self._desk.immediate = self._gpios = gpios
            lines = {}
            for camera in config.camera:
                viewer = _viewer(config, camera.name, stack)
                recorder = Recorder(camera.name, self._desk, viewer)
                judges = recipes.judges(stream_config(camera))
                line = CameraLine(camera, config.first_recipe(camera), judges, recorder)
                lines[camera.name] = stack.enter_context(line)
            self._by_name = lines
            self._lines.push(stack.pop_all())

    def _ask(self, camera: str) -> None:
        """Ask the camera of a wire for a frame, or all that take triggers by program."""
        self._trigger({"camera": camera})

    def _tell(self, taken: Inspection) -> None:
        """Tell the gateway what to show, before it is on the disk; called by `append`."""
        self._link.send({"inspection": taken.document()})

    def _tell_stored(self, stored: Sequence[Inspection]) -> None:
        """Tell the gateway what it can deliver; called by the journal's thread."""
        self._link.send({"stored": stored[-1].id})

    def _take(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("kept"), int):
            self._kept = message["kept"]
        if "command" not in message:
            return
        answer = {"id": message.get("id"), "error": ""}
        try:
            answer |= self._command(message) or {}
        except EdgesegError as error:
            answer["error"] = error.problem
            log.warning(f"command {str(message['command'])[:40]}: {error.problem}")
        self._answers.append(answer)
        self.tell()

    def _command(self, message: dict[str, Any]) -> dict[str, Any] | None:
        name, by = message["command"], str(message.get("by", "operator"))[:LONGEST]
        part = str(message.get("part", ""))[:LONGEST]
        if name == "recipe":
            for line in self._meant(message):
                line.switch(str(message.get("recipe", "")))
                log.info(f"camera {line.camera.name}: recipe {line.recipe}, by {by}")
        elif name == "trigger":
            return {"trigger": self._trigger(message, part).number}
        elif name == "part":
            for line in self._meant(message):
                line.name_part(part)
        elif name == "stop":
            self._stops[by] = str(message.get("reason") or f"stopped by {by}")[:LONGEST]
            self._tell_stops()
        elif name == "start":
            self._start(by)
        else:
            raise ConfigError(
                f"unknown command '{str(name)[:40]}'",
                remedy="recipe, trigger, part, stop or start",
                code="station/command",
            )
        return None

    def _trigger(self, message: dict[str, Any], part: str = "") -> TriggerId:
        """Ask the named camera for a frame, or all that take triggers; return the first trigger."""
        meant = self._meant(message)
        lines = [line for line in meant if line.takes_triggers]
        asked = [line.trigger(part) for line in lines or meant]
        return asked[0]

    def _start(self, by: str) -> None:
        self._stops.pop(by, None)
        self._tell_stops()

    def _tell_stops(self) -> None:
        stopped = "; ".join(self._stops.values())
        if stopped != self._desk.stopped:
            log.warning(f"the line is stopped: {stopped}" if stopped else "the line runs again")
        self._desk.stopped = stopped
        if self._stops != self._written:
            self._written = dict(self._stops)
            self._kept_stops.keep(self._written)

    def _meant(self, message: dict[str, Any]) -> Sequence[CameraLine]:
        """Return the cameras of a command."""
        name = message.get("camera")
        if not name:
            return self.lines
        line = self._by_name.get(str(name))
        if line is None:
            raise ConfigError(
                f"no camera '{str(name)[:48]}' (expected one of {', '.join(self._by_name)})",
                remedy="choose one of them",
                code="station/no-camera",
            )
        return (line,)


def _viewer(config: StationConfig, camera: str, stack: ExitStack) -> Preview | None:
    """Return what shows a camera's frames on the page; None without a page."""
    if not config.page.address:
        return None
    try:
        return stack.enter_context(Preview(config.folder, camera, config.page.fps))
    except OSError as error:
        log.warning(f"camera {camera}: no live picture on the page: {error}")
        return None


def _limit(config: StationConfig) -> int:
    """Return the bytes that the journal may have."""
    return round(config.station.journal_gb * 1e9)


def _status(line: CameraLine) -> dict[str, Any]:
    recorder, latency = line.recorder, line.recorder.latency
    return {
        "state": line.state,
        "mode": line.camera.mode,
        "trigger": line.camera.trigger,
        "problem": line.problem,
        "recipe": line.recipe,
        "verdicts": dict(recorder.verdicts),
        "codes": {str(code): count for code, count in recorder.codes.items()},
        "driver_drops": line.driver_drops,
        "latency": {"buckets": recorder.buckets, "seconds": round(recorder.seconds, 6)},
        "drift": recorder.drift(),
        "p50_ms": latency and round(latency.p50_ms, 3),
        "p99_ms": latency and round(latency.p99_ms, 3),
    }


def main(file: Path, link: Link, child: Child) -> None:
    """Inspect until the supervisor says that it is over."""
    share_cores()  # with the other cameras, and with the outputs
    with Inspector(read_station(file), link) as inspector, Watchdog(tells_end=False) as watchdog:
        inspector.tell()
        child.ready()
        beats = 0
        while not child.over:
            inspector.step(0.05)
            beats += 1
            watchdog.progress(beats)
            if child.reload:
                _reload(inspector, file, child)
            if child.switch:
                child.switched(_switched(inspector))


def _reload(inspector: Inspector, file: Path, child: Child) -> None:
    try:
        inspector.reload(read_again(file, inspector.config))
        log.info("the station's file was read again")
        child.reread()
    except EdgesegError as error:
        log.error(f"the station's file was not taken: {error}")


def _switched(inspector: Inspector) -> bool:
    """Open the models again: one that follows a tag may be another one; whether it could be."""
    try:
        inspector.reload(inspector.config)
    except EdgesegError as error:
        log.error(f"a new model was not taken: {error}")
        return False
    return True


if __name__ == "__main__":
    leave(run_child(main, sys.argv[1:]))
