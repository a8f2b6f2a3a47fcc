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
from edgeseg.geometry import Box, Size
from edgeseg.pixel_formats import FrameFormat, frame_shape

LUMA = 1.164
RGB_OF_YUV = ((LUMA, 0.0, 1.596), (LUMA, -0.391, -0.813), (LUMA, 2.018, 0.0))
"""BT.601, Y from 16: the constants of OpenCV's COLOR_YUV2RGB."""


@dataclass(frozen=True)
class Planes:
    """The matrices of a format, P planes from S sets of rows and L sets of columns.

    rows: [S, h, rows of the frame]; columns: [L, w, bytes in a row]; pairs: the sets of a plane.
    color: [3, P]; None: the planes are R, G, B, or one gray plane. low: [P], bias: [3]; None: the
    colors cannot be out of range.
    """

    rows: Weights
    columns: Weights
    pairs: tuple[tuple[int, int], ...]
    color: Weights | None = None
    low: Weights | None = None
    bias: Weights | None = None


def planes_of(kind: FrameFormat, frame: Size, target: Size, box: Box) -> Planes:
    """Return the matrices that scale frames of a size (height, width) into a box of a target."""
    rows, columns = placed_matrices(frame, target, box)
    shape = frame_shape(kind, *frame)
    line = shape[1] * shape[2]
    if kind in ("bgr", "rgb"):
        order = (2, 1, 0) if kind == "bgr" else (0, 1, 2)
        lanes = np.stack([_spread(columns, line, start, 3) for start in order])
        return Planes(rows[None], lanes, ((0, 0), (0, 1), (0, 2)))
    if kind == "gray":
        return Planes(rows[None], columns[None], ((0, 0),))
    if kind == "bayer_rggb":
        return _bayer(rows, columns)
    return _yuv(kind, rows, columns, shape[0], line)


def _yuv(kind: FrameFormat, rows: Weights, columns: Weights, lines: int, line: int) -> Planes:
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
        return Planes(rows[None], lanes, ((0, 0), (0, 1), (0, 2)), color, low, bias)
    chroma = _spread(_pairs(rows), lines, rows.shape[1], 1)
    both = np.stack([_spread(rows, lines, 0, 1), chroma])
    return Planes(both, lanes, ((0, 0), (1, 1), (1, 2)), color, low, bias)


def _bayer(rows: Weights, columns: Weights) -> Planes:
    """R, B, and green of the rows with red and of those with blue, as OpenCV interpolates them.

    A missing red or blue value is the mean of its two or four neighbors, which is a product of rows
    and columns. A missing green value is the mean of the four beside it: half of the mean of those
    to the left and right, half of the mean above and below; each of the two is a product. The
    outermost pixels repeat those inside, so their weights are added to these.
    """
    down, right = _inside(rows), _inside(columns)
    green_rows = [part for first in (0, 1) for part in (_only(down, first), _beside(down, first))]
    row_sets = [_linear(down, 0), _linear(down, 1), *green_rows]
    green_columns: list[Weights] = []
    for first in (1, 0):
        own = _only(right, first)
        half = np.float32(0.5)
        green_columns += [own + half * _beside(right, first), half * own]
    column_sets = [_linear(right, 0), _linear(right, 1), *green_columns]
    color = np.zeros((3, 6), np.float32)
    color[0, 0] = color[2, 1] = 1
    color[1, 2:] = 1
    pairs = tuple((n, n) for n in range(6))
    return Planes(np.stack(row_sets), np.stack(column_sets), pairs, color)


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
