"""A camera whose driver fills the slots themselves: V4L2 with USERPTR, Aravis."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera, Connection


class LendingConnection(Connection, Protocol):
    """A connection that fills slots which are lent to it."""

    lent: Sequence[Frame]
    """Frames whose slots the driver keeps."""
    stopping: threading.Event
    """Ends the wait for a frame."""

    @property
    def lends(self) -> bool:
        """Whether the driver writes into the slots; it may refuse that at its start."""
        ...

    def release(self) -> None:
        """Take the slots back from the driver."""
        ...


class LendingCamera(Camera):
    """Keeps `keeps` frames, whose slots its driver fills while others are computed."""

    _connection: LendingConnection

    def __init__(
        self, name: str, connect: Callable[[], LendingConnection], *, attempts: int, keeps: int
    ) -> None:
        """keeps: frames that the driver needs, if it writes into their slots."""
        super().__init__(name, connect, attempts=attempts)
        self._lent: Sequence[Frame] = ()
        self.keeps = keeps if self._connection.lends else 0

    def lend(self, frames: Sequence[Frame]) -> None:
        self._lent = frames

    def release(self) -> None:
        with self._reading:
            self._connection.release()

    def _read(self, frame: Frame) -> bool:
        connection = self._connection
        connection.lent, connection.stopping = self._lent, self.stopping
        lends = connection.lends
        try:
            return super()._read(frame)
        finally:
            if connection.lends != lends:  # no slots were lent, or the driver has refused them
                self.path = connection.path
