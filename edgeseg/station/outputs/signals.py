"""What a PLC sees of one camera, and the handshake of a trigger; OPC UA and Modbus show the same.

    PLC       part number, trigger                 ready must be set
    station   busy; done falls, result is none
    station   result, then done; busy falls        judged, or late: every trigger is answered
    PLC       takes the result, and releases the trigger; done falls

Nothing here waits or locks: all calls come from one event loop.
"""

import itertools
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.log import log
from edgeseg.station.inspection import Code, Inspection
from edgeseg.station.outputs.base import Lamp, SendCommand, StationState

STALE = 2.0  # seconds without a state, after which the gateway is taken for dead
SILENT = "the station does not answer"
NO_RESULT = 65535
"""In place of a code while a trigger has no answer."""


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What a PLC sees of one camera."""

    ok: bool
    """Only for a good part that was judged by a station that answers and is not stopped."""
    code: int
    reason: str
    inspection: Inspection | None
    """The newest, also while the code is about the station."""
    count: int
    """Of this camera's inspections since the gateway began; a gap: some were missed."""
    waiting: int
    """Inspections since the one that was acknowledged."""
    active_recipe: str
    alive: bool
    heartbeat: int
    """Counts up about twice a second while the station answers."""
    ready: bool
    """The next trigger is taken."""
    busy: bool
    done: bool
    result: int
    """The code of the answer to the last trigger, or NO_RESULT."""


@dataclass
class _OpenTrigger:
    """One that has no answer yet."""

    id: str
    after: int
    """The newest inspection when it came."""
    until: float
    number: int | None = None
    """The camera's number for it."""


class CameraSignals:
    """Follows the state of a station for one camera."""

    def __init__(
        self,
        camera: str,
        by: str,
        command: SendCommand,
        *,
        answer_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """by: who gives the commands; answer_s: seconds until a trigger is answered with LATE."""
        self.camera, self._by, self._command = camera, by, command
        self._answer_s, self._now = answer_s, now
        self._numbers = itertools.count(1)
        self._token = secrets.token_hex(4)
        self._state = StationState()
        self._followed = -math.inf
        self._seen: tuple[str, int] | None = None
        """Boot and id of the newest inspection of any camera."""
        self._count = self._acknowledged = 0
        self._heartbeat = 0
        self._trigger: _OpenTrigger | None = None
        self._done, self._result = False, NO_RESULT

    def follow(self, state: StationState) -> list[Signals]:
        """Take the newest state; return one of each inspection of this camera since the last."""
        self._heartbeat += state.beat != self._state.beat
        self._state, self._followed = state, self._now()
        shown = []
        for each in self._fresh():
            self._count += 1
            shown.append(self._signals(Lamp(each.ok, each.code, each.reason, each)))
        self.settle()
        return shown

    def catch_up(self, state: StationState) -> None:
        """Take a state that has records which the last one had not."""
        if state.last > self._state.last:
            self.follow(state)

    def newest(self) -> Signals:
        """Return what is true now; nothing is OK if the last state is old."""
        lamp = self._state.lamps.get(self.camera, Lamp())
        if self._silent and self._seen is not None:
            lamp = Lamp(code=Code.STALE, reason=SILENT, inspection=lamp.inspection)
        return self._signals(lamp)

    def stopped(self) -> Signals:
        """Return what is shown at the end."""
        lamp = self._state.lamps.get(self.camera, Lamp())
        self._state = StationState(status={"stopped": "the station ends"})
        reason = "line stopped: the station ends"
        return self._signals(Lamp(False, Code.LINE_STOPPED, reason, lamp.inspection))

    def trigger(self, part: str = "") -> bool:
        """Ask for a frame; False while another trigger has no answer."""
        if self._trigger is not None:
            return False
        after = self._state.recent[-1].id if self._state.recent else 0
        name = f"{self._by}-{self.camera}-{self._token}-{next(self._numbers)}"
        self._trigger = _OpenTrigger(name, after, self._now() + self._answer_s)
        self._done, self._result = False, NO_RESULT
        self._send("trigger", part=part, id=name)
        self.settle()
        return True

    def release(self) -> None:
        """The PLC has taken the result."""
        self._done = False

    def acknowledge(self, count: int) -> bool:
        """The PLC has taken the inspections up to this count; False for one that was not there."""
        if not self._acknowledged <= count <= self._count:
            return False
        self._acknowledged = count
        return True

    def choose_recipe(self, name: str) -> None:
        """Judge by another recipe."""
        self._send("recipe", recipe=name)

    def name_part(self, part: str) -> None:
        """Say which part a wire triggers next."""
        self._send("part", part=part)

    def stop(self, reason: str) -> None:
        """Stop the line: no part is OK."""
        self._command({"command": "stop", "by": self._by, "reason": reason})

    def start(self) -> None:
        """Start it again, if it was stopped by this way."""
        self._command({"command": "start", "by": self._by})

    def settle(self) -> None:
        """Answer the trigger, if its frame is judged, nobody takes it, or it is too late."""
        asked = self._trigger
        if asked is None:
            return
        for answer in self._state.status.get("answers", ()):
            if answer.get("id") == asked.id:
                asked.number = answer.get("trigger")
                if answer.get("error"):
                    log.warning(f"trigger by {self._by}: {answer['error']}")
                    return self._answer(Code.LATE)
        for each in reversed(self._state.recent):
            if each.id <= asked.after or asked.number is None:
                break
            if each.camera == self.camera and each.trigger == asked.number:
                return self._answer(each.code)
        if self._silent:
            self._answer(Code.STALE)
        elif self._now() > asked.until:
            self._answer(Code.LATE)

    def _answer(self, code: int) -> None:
        self._trigger, self._done, self._result = None, True, int(code)

    @property
    def _silent(self) -> bool:
        return not self._state.alive or self._now() - self._followed > STALE

    def _fresh(self) -> list[Inspection]:
        """Return the inspections of this camera since the last state; none of the first state."""
        recent, seen = self._state.recent, self._seen
        if not recent:
            self._seen = seen or ("", 0)
            return []
        self._seen = recent[-1].boot, recent[-1].id
        if seen is None:
            return []
        boot, last = seen
        if self._seen[1] < last or (self._seen[1] == last and self._seen[0] != boot):
            last = 0  # ids begin again after a crash, or with a new journal
        return [each for each in recent if each.id > last and each.camera == self.camera]

    def _signals(self, lamp: Lamp) -> Signals:
        status, busy = self._state.status, self._trigger is not None
        camera = status.get("cameras", {}).get(self.camera, {})
        runs = camera.get("state") in ("starting", "running") and not status.get("stopped")
        return Signals(
            ok=lamp.ok and lamp.code == Code.OK,
            code=int(lamp.code),
            reason=lamp.reason,
            inspection=lamp.inspection,
            count=self._count,
            waiting=self._count - self._acknowledged,
            active_recipe=str(camera.get("recipe", "")),
            alive=not self._silent,
            heartbeat=self._heartbeat,
            ready=runs and not busy and not self._silent,
            busy=busy,
            done=self._done,
            result=self._result,
        )

    def _send(self, command: str, **rest: str) -> None:
        self._command({"command": command, "camera": self.camera, "by": self._by, **rest})
