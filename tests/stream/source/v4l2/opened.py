"""A V4L2 camera on a driver in memory, and the frames of a stream."""

import numpy as np

from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.v4l2.camera import open_v4l2
from edgeseg.stream.source.v4l2.connection import Wanted

SIZE = (48, 64)


def unavailable():
    return SourceError("camera not found.", remedy="connect it", code="source/camera-missing")


def open_it(driver, graph="yuyv", size=SIZE, attempts=2, **asked):
    return open_v4l2(
        "camera 0",
        "/dev/video0",
        Mode(**{"size": size} | asked),
        Wanted(graph, size),
        attempts=attempts,
        kernel=driver,
        unavailable=unavailable,
    )


def slots(kind, count, size=SIZE):
    """Frames of a stream, each with a slot of its own."""
    shape = frame_shape(kind, *size)
    return [
        Frame(request=i, slot_image=np.zeros(shape, np.uint8), slot_format=kind)
        for i in range(count)
    ]


def pictures(kind, count, size=SIZE):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, frame_shape(kind, *size), np.uint8) for _ in range(count)]


def lent(camera, kind="yuyv"):
    """Lend a camera its frames; return two others, one to read and one that inference has."""
    frames = slots(kind, camera.keeps + 2)
    camera.lend(frames[: camera.keeps])
    return frames[camera.keeps :], frames


def read(camera, frame):
    frame.fault = ""
    assert camera.read_into(frame)
    return frame
