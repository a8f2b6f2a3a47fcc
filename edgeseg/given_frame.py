"""Frames as callers of a model give them: in host memory, or in the memory of a GPU."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.foreign import host_array
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.images import Image
from edgeseg.errors import ConfigError, DataError
from edgeseg.runtime.base import Backend, OnGpu, Slot

_TO_UINT8 = {
    "f": "scale 0..1 to 0..255: (frame * 255).round().astype(numpy.uint8)",
    "b": "scale to 0 and 255: frame.astype(numpy.uint8) * 255",
}


def three_channels(frame: Any, bit_depth: int) -> Image:
    """Return a frame in host memory as uint8 [H, W, 3]; gray is repeated.

    bit_depth: of the training images, for the remedy of DataError.
    """
    frame = host_array(frame)
    if not isinstance(frame, np.ndarray):
        raise DataError(
            f"invalid frame: {type(frame).__name__} (expected a NumPy array of uint8)",
            remedy="pass an array; cv2.imread returns None for a file that it cannot read",
            code="frame/dtype",
        )
    if frame.dtype != np.uint8:
        raise DataError(
            f"invalid frame: array of {frame.dtype} (expected uint8)",
            remedy=_to_uint8(frame.dtype.kind, bit_depth),
            code="frame/dtype",
        )
    if frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (1,), (3,)) or not frame.size:
        raise DataError(
            f"invalid frame: shape {list(frame.shape)} (expected [H, W], [H, W, 1] or [H, W, 3], "
            "not empty)",
            remedy="pass one image; of a batch frame[0], without an alpha channel frame[:, :, :3]",
            code="frame/shape",
        )
    if frame.shape[2:] == (3,):
        return frame
    return np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)


def picture_of(frame: Any, card: GraphCard) -> Image | None:
    """Return raw bytes in the format of the graph as BGR uint8 [H, W, 3]; None for other frames.

    Raw are frames [H, W, 2] of `yuyv` and `uyvy` of any size, and of `nv12` those of the graph's
    size: with another one they would look like gray pictures. Those of `bayer_rggb` may pass for
    gray: its colors are taken from the same places again.
    """
    frame, kind = host_array(frame), card.frame_format
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or not frame.size:
        return None
    pairs = kind in ("yuyv", "uyvy") and frame.shape[2:] == (2,) and frame.shape[1] % 2 == 0
    planes = kind == "nv12" and frame.shape in (card.frame_shape[1:], card.frame_shape[1:3])
    return to_bgr(frame, kind) if pairs or planes else None


def run_on(backend: Backend, frame: Any, channels: str) -> None:
    """Run a frame in GPU memory; ConfigError unless the graph takes it as it is, on a GPU.

    channels: order of the three channels, `bgr` or `rgb`.
    """
    if not isinstance(backend, OnGpu):
        raise ConfigError(
            f"invalid frame: in GPU memory ({backend.name} reads host memory)",
            remedy="pass frame.cpu().numpy(), or build a TensorRT engine: edgeseg build-engine "
            "--runtime tensorrt",
            code="frame/device",
        )
    if backend.card.roi is not None and backend.card.roi.locate is not None:
        raise ConfigError(
            "invalid frame: in GPU memory (the model finds the part in the picture, on the CPU)",
            remedy="pass frame.cpu().numpy()",
            code="frame/device",
        )
    kind = backend.card.frame_format
    if kind in ("bgr", "rgb") and kind != channels:
        raise ConfigError(
            f"invalid channels: {channels} (the graph takes {kind}; in GPU memory channels "
            "are not swapped)",
            remedy=f'channels="{kind}" if the frame is {kind}, or: edgeseg export --format '
            f"{channels}",
            code="frame/channels",
        )
    backend.start_on(frame)
    backend.finish()


def fetched(backend: Backend, slot: Slot, check: Callable[[], None]) -> Image:
    """Return the frame of the last `run_on` as BGR uint8 [H, W, 3]; check raises if it is gone."""
    check()
    assert isinstance(backend, OnGpu)
    backend.fetch_frame()
    return to_bgr(slot.frame[0].copy(), backend.card.frame_format)


def lent_outputs(backend: Backend, check: Callable[[], None]) -> Mapping[str, DeviceArray]:
    """Return the outputs of the last frame in GPU memory; empty where they are in host memory."""
    if not isinstance(backend, OnGpu):
        return {}
    check()
    found = backend.device_outputs()
    return {name: dataclasses.replace(array, check=check) for name, array in found.items()}


def _to_uint8(kind: str, bit_depth: int) -> str:
    if kind == "u":
        shift = bit_depth - 8
        return f"scale {bit_depth} bits to 8: (frame >> {shift}).astype(numpy.uint8)"
    return _TO_UINT8.get(kind, "convert it to numpy.uint8, 0 to 255")
