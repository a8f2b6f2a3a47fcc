"""Checks of cameras: frames that differ, at the rate that they promise."""

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgeseg.data.images import Image
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.machine.facts import this_machine
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.jetson import PREFIX
from edgeseg.stream.source.open import open_source

DEVICES = Path("/dev")
WANTED = (480, 640)  # height, width
WARM, FRAMES = 10, 30
SLOWEST = 0.5  # of the rate that the camera promises


def of_jetson(*, address: str) -> GpuFinding:
    """Read frames of a camera of a Jetson: `csi://0`, or `jetson+csi://0` through jetson-utils."""
    if this_machine().jetson is None:
        raise Skipped("no Jetson")
    if address.startswith(PREFIX) and find_spec("jetson_utils") is None:
        raise Skipped("jetson_utils is not installed")
    if not any(DEVICES.glob("video[0-9]*")):
        raise Skipped("no /dev/video*")
    return first_camera(address=address)


def first_camera(*, address: str | None = None, frames: int = FRAMES) -> GpuFinding:
    """Read frames of a camera, the first of /dev/video* by default."""
    if address is None:
        cameras = sorted(DEVICES.glob("video[0-9]*"))
        if not cameras:
            raise Skipped("no /dev/video*")
        address = str(cameras[0])
    frame, different = Frame(), 0
    arrivals: list[int] = []
    before: Image | None = None
    with open_source(address, size=WANTED, attempts=0) as source:
        for _ in range(WARM):  # the first frames of a camera come late or in a burst
            source.read_into(frame)
        while len(arrivals) < frames and source.read_into(frame):
            arrivals.append(frame.arrival or time.perf_counter_ns())
            different += before is None or not np.array_equal(before, frame.image)
            before = frame.image.copy()
        broken, promised = source.broken, source.fps
    fps = (len(arrivals) - 1) / max((arrivals[-1] - arrivals[0]) / 1e9, 1e-9) if arrivals else 0.0
    height, width = frame.image.shape[:2]
    found = f"{address}: {len(arrivals)} frames of {width} x {height}, {fps:.1f} per second "
    found += f"(promised {promised:g}), {different} different, {broken} broken"
    ordered = arrivals == sorted(set(arrivals))
    met = len(arrivals) == frames and different > frames // 2 and not broken and ordered
    figures = {"fps": fps, "promised": promised, "different": different, "broken": broken}
    return GpuFinding(met and fps >= SLOWEST * promised, found, figures)
