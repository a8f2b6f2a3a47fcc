"""What the processes of a station have in common: how they begin, and when they end.

A child ends when the supervisor asks for it (SIGTERM), and when the supervisor is gone: then the
other end of its `life` socket is closed.
"""

import logging
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edgeseg.console import prepare
from edgeseg.errors import EdgesegError
from edgeseg.log import install_handler, log
from edgeseg.station.link import Link

READY, REREAD, SWITCHED, REFUSED = b"r", b"R", b"s", b"x"
SWITCH = b"S"  # of the supervisor


class Child:
    """The side of a child."""

    def __init__(self, life: socket.socket) -> None:
        self._life = life
        self._stopped = False
        self._reload = self._switch = False
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopped", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor ends it
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "_reload", True))

    def ready(self) -> None:
        """Tell the supervisor that the work has begun."""
        with suppress(OSError):
            self._life.send(READY)

    def reread(self) -> None:
        """Tell the supervisor that the station's file was read again, and is used."""
        with suppress(OSError):
            self._life.send(REREAD)

    def switched(self, taken: bool) -> None:
        """Tell the supervisor whether the models were opened again."""
        with suppress(OSError):
            self._life.send(SWITCHED if taken else REFUSED)

    @property
    def over(self) -> bool:
        """Whether it is time to end."""
        if not self._stopped:
            ready, _, _ = select.select([self._life], [], [], 0)
            said = self._life.recv(1) if ready else None
            self._stopped, self._switch = said == b"", self._switch or said == SWITCH
        return self._stopped

    @property
    def reload_asked(self) -> bool:
        """Whether the station's file is to be read again; stays so."""
        return self._reload

    @property
    def reload(self) -> bool:
        """Whether the station's file is to be read again; once."""
        asked, self._reload = self._reload, False
        return asked

    @property
    def switch(self) -> bool:
        """Whether the models of recipes that follow a tag are to be opened again; once."""
        asked, self._switch = self._switch, False
        return asked


def weigh_session() -> None:
    """Let the nice value of this process count against other sessions too.

    With `kernel.sched_autogroup_enabled` it counts within a session alone (man 7 sched).
    """
    with suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")


def run_child(main: Callable[[Path, Link, Child], None], argv: Sequence[str]) -> int:
    """Run a process of a station; return its exit code."""
    prepare()
    install_handler(logging.INFO)
    file, link, life = argv
    with Link.of(int(link)) as opened, socket.socket(fileno=int(life)) as end:
        try:
            main(Path(file), opened, Child(end))
        except EdgesegError as error:
            log.error(f"error: {error}")
            return error.exit_code
        except Exception:
            traceback.print_exc()
            return 1
    return 0
