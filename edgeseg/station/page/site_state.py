"""What all requests of the page share: the newest state, the pictures, the labels, the commands."""

import json
import threading
import time
from typing import Any

from edgeseg.closing import Closing
from edgeseg.station.outputs.base import OutputContext, StationState
from edgeseg.station.page.document import state_document
from edgeseg.station.page.labels import PartLabels
from edgeseg.station.page.live import LivePictures


class SiteState(Closing):
    """Shared by the threads of the page; the output calls `show`."""

    def __init__(self, context: OutputContext, labels: PartLabels, live: LivePictures) -> None:
        self.context, self.folder = context, context.folder
        self.labels, self.live = labels, live
        self._state = StationState()
        self._version = 0
        self._written: tuple[int, bytes] = (-1, b"")
        self._changed = threading.Condition()
        self.closed = False

    def show(self, state: StationState) -> None:
        """Take a state; it is written when somebody asks for it."""
        with self._changed:
            self._state = state
            self._version += 1
            self._changed.notify_all()

    def document(self) -> bytes:
        """Return the newest state as JSON; written once for all who ask."""
        with self._changed:
            if self._written[0] != self._version:
                document = state_document(self._state, self.context)
                self._written = (self._version, json.dumps(document).encode())
            return self._written[1]

    def wait(self, timeout: float) -> None:
        """Wait for another state."""
        with self._changed:
            version = self._version
            self._changed.wait_for(lambda: self.closed or self._version != version, timeout)

    def ask(self, message: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        """Send a command, and return its answer; None if there is none in time."""
        self.context.command(message)
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0 and not self.closed:
            for answer in self._state.status.get("answers", ()):
                if answer.get("id") == message["id"]:
                    return dict(answer)
            self.wait(min(left, 0.1))
        return None

    def close(self) -> None:
        """Wake up who waits."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
