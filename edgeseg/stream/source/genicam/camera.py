"""An industrial camera as a source: opens its connections, and lends Aravis slots."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera, CameraOptions
from edgeseg.stream.source.genicam.address import SCHEME, parse_address
from edgeseg.stream.source.genicam.connection import LENT, GenicamConnection
from edgeseg.stream.source.genicam.device import load_aravis


class GenicamCamera(Camera):
    """Keeps `keeps` frames, whose slots Aravis fills while others are computed."""

    def __init__(
        self, name: str, connect: Callable[[], GenicamConnection], *, attempts: int
    ) -> None:
        super().__init__(name, connect, attempts=attempts)
        self._lent: Sequence[Frame] = ()
        self.keeps = LENT if self._device.lends else 0
        self.sends = self._device.sent.form.kind

    @property
    def _device(self) -> GenicamConnection:
        return cast(GenicamConnection, self._connection)

    def lend(self, frames: Sequence[Frame]) -> None:
        self._lent = frames

    def trigger(self) -> None:
        self._device.trigger()

    def release(self) -> None:
        with self._reading:
            self._device.release()

    def _read(self, frame: Frame) -> bool:
        connection = self._device
        connection.lent, connection.stopping = self._lent, self.stopping
        try:
            return super()._read(frame)
        finally:
            self.path = connection.path  # no slots may have been lent


def open_genicam(rest: str, options: CameraOptions) -> Camera:
    """Open the camera of an address; rest: what follows `genicam://`."""
    address = parse_address(rest)
    connect = partial(
        GenicamConnection,
        load_aravis(),
        address,
        options.requested,
        options.frame_format,
        options.size,
    )
    return GenicamCamera(f"{SCHEME}://{address.name}", connect, attempts=options.attempts)
