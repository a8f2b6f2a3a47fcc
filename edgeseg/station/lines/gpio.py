"""Digital lines to a PLC or a valve, set in the inference thread before anything else happens.

    ok, not_ok    a pulse after each part: exactly one of the two
    ready         changes its level twice a second while the station runs; it stands still when it
                  does not
    trigger       an input, whose rising edge asks for a frame

Without a pulse a part is not OK: a PLC waits for `ok` and gives up after its own time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edgeseg.closing import Closing
from edgeseg.errors import EdgesegError, SinkError
from edgeseg.log import log
from edgeseg.packages.extras import require
from edgeseg.station.config import GpioConfig
from edgeseg.station.inspection import Inspection

BEAT = 0.5  # seconds for which `ready` keeps a level
PATIENCE = 2.0  # seconds without `beat` after which `ready` stands still
POLL = 0.2
DEBOUNCE = timedelta(milliseconds=1)


@dataclass
class _Pulse:
    """An output that is active until its time."""

    line: int
    until: float = 0.0


class Gpio(Closing):
    """The lines of one camera: an `Immediate`."""

    def __init__(self, config: GpioConfig, trigger: Callable[[], object]) -> None:
        """trigger: asks for a frame.

        SinkError (`station/gpio`): no such chip or line, no permission, or another owner.
        """
        self._config, self._trigger = config, trigger
        self._library = require("gpiod", extra="gpio")
        self._values = self._library.line.Value
        self._pulses = {
            name: _Pulse(number)
            for name, number in (("ok", config.ok), ("not_ok", config.not_ok))
            if number is not None
        }
        self._changed = threading.Condition()
        self._beaten = 0.0
        self._over = False
        self._lines = self._requested()
        self._threads = [threading.Thread(target=self._serve, name="gpio", daemon=True)]
        if config.trigger is not None:
            self._threads.append(threading.Thread(target=self._listen, name="trigger", daemon=True))
        for thread in self._threads:
            thread.start()

    def show(self, inspection: Inspection) -> None:
        """Begin the pulse of a verdict; one of a verdict that is late is `not_ok`."""
        config = self._config
        if config.camera not in ("", inspection.camera):
            return
        limit = config.deadline_ms
        since = (time.time() - inspection.arrived) * 1e3
        age = max(since, inspection.ms or 0.0)  # a clock that was set back makes `since` small
        late = limit is not None and age > limit
        passed = inspection.ok and not late
        with self._changed:
            self._set("ok" if passed else "not_ok", config.pulse_ms / 1e3)
            self._set("not_ok" if passed else "ok", 0.0)
            self._changed.notify_all()

    def beat(self) -> None:
        """The station works; called at least once a second."""
        self._beaten = time.monotonic()

    def close(self) -> None:
        """Leave all lines inactive."""
        with self._changed:
            self._over = True
            for name in self._pulses:
                self._set(name, 0.0)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._config.ready is not None:
            self._write(self._config.ready, active=False)
        self._lines.release()

    def _requested(self) -> Any:
        config, line = self._config, self._library.line
        settings = self._library.LineSettings
        output = settings(direction=line.Direction.OUTPUT, active_low=config.active_low)
        wanted = {each.line: output for each in self._pulses.values()}
        if config.ready is not None:
            wanted[config.ready] = output
        if config.trigger is not None:
            wanted[config.trigger] = settings(
                direction=line.Direction.INPUT,
                edge_detection=line.Edge.RISING,
                active_low=config.active_low,
                debounce_period=DEBOUNCE,
            )
        try:
            return self._library.request_lines(config.chip, config=wanted, consumer="edgeseg")
        except (OSError, ValueError) as error:
            raise SinkError(
                f"lines {sorted(wanted)} of {config.chip} cannot be used: {error}.",
                remedy="gpioinfo lists the lines and who uses them; the user needs the group gpio",
                code="station/gpio",
            ) from error

    def _set(self, name: str, seconds: float) -> None:
        pulse = self._pulses.get(name)
        if pulse is not None:
            self._write(pulse.line, active=seconds > 0)
            pulse.until = time.monotonic() + seconds if seconds else 0.0

    def _write(self, line: int, *, active: bool) -> None:
        try:
            self._lines.set_value(line, self._values.ACTIVE if active else self._values.INACTIVE)
        except OSError as error:
            log.warning(f"line {line} of {self._config.chip} is not set: {error}")

    def _serve(self) -> None:
        """End the pulses, and change the level of `ready`."""
        level, due = False, time.monotonic()
        while True:
            with self._changed:
                if self._over:
                    return
                now = time.monotonic()
                for name, pulse in self._pulses.items():
                    if pulse.until and now >= pulse.until:
                        self._set(name, 0.0)
                ends = [pulse.until for pulse in self._pulses.values() if pulse.until]
                if now >= due:
                    due = now + BEAT
                    if self._config.ready is not None and now - self._beaten < PATIENCE:
                        level = not level
                        self._write(self._config.ready, active=level)
                self._changed.wait(max(min([*ends, due, now + POLL]) - now, 0.0))

    def _listen(self) -> None:
        """Ask for a frame at each rising edge."""
        while not self._over:
            try:
                if not self._lines.wait_edge_events(POLL):
                    continue
                edges = self._lines.read_edge_events()
            except OSError as error:
                log.warning(f"triggers of {self._config.chip} are not read: {error}")
                time.sleep(POLL)
                continue
            for _ in edges:
                try:
                    self._trigger()
                except EdgesegError as error:
                    log.warning(f"a trigger of {self._config.chip}: {error.problem}")
