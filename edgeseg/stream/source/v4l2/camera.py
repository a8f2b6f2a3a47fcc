"""A V4L2 camera as a source: opens its connections, and lends the driver slots."""

import errno
from collections.abc import Callable
from functools import partial

from edgeseg.errors import SourceError
from edgeseg.files import shown
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.lending import LendingCamera
from edgeseg.stream.source.v4l2.connection import LENT, V4L2Connection, Wanted
from edgeseg.stream.source.v4l2.device import CaptureDevice, NotCaptureDevice
from edgeseg.stream.source.v4l2.kernel import Kernel
from edgeseg.stream.source.v4l2.mode import UnsupportedFormat


class V4L2Camera(LendingCamera):
    """Its driver writes into the slots, where it takes their addresses."""

    _connection: V4L2Connection

    def __init__(self, name: str, connect: Callable[[], V4L2Connection], *, attempts: int) -> None:
        super().__init__(name, connect, attempts=attempts, keeps=LENT)
        self.sends = self._connection.sent.kind


def open_v4l2(
    name: str,
    path: str,
    asked: Mode,
    wanted: Wanted,
    *,
    attempts: int,
    kernel: Kernel,
    unavailable: Callable[[], SourceError],
) -> V4L2Camera:
    """Open a camera by the path of its device.

    asked: with a size; unavailable: makes the error of a device that cannot be opened.
    NotCaptureDevice, UnsupportedFormat: it has to be opened in another way.
    """
    connect = partial(_connect, path, asked, wanted, kernel, unavailable)
    first = [connect()]

    def again() -> V4L2Connection:
        if first:
            return first.pop()
        try:
            return connect()
        except (NotCaptureDevice, UnsupportedFormat) as error:
            raise SourceError(
                f"{shown(path)} is another device now: {error}.",
                remedy="connect the camera again",
                code="source/camera-busy",
            ) from error

    return V4L2Camera(name, again, attempts=attempts)


def _connect(
    path: str,
    asked: Mode,
    wanted: Wanted,
    kernel: Kernel,
    unavailable: Callable[[], SourceError],
) -> V4L2Connection:
    try:
        device = CaptureDevice(path, kernel)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unavailable() from error
    try:
        return V4L2Connection(device, asked, wanted)
    except BaseException as error:
        device.close()
        if isinstance(error, OSError):
            busy = error.errno == errno.EBUSY
            raise unavailable() if busy else _refused(path, error) from error
        raise


def _refused(path: str, error: OSError) -> SourceError:
    return SourceError(
        f"the driver of {shown(path)} refuses to capture: {error.strerror}.",
        remedy="unplug the camera and connect it again",
        code="source/camera-refused",
    )
