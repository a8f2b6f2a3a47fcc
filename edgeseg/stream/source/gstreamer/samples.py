"""Brings the frame of a Gst.Sample into the slot: a format that the graph takes by one copy.

The caps of each sample say what its bytes are; rows may be padded, as to multiples of 4 bytes. The
bytes are read where GStreamer has them, from an address: PyGObject itself would copy them first.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat, even_sides, frame_shape
from edgeseg.packages.gstreamer import GStreamer
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.mjpeg import BrokenFrame
from edgeseg.stream.source.retrieve import UnknownFormat

KINDS: dict[tuple[str, str | None], FrameFormat] = {
    (caps, value): kind
    for kind, form in PIXEL_FORMATS.items()
    for caps, _, value in [form.caps.partition(",format=")]
}
LIBRARY = "libgstreamer-1.0.so.0"
READ = 1  # of GstMapFlags


class _MapInfo(ctypes.Structure):
    """Source: GStreamer 1.0, gst/gstmemory.h, GstMapInfo."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("maxsize", ctypes.c_size_t),
        ("user_data", ctypes.c_void_p * 4),
        ("reserved", ctypes.c_void_p * 4),
    )


@dataclass(frozen=True)
class SampleLayout:
    """What the caps of a sample say."""

    kind: FrameFormat | None
    """None: JPEGs."""
    size: tuple[int, int] | None
    """(height, width); None: only the JPEGs tell."""
    fps: float | None
    planes: tuple[tuple[int, int], ...] = ()
    """(offset, bytes from one row to the next) of each plane."""


def layout_of(caps: Any, library: GStreamer) -> SampleLayout:
    """Return the layout of frames; UnknownFormat if they cannot be read."""
    first, features = caps.get_structure(0), caps.get_features(0)
    name, value = first.get_name(), first.get_string("format")
    _, *rate = first.get_fraction("framerate")
    fps = rate[0] / rate[1] if rate[0] > 0 and rate[1] > 0 else None
    sides = first.get_int("height"), first.get_int("width")
    size = (sides[0][1], sides[1][1]) if all(known for known, _ in sides) else None
    if name == "image/jpeg":
        return SampleLayout(None, size, fps)
    kind = KINDS.get((name, value))
    memory = features.to_string() if features is not None else ""
    if kind is None or size is None or memory not in ("", "memory:SystemMemory"):
        where = "" if memory in ("", "memory:SystemMemory") else f" in {memory}"
        raise UnknownFormat(f"{name} {value or ''}".strip() + where)
    if not PIXEL_FORMATS[kind].fits(*size):
        raise UnknownFormat(f"{value} of {size[1]}x{size[0]} (it needs {even_sides(kind)})")
    info = library.video.VideoInfo.new_from_caps(caps)
    if kind == "bayer_rggb":
        return SampleLayout(kind, size, fps, ((0, -(-size[1] // 4) * 4),))
    count = PIXEL_FORMATS[kind].planes
    return SampleLayout(
        kind, size, fps, tuple(zip(info.offset[:count], info.stride[:count], strict=True))
    )


def read_pixels(
    sample: Any, layout: SampleLayout, frame: Frame, library: GStreamer, inside: int
) -> None:
    """Copy or convert the frame of a sample into `frame`; BrokenFrame if it is not whole.

    inside: writes of the CPU in the pipeline, for one frame.
    """
    buffer = check(sample, library)
    assert layout.kind is not None and layout.size is not None
    planes, meta = layout.planes, library.video.buffer_get_video_meta(buffer)
    if meta is not None:  # of this buffer, in place of what the caps imply
        planes = tuple(zip(meta.offset, meta.stride, strict=True))[: len(planes)]
    writes = inside + (1 if buffer.n_memory() > 1 else 0)  # which are joined to be read
    shape = frame_shape(layout.kind, *layout.size)
    with mapped(buffer) as data:
        parts = [
            _rows(data, offset, stride, rows, shape)
            for (offset, stride), rows in zip(planes, _heights(layout), strict=True)
        ]
        if len(parts) > 1 and _adjoin(planes, layout.size[0]):
            parts = [_rows(data, *planes[0], shape[0], shape)]
        if len(parts) == 1:
            deliver(frame, parts[0], layout.kind, writes=writes)
        else:
            deliver(frame, np.concatenate(parts), layout.kind, writes=writes + 1)


def read_jpeg(sample: Any, library: GStreamer) -> bytes:
    """Return the JPEG of a sample; BrokenFrame if GStreamer knows that it is damaged."""
    buffer = check(sample, library)
    with mapped(buffer) as data:
        return data.tobytes()


def check(sample: Any, library: GStreamer) -> Any:
    """Return the buffer of a sample; BrokenFrame if an element says that it is no whole frame."""
    buffer, flags = sample.get_buffer(), library.core.BufferFlags
    found = int(buffer.mini_object.flags)
    if found & int(flags.CORRUPTED):
        raise BrokenFrame("damaged, as its decoder says")
    if found & int(flags.GAP):
        raise BrokenFrame("it fills a gap; expected a frame")
    return buffer


def _heights(layout: SampleLayout) -> list[int]:
    """Return the number of rows of each plane."""
    assert layout.size is not None
    return [layout.size[0], layout.size[0] // 2][: len(layout.planes)]


def _adjoin(planes: tuple[tuple[int, int], ...], height: int) -> bool:
    """Whether two planes follow each other like the rows of one."""
    (first, stride), (second, other) = planes
    return stride == other and second == first + stride * height


def _rows(data: Image, offset: int, stride: int, rows: int, shape: tuple[int, int, int]) -> Image:
    """Return a view of rows [rows, columns, channels]; BrokenFrame if bytes are missing."""
    _, columns, channels = shape
    expected = offset + stride * (rows - 1) + columns * channels
    if data.nbytes < expected:
        raise BrokenFrame(f"{data.nbytes} bytes, expected {expected}")
    return np.ndarray((rows, columns, channels), np.uint8, data.data, offset, (stride, channels, 1))


@contextmanager
def mapped(buffer: Any) -> Iterator[Image]:
    """Yield the bytes of a Gst.Buffer where they are, uint8 [size]; BrokenFrame without any."""
    calls, info = _library(), _MapInfo()
    address = hash(buffer)  # of the GstBuffer: PyGObject's hash of what it wraps
    if not calls.gst_buffer_map(address, info, READ):
        raise BrokenFrame("its memory cannot be read")
    try:
        if not info.size:
            raise BrokenFrame("0 bytes, expected a frame")
        yield np.ctypeslib.as_array((ctypes.c_uint8 * info.size).from_address(info.data or 0))
    finally:
        calls.gst_buffer_unmap(address, info)


@cache
def _library() -> ctypes.CDLL:
    calls = ctypes.CDLL(LIBRARY)
    wanted = (ctypes.c_void_p, ctypes.POINTER(_MapInfo))
    calls.gst_buffer_map.argtypes = (*wanted, ctypes.c_int)
    calls.gst_buffer_map.restype = ctypes.c_int
    calls.gst_buffer_unmap.argtypes = wanted
    calls.gst_buffer_unmap.restype = None
    return calls
