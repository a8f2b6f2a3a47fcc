"""USB and other local cameras, `0` and `/dev/video0`: through V4L2 on Linux, else OpenCV."""

import os
import platform
import sys
from functools import partial
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.files import natural_key, shown
from edgeseg.log import log
from edgeseg.stream.source.camera import TRY_WITHOUT, Camera, CameraOptions

DEVICES = Path("/dev")
WORD = 64  # bits; the structures of 32-bit Linux depend on its C library


def open_local(address: int | str, options: CameraOptions) -> Camera:
    """Open a camera by its number or its device path."""
    name, mode = f"camera {address}", options.requested.or_size(options.size)
    if sys.platform == "linux" and platform.architecture()[0] == f"{WORD}bit":
        from edgeseg.stream.source.v4l2.camera import open_v4l2
        from edgeseg.stream.source.v4l2.connection import Wanted
        from edgeseg.stream.source.v4l2.device import NotCaptureDevice
        from edgeseg.stream.source.v4l2.kernel import Linux
        from edgeseg.stream.source.v4l2.mode import UnsupportedFormat

        try:
            return open_v4l2(
                name,
                device_path(address),
                mode,
                Wanted(options.frame_format, options.size),
                attempts=options.attempts,
                kernel=Linux(),
                unavailable=partial(unavailable, address),
            )
        except NotCaptureDevice as error:
            log.info(f"{name}: opened through OpenCV: {error}")
        except UnsupportedFormat as error:
            log.info(f"{name}: opened through OpenCV, which reads more formats: {error}")
    from edgeseg.stream.source.opencv_camera import OpenCvConnection

    failed = partial(unavailable, address)
    connect = partial(OpenCvConnection, address, mode, options.frame_format, failed)
    return options.camera(name, connect)


def device_path(address: int | str) -> str:
    """Return the path of a camera's device."""
    return f"/dev/video{address}" if isinstance(address, int) else address


def unavailable(address: int | str) -> SourceError:
    """Distinguish a missing camera from one that cannot be opened."""
    node = device_path(address)
    if os.path.lexists(node):
        return SourceError(
            f"cannot open camera {shown(node)}: it is in use by another program, this user has no "
            "permission, or it is not a capture device.",
            remedy=f"close the other program, or: sudo usermod -aG video $USER; or {TRY_WITHOUT}",
            code="source/camera-busy",
        )
    present = sorted(DEVICES.glob("video[0-9]*"), key=natural_key)
    found = f" (found {', '.join(map(str, present)) or 'no /dev/video*'})"
    other = f", or choose another: --camera {present[0].name[5:]}" if present else ""
    return SourceError(
        f"camera not found: {shown(str(address))}{found if sys.platform == 'linux' else ''}.",
        remedy=f"connect it{other}; or {TRY_WITHOUT}",
        code="source/camera-missing",
    )
