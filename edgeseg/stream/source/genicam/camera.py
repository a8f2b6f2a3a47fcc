"""An industrial camera as a source: opens its connections, and lends Aravis slots."""

from collections.abc import Callable
from functools import partial

from edgeseg.stream.source.camera import CameraOptions
from edgeseg.stream.source.genicam.address import SCHEME, parse_address
from edgeseg.stream.source.genicam.connection import LENT, GenicamConnection
from edgeseg.stream.source.genicam.device import load_aravis
from edgeseg.stream.source.lending import LendingCamera


class GenicamCamera(LendingCamera):
    """Aravis puts its frames together in the slots, where they have the graph's format and size."""

    _connection: GenicamConnection

    def __init__(
        self, name: str, connect: Callable[[], GenicamConnection], *, attempts: int
    ) -> None:
        super().__init__(name, connect, attempts=attempts, keeps=LENT)
        self.sends = self._connection.sent.form.kind

    def trigger(self) -> None:
        self._connection.trigger()


def open_genicam(rest: str, options: CameraOptions) -> GenicamCamera:
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
