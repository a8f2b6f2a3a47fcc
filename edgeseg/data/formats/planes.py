"""The resize of training on the bytes of a camera, written as products with matrices.

Every format is linear: a **plane** of the resized picture (R, G, B, or Y, U, V) is

    rows @ frame @ columns.T        frame [rows, bytes in a row], rows [h, rows], columns [w, bytes]

where the matrices are those of the resize (`images.resize_matrix`), spread over the bytes that hold
the plane's samples. A picture whose samples lie apart (U and V of two or four pixels, the colors of
a Bayer pattern) is first interpolated as OpenCV does; that is in the matrices too, so it costs
nothing. Colors follow from the planes, pixel by pixel, after the resize:

    RGB = clip(color @ max(planes, low) + bias, 0, 255)         of YUV; of others color @ planes

At the size of the network these are OpenCV's own values. For larger frames the difference is the
order: colors that are out of range are clipped once, after the resize, instead of in each pixel of
the camera before they are averaged.
"""

from dataclasses import dataclass

import numpy as np

from edgeseg.data.images import Weights, placed_matrices
from edgeseg.frame.geometry import Box, Size
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape

LUMA = 1.164
RGB_OF_YUV = ((LUMA, 0.0, 1.596), (LUMA, -0.391, -0.813), (LUMA, 2.018, 0.0))
"""BT.601, Y from 16: the constants of OpenCV's COLOR_YUV2RGB."""


@dataclass(frozen=True)
class Part:
    """Planes that share their rows.

    rows: [h, lines], for the lines of the frame from `start` on; columns: [planes, w, bytes in a
    line].
    """

    rows: Weights
    columns: Weights
    start: int = 0


@dataclass(frozen=True)
class Planes:
    """The matrices of a format, and the colors of its P planes, which are numbered by part.

    color: [3, P]; None: the planes are R, G, B, or one gray plane. low: [P], bias: [3]; None: the
    colors cannot be out of range.
    """

    parts: tuple[Part, ...]
    color: Weights | None = None
    low: Weights | None = None
    bias: Weights | None = None


def planes_of(kind: FrameFormat, frame: Size, target: Size, box: Box) -> Planes:
    """Return the matrices that scale frames of a size (height, width) into a box of a target."""
    rows, columns = placed_matrices(frame, target, box)
    _, width, channels = frame_shape(kind, *frame)
    line = width * channels
    if kind in ("bgr", "rgb"):
        order = (2, 1, 0) if kind == "bgr" else (0, 1, 2)
        return Planes((Part(rows, np.stack([_spread(columns, line, k, 3) for k in order])),))
    if kind == "gray":
        return Planes((Part(rows, columns[None]),))
    if kind == "bayer_rggb":
        return _bayer(rows, columns)
    return _yuv(kind, rows, columns, line)


def _yuv(kind: FrameFormat, rows: Weights, columns: Weights, line: int) -> Planes:
    """Y, U and V; a pixel has the U and V of its pair or its square."""
    starts = {"yuyv": (0, 1, 3), "uyvy": (1, 0, 2), "nv12": (0, 0, 1)}[kind]
    steps = (1, 2, 2) if kind == "nv12" else (2, 4, 4)
    samples = (columns, _pairs(columns), _pairs(columns))
    lanes = np.stack(
        [_spread(m, line, a, step) for m, a, step in zip(samples, starts, steps, strict=True)]
    )
    color = np.array(RGB_OF_YUV, np.float32)
    low = np.array([16, 0, 0], np.float32)
    bias = (-color @ np.array([16, 128, 128], np.float32)).astype(np.float32)
    if kind != "nv12":
        return Planes((Part(rows, lanes),), color, low, bias)
    chroma = Part(_pairs(rows), lanes[1:], start=rows.shape[1])
    return Planes((Part(rows, lanes[:1]), chroma), color, low, bias)


def _bayer(rows: Weights, columns: Weights) -> Planes:
    """R, B, and green of the rows with red and of those with blue, as OpenCV interpolates them.

    A missing red or blue value is the mean of its two or four neighbors, which is linear in rows
    and in columns. A missing green value is the mean of the four beside it: half of it is linear in
    the columns of its own rows, the other half in the rows of its own columns. The outermost pixels
    repeat those inside, so their weights are added to these.
    """
    down, right = _inside(rows), _inside(columns)
    half = np.float32(0.5)
    red_lines = _linear(right, 0), half * _only(right, 1)
    blue_lines = _linear(right, 1), half * _only(right, 0)
    parts = (
        Part(_linear(down, 0), np.stack(red_lines)),  # R, G
        Part(_linear(down, 1), np.stack(blue_lines)),  # B, G
        Part(_only(down, 0), half * blue_lines[0][None]),  # G
        Part(_only(down, 1), half * red_lines[0][None]),  # G
    )
    color = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0]], np.float32)
    return Planes(parts, color)


def _spread(matrix: Weights, length: int, start: int, step: int) -> Weights:
    """Return [n, length] whose columns `start`, `start + step`, ... are those of the matrix."""
    found = np.zeros((len(matrix), length), np.float32)
    found[:, start : start + step * matrix.shape[1] : step] = matrix
    return found


def _pairs(matrix: Weights) -> Weights:
    """Add the weights of each two neighbors, which share a sample: [n, m] -> [n, m / 2]."""
    sums: Weights = matrix[:, 0::2] + matrix[:, 1::2]
    return sums


def _inside(matrix: Weights) -> Weights:
    """Move the weights of the outermost pixels to their neighbors inside."""
    found = matrix.copy()
    found[:, 1] += found[:, 0]
    found[:, -2] += found[:, -1]
    found[:, [0, -1]] = 0
    return found


def _only(matrix: Weights, first: int) -> Weights:
    """Return the weights of every second pixel, from the `first` one."""
    found = np.zeros_like(matrix)
    found[:, first::2] = matrix[:, first::2]
    return found


def _beside(matrix: Weights, first: int) -> Weights:
    """Return for every second pixel the mean weight of the two others beside it."""
    padded = np.pad(matrix, ((0, 0), (1, 1)))
    means: Weights = (padded[:, :-2] + padded[:, 2:]) / np.float32(2)
    return _only(means, first)


def _linear(matrix: Weights, first: int) -> Weights:
    """Return the weights of every second pixel, of which the others are the mean of two."""
    return _only(matrix, first) + _beside(matrix, first)
