"""The link between two processes of a station: datagrams of JSON that nobody waits for.

    inspector -> gateway    {"inspection": {...}}   a verdict, to be shown at once
                            {"stored": 123}         the last record that is in the journal
                            {"status": {...}}       twice a second, also the heartbeat
    gateway -> inspector    {"command": ...}        what a person, a PLC or a program asks for
                            {"kept": 123}           the last record that every output has
    follower -> supervisor  {"switch": true}        asks the inspector to open the models again
    supervisor -> follower  {"switched": true}      whether it has opened them

A message that finds no room is lost: verdicts are in the journal, and the rest is sent again. The
supervisor makes the pair and keeps it, so either process may die and come back.
"""

import json
import select
import socket
from typing import Any

from edgeseg.closing import Closing

MOST = 1 << 16
"""Bytes of a message."""


class Link(Closing):
    """One end of the pair."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    @classmethod
    def of(cls, number: int) -> "Link":
        """Open an inherited file descriptor."""
        return cls(socket.socket(fileno=number))

    def send(self, message: dict[str, Any]) -> bool:
        """Send a message if there is room for it; never waits."""
        data = json.dumps(message, separators=(",", ":")).encode()
        try:
            if len(data) <= MOST:
                self._end.send(data)
                return True
        except OSError:  # no room, or the other end is gone
            pass
        return False

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """Return the next message; None after `timeout` seconds."""
        ready, _, _ = select.select([self._end], [], [], timeout)
        if not ready:
            return None
        try:
            found = json.loads(self._end.recv(MOST))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the ends of a new link."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.set_inheritable(True)
    return ends
