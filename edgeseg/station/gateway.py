"""The process of the outputs: it reads the journal, and can neither slow nor end the inspection.

    python -m edgeseg.station.gateway STATION_FILE LINK LIFE    started by the supervisor

Killed, it begins again where each output was. While it hears nothing of the inspector, every lamp
is NOT OK with the code STALE, and while the line is stopped, with LINE_STOPPED. A record that found
no room in the link is read from the journal.
"""

import sqlite3
import sys
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeseg.closing import Closing, leave
from edgeseg.errors import WriteError
from edgeseg.log import log
from edgeseg.schema import build
from edgeseg.station.child import Child, run_child, weigh_session
from edgeseg.station.config import OutputConfig, StationConfig, read_again, read_station
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import Cursors
from edgeseg.station.inspection import LINE_STOPPED, Code, Inspection
from edgeseg.station.journal import FILE, JournalReader
from edgeseg.station.link import Link
from edgeseg.station.outputs.base import (
    Deliverer,
    Indicator,
    Lamp,
    Output,
    OutputContext,
    StationState,
)
from edgeseg.station.outputs.kinds import open_output
from edgeseg.station.workers import Delivery, Indication, Worker

SILENCE = 2.0  # seconds without a message, after which the inspector is taken for dead
SILENT = "the station does not answer"
HOUSEKEEPING = 0.5  # seconds
SWITCH = 1e-4  # seconds that a thread of Python may hold up the others; 5e-3 is usual
RECENT = 256  # inspections that an indicator may be behind


class Gateway(Closing):
    """The outputs of a station, and what they are told."""

    def __init__(self, config: StationConfig, link: Link) -> None:
        self._config, self._link = config, link
        self._heard = 0.0
        self._lamps = {camera.name: Lamp() for camera in config.camera}
        self._state = StationState(lamps=dict(self._lamps))
        # Of a gateway that was killed; the inspector has them until the output works.
        self._stops = {f"output {each.name}" for each in config.outputs if each.require}
        self._tended = 0.0
        self._recent: deque[Inspection] = deque(maxlen=RECENT)
        with ExitStack() as stack:
            journal = config.folder / FILE
            with JournalReader(journal) as reader:
                self._last = reader.last
            cursors = Cursors(config.folder / CURSORS, last=self._last)
            self._cursors = stack.enter_context(cursors)
            context = OutputContext.of(config, command=self._command, state=lambda: self._state)
            self._workers = [self._worker(each, context) for each in config.outputs]
            self._stack = stack.pop_all()
        for worker in self._workers:
            worker.start()

    @property
    def state(self) -> StationState:
        """The newest state, for indicators."""
        return self._state

    def step(self, timeout: float) -> None:
        """Take the messages that are there, or wait for one."""
        message = self._link.receive(timeout)
        now = time.monotonic()
        changed = False
        while message is not None:
            self._heard = now
            changed |= self._take(message)
            message = self._link.receive(0)
        alive = now - self._heard < SILENCE and self._heard > 0
        if alive != self._state.alive or changed:
            self._show(alive)
        if now - self._tended >= HOUSEKEEPING:
            self._tended = now
            self._tend()

    def close(self) -> None:
        """Stop the outputs; what they did not take is taken after the next start."""
        for worker in self._workers:
            worker.stop(0)
        for worker in self._workers:
            worker.stop(1.0)
        self._stack.close()

    def _worker(self, config: OutputConfig, context: OutputContext) -> Worker:
        output: Output = open_output(config, context)
        if isinstance(output, Deliverer):
            return Delivery(config, output, self._config.folder / FILE, self._cursors)
        assert isinstance(output, Indicator)
        return Indication(config, output, lambda: self._state)

    def _command(self, message: dict[str, Any]) -> None:
        if not self._link.send(message):
            log.warning(f"the inspector does not take the command {message.get('command')}")

    def _take(self, message: dict[str, Any]) -> bool:
        """Take a message; whether the lamps have changed."""
        if "stored" in message:
            for worker in self._workers:
                worker.wake()
        if "inspection" in message:
            try:
                found = build(Inspection, message["inspection"])
            except ValueError:
                return False
            for each in (*self._missed(found), found):
                self._take_in(each)
            return True
        if isinstance(message.get("status"), dict):
            before, status = self._state.status, message["status"]
            self._state = replace(self._state, status=status, beat=self._state.beat + 1)
            changed = [n for n in ("boot", "stopped", "answers") if before.get(n) != status.get(n)]
            if "boot" in changed:
                self._begin(status.get("boot"))
                for by, reason in before.get("stops", {}).items():  # one that was killed forgot it
                    self._link.send({"command": "stop", "by": by, "reason": reason})
            return self._catch_up(status) or bool(changed)
        return False

    def _catch_up(self, status: dict[str, Any]) -> bool:
        """Show the records that did not come by the link, and that no later one told of."""
        last = status.get("journal", {}).get("last", 0)
        if not self._recent or last <= self._recent[-1].id:
            return False
        found = self._between(self._recent[-1].id, last)
        for each in found:
            self._take_in(each)
        return bool(found)

    def _take_in(self, found: Inspection) -> None:
        self._lamps[found.camera] = Lamp(found.ok, found.code, found.reason, found)
        self._recent.append(found)
        self._last = max(self._last, found.id)

    def _begin(self, boot: Any) -> None:
        """Take every verdict of an inspector that has ended from the lamps."""
        for name, lamp in self._lamps.items():
            if lamp.inspection is not None and lamp.inspection.boot != boot:
                self._lamps[name] = Lamp(inspection=lamp.inspection)

    def _missed(self, found: Inspection) -> list[Inspection]:
        """Return the records before this one that did not come by the link."""
        last = self._recent[-1].id if self._recent else found.id
        if found.id <= last:  # of a new journal
            self._recent.clear()
        return self._between(last, found.id - 1)

    def _between(self, last: int, newest: int) -> list[Inspection]:
        """Return the records after `last` up to `newest`, at most as many as a state has."""
        start = max(last, newest + 1 - RECENT)
        if newest <= start:
            return []
        try:
            with JournalReader(self._config.folder / FILE) as reader:
                return reader.after(start, newest - start)
        except (WriteError, ValueError, sqlite3.Error) as error:
            log.warning(f"the records after {last} cannot be read: {error}")
            return []

    def _show(self, alive: bool) -> None:
        lamps, stopped = dict(self._lamps), str(self._state.status.get("stopped") or "")
        if stopped or not alive:
            code = Code.LINE_STOPPED if alive else Code.STALE
            reason = f"{LINE_STOPPED}: {stopped}" if alive else SILENT
            lamps = {
                name: Lamp(code=code, reason=reason, inspection=lamp.inspection)
                for name, lamp in lamps.items()
            }
        self._state = replace(
            self._state, lamps=lamps, alive=alive, recent=tuple(self._recent), last=self._last
        )
        for worker in self._workers:
            worker.wake()

    def _tend(self) -> None:
        """Tell the inspector what every output has, and whether a required one is dead."""
        outputs = {worker.config.name: worker.status() for worker in self._workers}
        self._state = replace(self._state, outputs=outputs)
        cursors = [each.cursor for each in self._workers if isinstance(each, Delivery)]
        self._link.send({"kept": min(cursors, default=self._last)})
        for worker in self._workers:
            name, config = f"output {worker.config.name}", worker.config
            dead = config.require and worker.bad_for > config.require_s
            if dead:
                problem = worker.problem or "does not answer"
                reason = f"{name}: {problem}"
                self._link.send({"command": "stop", "by": name, "reason": reason})
                self._stops.add(name)
            elif name in self._stops and worker.works:
                self._link.send({"command": "start", "by": name})
                self._stops.discard(name)


def main(file: Path, link: Link, child: Child) -> None:
    """Serve until the supervisor says that it is over."""
    config = read_station(file)
    sys.setswitchinterval(SWITCH)
    weigh_session()
    with Gateway(config, link) as gateway:
        child.ready()
        while not child.over:
            gateway.step(0.1)
            if child.reload and _is_usable(file, config):
                return  # the supervisor starts it again


def _is_usable(file: Path, before: StationConfig) -> bool:
    """Whether the outputs of the station's file can be made."""
    try:
        config = read_again(file, before)
        context = OutputContext.of(config, command=lambda message: None)
        for each in config.outputs:
            with open_output(each, context):
                pass
    except Exception as error:  # of a plugin or a library, too
        log.error(f"the outputs stay as they were, the station's file has an error: {error}")
        return False
    return True


if __name__ == "__main__":
    leave(run_child(main, sys.argv[1:]))
