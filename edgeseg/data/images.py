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
from edgeseg.data.formats.frame_bytes import write_frame
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, shown, write_atomic
from edgeseg.frame.geometry import Aspect, Box, Size, fit
from edgeseg.frame.pixel_formats import FrameFormat, picture_size
from edgeseg.limits import limit

BYTES_PER_PIXEL, HEADERS = 8, 1 << 24  # at most, in a file

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Weights = NDArray[np.float32]


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
def resize_matrix(source: int, target: int) -> Weights:
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


@lru_cache(maxsize=64)
def sampling_matrix(source: int, target: int) -> Weights:
    """Return the weights of a one-axis bilinear resize that is not antialiased.

    float32 [target, source]; each row has the two nearest pixels. Centered on half pixels, as in
    OpenCV's INTER_LINEAR and PyTorch's `interpolate`.
    """
    centers = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    below = np.minimum(centers.astype(np.intp), max(source - 2, 0))
    matrix = np.zeros((target, source), np.float32)
    share = (centers - below).astype(np.float32)
    matrix[np.arange(target), below] = 1 - share
    matrix[np.arange(target), np.minimum(below + 1, source - 1)] += share
    matrix.setflags(write=False)
    return matrix


def placed_matrices(source: Size, target: Size, box: Box) -> tuple[Weights, Weights]:
    """Return the weights that scale a source into a box of a target: for rows and for columns.

    float32 [target height, source height] and [target width, source width]; outside of the box
    they repeat its edge, so that filling costs nothing but its pixels.
    """
    return (
        _placed(source[0], target[0], box.top, box.height),
        _placed(source[1], target[1], box.left, box.width),
    )


@lru_cache(maxsize=64)
def _placed(source: int, target: int, start: int, length: int) -> Weights:
    around = (start, target - start - length)
    matrix = np.pad(resize_matrix(source, length), (around, (0, 0)), mode="edge")
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
    return place(image, (height, width), Box(0, 0, height, width))


def letterbox(image: Image, size: Size, aspect: Aspect) -> Image:
    """Bring uint8 [H, W, C] to a size; what its aspect ratio leaves free repeats its edge pixels.

    aspect: `stretch` leaves nothing free.
    """
    return place(image, size, fit(image.shape[:2], size, aspect))


def place(image: Image, size: Size, box: Box) -> Image:
    """Scale uint8 [H, W] or [H, W, C] into a box of an image of a size; the edge is repeated."""
    if image.shape[:2] == size:
        return image
    smooth = _scaled(image.astype(np.float32), *placed_matrices(image.shape[:2], size, box))
    return np.rint(smooth, out=smooth).astype(np.uint8)


def resize_float(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize float32 [H, W] or [H, W, C] without rounding; the filter does not overshoot."""
    rows, columns = (resize_matrix(*s) for s in zip(image.shape, (height, width), strict=False))
    return _scaled(image, rows, columns)


def resize_mask(mask: Mask, size: Size, box: Box | None = None) -> Mask:
    """Resize a mask as in the DeSTSeg paper: antialiased bilinear, then >= 0.5.

    box: where the image lies in `size`; the rest is False.
    """
    found = np.zeros(size, np.bool_)
    inside = box or Box(0, 0, *size)
    scaled = resize_float(mask.astype(np.float32), *inside.size)
    np.greater_equal(scaled, 0.5, out=found[inside.rows, inside.columns])
    return found


def _scaled(image: NDArray[np.float32], rows: Weights, columns: Weights) -> NDArray[np.float32]:
    if image.ndim == 2:
        return np.asarray(rows @ image @ columns.T)
    # One large matrix product per axis: three times faster for 640x480 than one per row.
    height, width = len(rows), len(columns)
    tall = (rows @ image.reshape(len(image), -1)).reshape(height, -1, image.shape[2])
    lines = np.ascontiguousarray(tall.transpose(0, 2, 1)).reshape(-1, image.shape[1])
    wide = (lines @ columns.T).reshape(height, -1, width)  # [height, C, width]
    return np.ascontiguousarray(wide.transpose(0, 2, 1))


def fill_frame(
    frame: Image, image: Image, *, source: str, target: FrameFormat, aspect: Aspect
) -> None:
    """Write an image into one frame of a slot.

    frame: uint8, the buffer, in the `target` format; image: uint8 [h, w, 3] in `source` order
    (`rgb`, `bgr`); target, aspect: of the graph. An image of another size is resized as in
    training.
    """
    write_frame(letterbox(image, picture_size(target, frame.shape), aspect), source, frame, target)


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
