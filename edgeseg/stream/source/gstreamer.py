"""GStreamer pipelines that end where OpenCV takes BGR frames.

Every one ends in `drop=true max-buffers=1 sync=false`: the newest frame replaces one that was not
taken. OpenCV sets max-buffers by itself and drop not, and a full sink without it holds the camera
up: what is read is then old.
"""

import re

from edgeseg.stream.source.mode import Mode

SINK = "appsink drop=true max-buffers=1 sync=false"
TO_BGR = "videoconvert ! video/x-raw,format=BGR"
SENSOR = (1080, 1920)  # (height, width) that a CSI sensor runs at when the user asks for none
RTSP_TIMEOUT = 5_000_000  # microseconds

_APPSINK = re.compile(r"(?:^|[\s!])appsink(?=[\s!]|$)([^!]*)")


def csi(sensor: int, wish: Mode, size: tuple[int, int]) -> str:
    """Return the pipeline of a Jetson's CSI camera that gives frames of `size` (height, width).

    The sensor runs in the mode that the user asks for; without one, at 1920x1080 or what is as
    large as the frames, and the Jetson's image converter scales.
    """
    height, width = wish.size or max(size, SENSOR, key=lambda s: s[0] * s[1])
    rate = f",framerate={_fraction(wish.fps)}" if wish.fps else ""
    rows, columns = wish.size or size
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height}{rate},format=NV12 ! "
        f"nvvidconv ! video/x-raw,width={columns},height={rows},format=BGRx ! {TO_BGR} ! {SINK}"
    )


def rtsp(url: str, *, jetson: bool) -> str:
    """Return the pipeline of a network camera; a Jetson decodes it in hardware."""
    location = url.replace("\\", "\\\\").replace('"', '\\"')
    copy = "nvvidconv ! video/x-raw,format=BGRx ! " if jetson else ""
    return (
        f'rtspsrc location="{location}" protocols=tcp latency=0 tcp-timeout={RTSP_TIMEOUT} ! '
        f"application/x-rtp,media=video ! decodebin ! "
        f"{copy}{TO_BGR} ! {SINK}"
    )


def complete(pipeline: str) -> tuple[str, str]:
    """Return a user's pipeline with a sink, and what its own sink lacks; '' for nothing."""
    pipeline = pipeline.strip().rstrip("!").rstrip()
    if not pipeline:
        return "", ""
    sink = _APPSINK.search(pipeline)
    if sink is None:
        return f"{pipeline} ! {TO_BGR} ! {SINK}", ""
    lacks = []
    if not re.search(r"\bdrop\s*=\s*(\(\w+\))?\s*\"?(true|1|yes)\b", sink.group(1), re.IGNORECASE):
        lacks.append("drop=true, so frames wait and what is seen is old")
    if not re.search(r"\bsync\s*=\s*(\(\w+\))?\s*\"?(false|0|no)\b", sink.group(1), re.IGNORECASE):
        lacks.append("sync=false, so frames are held back until their time stamp")
    return pipeline, "; ".join(lacks)


def _fraction(fps: float) -> str:
    """Return a rate as GStreamer writes it: 30 -> 30/1, 29.97 -> 29970/1000."""
    return f"{fps:.0f}/1" if fps == round(fps) else f"{round(fps * 1000)}/1000"
