"""Starts the processes of a station, and starts again what ends.

    edgeseg station FILE
      +-- inspector    cameras, models, journal
      +-- gateway      outputs and page
      +-- follower     newer models of a registry, where a recipe follows a tag

SIGHUP reads the station's file again: the inspector first, then the others if the inspector uses
the file. SIGTERM and Ctrl-C end the station: the inspector finishes its frames, then the gateway
ends; what its outputs did not take is taken after the next start. An inspector or a gateway that
ends with an error before it was ever ready ends the station with it; else each is started again. A
line that was stopped stays so unless the station has ended by a signal.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.interrupt import stop_requests
from edgeseg.log import log
from edgeseg.station.child import READY, REFUSED, REREAD, SWITCH, SWITCHED
from edgeseg.station.config import read_station
from edgeseg.station.link import Link, pair
from edgeseg.station.secrets import check_secrets, secret_files
from edgeseg.station.stops import KeptStops

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a process is started again
STEADY = 30.0  # seconds after which a process counts as well
END_SECONDS = {"inspector": 20.0, "gateway": 4.0, "follower": 4.0}
# Neither the gateway's start nor a page that is hammered takes a camera's core, nor does a build.
NICE = {"gateway": "5", "follower": "19"}
MODULES = {"follower": "edgeseg.fleet.follower"}
POLL = 0.1


@dataclass(frozen=True)
class StationReport:
    """How a station ended."""

    seconds: float
    restarts: dict[str, int]

    def summary(self) -> str:
        """Return one line."""
        again = ", ".join(f"{name} {count}" for name, count in self.restarts.items() if count)
        return f"station ended after {self.seconds:.0f} s; restarts: {again or 'none'}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return {"seconds": self.seconds, "restarts": self.restarts}


class _Process:
    """One of them, started again and again."""

    def __init__(self, name: str, file: Path, link: socket.socket) -> None:
        self.name, self._file, self._link = name, file, link
        nice = shutil.which("nice") if name in NICE else None
        self._nice = [nice, "-n", NICE[name]] if nice else []
        self.restarts = 0
        self.ready = False
        """Whether it has ever begun its work."""
        self.works = False
        """Whether it has begun its work since it was started last: it obeys signals."""
        self.reread = False
        """Whether it has read its file again; the caller clears it."""
        self.switched: bool | None = None
        """Whether it has taken other models; the caller clears it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._life: socket.socket | None = None
        self._pause, self._due, self._began = FIRST_PAUSE, 0.0, 0.0

    def start(self) -> None:
        """Start it."""
        ours, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if k != "WATCHDOG_PID"}
        with theirs:
            module = MODULES.get(self.name, f"edgeseg.station.{self.name}")
            command = [*self._nice, sys.executable, "-m", module]
            command += [str(self._file)]
            self._process = subprocess.Popen(
                [*command, str(self._link.fileno()), str(theirs.fileno())],
                pass_fds=(self._link.fileno(), theirs.fileno()),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
                env=environment,
            )
        self._life, self._began = ours, time.monotonic()

    def tend(self) -> int | None:
        """Start it again if it has ended; return the exit code of one that never was ready."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._due:
                self.start()
            return None
        self._listen()
        code = self._process.poll()
        if code is None:
            return None
        self._forget()
        if not self.ready and code > 0 and self.name != "follower":
            return code
        if code == 0:  # it reads its file again
            self.start()
            return None
        self.restarts += 1
        steady = now - self._began > STEADY
        self._pause = FIRST_PAUSE if steady else min(2 * self._pause, LONGEST_PAUSE)
        self._due = now + self._pause
        log.warning(f"the {self.name} ended ({_how(code)}); it is started again")
        return None

    def signal(self, number: int) -> None:
        """Send a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def say(self, word: bytes) -> None:
        """Tell it something, by the socket whose end is also its own."""
        with suppress(OSError):
            if self._life is not None:
                self._life.send(word)

    def stop(self) -> None:
        """End it; one that does not end in time is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS[self.name])
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _listen(self) -> None:
        if self._life is None or not select.select([self._life], [], [], 0)[0]:
            return
        with suppress(OSError):
            said = self._life.recv(64)
            self.works |= READY in said
            self.ready |= self.works
            self.reread |= REREAD in said
            if SWITCHED in said or REFUSED in said:
                self.switched = SWITCHED in said

    def _forget(self) -> None:
        if self._life is not None:
            self._life.close()
        self._process = self._life = None
        self.works = False


def run_station(file: Path) -> StationReport:
    """Run a station until a signal ends it.

    EdgesegError: its file, a model or the journal cannot be used; it has printed why.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(signal, "SIGHUP"):
        raise ConfigError(
            "a station needs Linux (found another system)",
            remedy="edgeseg stream, which runs on every system",
            code="station/needs-linux",
        )
    config = read_station(file)
    try:
        check_secrets(secret_files(config))
    except ConfigError as error:
        log.warning(f"{error.problem} ({error.code}): {error.remedy}")
    follows = config.follows
    began = time.monotonic()
    with ExitStack() as stack:
        ends = [stack.enter_context(end) for end in (*pair(), *pair())]
        to_follower = stack.enter_context(Link(ends.pop()))
        processes = [_Process(n, file, end) for n, end in zip(END_SECONDS, ends, strict=True)]
        for process in reversed(processes):  # the inspector ends first
            stack.callback(process.stop)
        stop = stack.enter_context(stop_requests())
        inspector, gateway, follower = processes
        hup = _Hangup()
        while not stop.requested:
            started = processes if follows else processes[:2]
            for process in started if inspector.ready else processes[:1]:  # it makes the journal
                code = process.tend()
                if code is not None:
                    raise _Ended(process.name, code)
            if inspector.works and hup.taken():
                inspector.signal(signal.SIGHUP)
            if inspector.reread:
                inspector.reread = False
                gateway.signal(signal.SIGHUP)
                with suppress(ConfigError):  # it was changed once more
                    follows = read_station(file).follows
                follower.signal(signal.SIGHUP)
            if to_follower.receive(0):
                inspector.say(SWITCH)
            if inspector.switched is not None:
                to_follower.send({"switched": inspector.switched})
                inspector.switched = None
            time.sleep(POLL)
    KeptStops(config.folder).forget()
    restarts = {process.name: process.restarts for process in processes}
    return StationReport(round(time.monotonic() - began, 1), restarts)


class _Hangup:
    """SIGHUP, which asks to read the file again."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_asked", True))

    def taken(self) -> bool:
        """Whether it came since the last call."""
        asked, self._asked = self._asked, False
        return asked


class _Ended(EdgesegError):
    """A process of the station that could not begin; it has said why."""

    default_code = "station/not-started"

    def __init__(self, name: str, code: int) -> None:
        super().__init__(
            f"the {name} could not begin ({_how(code)}); see its error above.",
            remedy="mend what it names: edgeseg station check",
        )


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
