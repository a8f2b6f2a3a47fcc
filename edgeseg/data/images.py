"""Reading image files, and the resize used by training, evaluation and the exported graph.

The resize is Pillow's antialiased bilinear filter, written as one matrix per axis. The exported
graph multiplies by the same matrices (`model/fused.py`), so the network gets the same input at any
camera resolution.
"""

import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.data.formats.decode import LIMIT, Pixels, decode
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, shown, write_atomic
from edgeseg.limits import limit

BYTES_PER_PIXEL, HEADERS = 8, 1 << 24  # at most, in a file
RGB_OF_BGR = np.array([2, 1, 0])

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def read_image(path: Path, bit_depth: int = 16) -> Image:
    """Read an image file as RGB, uint8 [H, W, 3], upright.

    Gray images get three equal channels, alpha is dropped. bit_depth: of the values in 16-bit
    files, which are scaled to 8 bits; it comes from the card of the model.
    """
    pixels = to_8_bits(read_pixels(path), bit_depth, path)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])


def read_pixels(path: Path) -> Pixels:
    """Decode an image file as it is: gray, RGB or RGBA of 8 or 16 bits; as `decode`."""
    most = limit(LIMIT) * BYTES_PER_PIXEL + HEADERS
    if path.exists() and not path.is_file():  # to open a named pipe would wait for its writer
        raise DataError(
            f"cannot read {shown(path)}: not a regular file",
            remedy="name image files, or folders of them",
            code="data/unreadable",
        )
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read() if size <= most else b""
    except OSError as error:
        raise cannot_read(path, error) from error
    if size > most:
        raise DataError(
            f"cannot read {shown(path)}: {size} bytes, too large for an image",
            remedy=f"export {LIMIT}={10 * limit(LIMIT)}",
            code="data/image-size",
        )
    return decode(data, shown(path))


def to_8_bits(pixels: Pixels, bit_depth: int, path: Path) -> NDArray[np.uint8]:
    """Scale 0 to 2^bit_depth - 1 of a 16-bit image to 0 to 255; 8-bit images are unchanged.

    DataError (`data/bit-depth`): a value is above that range.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    largest = (1 << bit_depth) - 1
    if (found := int(pixels.max(initial=0))) > largest:
        raise DataError(
            f"{shown(path)} has the value {found} (expected {bit_depth} bits, at most {largest}, "
            "as in the training images)",
            remedy="set the pixel format of the camera as it was, or train with images like this",
            code="data/bit-depth",
        )
    scaled: NDArray[np.uint8] = np.rint(pixels * (255 / largest)).astype(np.uint8)
    return scaled


@lru_cache(maxsize=64)
def resize_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Return the weights of a one-axis resize, float32 [target, source]; each row sums to 1.

    A triangle filter, as wide as the reduction factor (antialiased) and at least one pixel wide,
    centered on half-pixel coordinates. Source: Pillow, `Resample.c`, BILINEAR.
    """
    scale = source / target
    support = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centers[:, None]) / support
    weights = np.clip(1.0 - distance, 0.0, None)
    matrix = np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
    matrix.setflags(write=False)
    return matrix


def blur_matrix(side: int, sigma: float) -> NDArray[np.float32]:
    """Return the weights of a one-axis Gaussian, float32 [side, side]; each row sums to 1.

    sigma in pixels. At the border the weights are normalized over the pixels inside.
    """
    places = np.arange(side)
    weights = np.exp(-0.5 * ((places[:, None] - places[None, :]) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def resize(image: Image, height: int, width: int) -> Image:
    """Resize uint8 [H, W] or [H, W, C] to [height, width(, C)] with the antialiased filter."""
    if image.shape[:2] == (height, width):
        return image
    smooth = resize_float(image.astype(np.float32), height, width)
    return np.rint(smooth, out=smooth).astype(np.uint8)


def resize_float(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize float32 [H, W] or [H, W, C] without rounding; the filter does not overshoot."""
    rows = resize_matrix(image.shape[0], height)
    columns = resize_matrix(image.shape[1], width)
    if image.ndim == 2:
        return np.asarray(rows @ image @ columns.T)
    # One large matrix product per axis: three times faster for 640x480 than one per row.
    tall = (rows @ image.reshape(len(image), -1)).reshape(height, -1, image.shape[2])
    lines = np.ascontiguousarray(tall.transpose(0, 2, 1)).reshape(-1, image.shape[1])
    wide = (lines @ columns.T).reshape(height, -1, width)  # [height, C, width]
    return np.ascontiguousarray(wide.transpose(0, 2, 1))


def resize_mask(mask: Mask, side: int) -> Mask:
    """Resize a mask as in the DeSTSeg paper: antialiased bilinear, then >= 0.5."""
    return np.asarray(resize_float(mask.astype(np.float32), side, side) >= 0.5)


def fill_frame(frame: Image, image: Image, *, source: str, target: str) -> None:
    """Write an image into one frame of a slot.

    frame: uint8 [H, W, C], the buffer; image: uint8 [h, w, 3] in `source` order (`rgb`, `bgr`);
    target: frame format of the graph. An image of another size is resized as in training.
    """
    fitted = resize(image, *frame.shape[:2])
    if target == "gray":
        code = cv2.COLOR_RGB2GRAY if source == "rgb" else cv2.COLOR_BGR2GRAY
        cv2.cvtColor(fitted, code, dst=frame[:, :, 0])
    elif source == target:
        np.copyto(frame, fitted)
    else:
        np.take(fitted, RGB_OF_BGR, axis=2, out=frame)


def write_png(path: Path, image: Image) -> None:
    """Write RGB uint8 [H, W, 3] or a mask uint8 [H, W] as PNG, atomically."""
    write_atomic(path, encode_png(image))


def encode_png(image: Image) -> bytes:
    """Return RGB uint8 [H, W, 3] or a mask uint8 [H, W] as a PNG file."""
    pixels = image[:, :, ::-1] if image.ndim == 3 else image
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        shape = list(image.shape)
        raise DataError(f"cannot encode {shape} as PNG", remedy="report this", code="data/encode")
    return encoded.tobytes()
