"""How a product with a banded matrix is cut into blocks, which leave out most of its zeros.

A resize reads a short window of the source for each value that it writes: its matrix [out, source]
is a band. Two cuts of it, both of which become one product of small matrices:

    reduced    the source in blocks of equal length. Each is multiplied by the rows that read it; a
               row reads one block, or the end of one and the beginning of the next, and the second
               part is added. Reads every value once: for a source larger than the result.
    windowed   the result in blocks of equal length. Each reads a window of the source, and windows
               overlap. Writes every value once: for a result larger than the source.

Only lengths that divide are free; otherwise the source is padded, or the result trimmed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import Weights

Indices = NDArray[np.intp]

# Times per float of the source, or of the result of `windowed`; in those of one float to memory.
PRODUCT, MOVED, PADDED = 0.04, 2.0, 2.0
ALIGNED, COPIED = 8, 0.3  # TensorRT copies FP16 matrices of other lengths before it multiplies


@dataclass(frozen=True)
class Reduced:
    """The source in blocks; see the module.

    weights: [blocks, slots, length]; first, second: the slots that a row is the sum of, [out], of
    blocks * slots; second is None where no row reads two blocks. padding: floats after the source.
    """

    weights: Weights
    first: Indices
    second: Indices | None
    padding: int


@dataclass(frozen=True)
class Windowed:
    """The result in blocks; see the module.

    weights: [blocks, length, window]; places: what each window reads of the source, [blocks *
    window]. trimmed: results of the last block that are beyond the end.
    """

    weights: Weights
    places: Indices
    trimmed: int


def reduced(matrix: Weights) -> Reduced:
    """Cut the source of a banded matrix [out, source] into the blocks that cost least."""
    source = matrix.shape[1]
    # Rows that repeat the one before, as beside a letterboxed picture, need no slot of their own.
    fresh = np.append(True, np.any(matrix[1:] != matrix[:-1], axis=1))
    rows = matrix[fresh]
    begin, end = _band(rows)
    widest = int((end - begin).max()) + 1
    best, least = source, np.inf
    for length in range(1, min(source, 4 * widest + 64) + 1):
        if not _two_blocks(begin, end, length):
            continue
        blocks = -(-source // length)
        slots = sum(_slots(begin, end, length, blocks))
        padding = -source % length
        cost = slots * PRODUCT + slots / length * MOVED + (PADDED if padding else 0)
        cost += COPIED if length % ALIGNED else 0
        if cost < least:
            best, least = length, cost
    return _cut(rows, begin, end, best, np.cumsum(fresh) - 1, padding=-source % best)


def windowed(matrix: Weights) -> Windowed:
    """Cut the result of a banded matrix [out, source] into the blocks that cost least."""
    out, source = matrix.shape
    begin, end = _band(matrix)
    best, least = out, np.inf
    for length in range(1, out + 1):
        trimmed = -out % length
        window = _window(begin, end, length)
        cost = window * PRODUCT + window / length * MOVED + (PADDED if trimmed else 0)
        if cost < least:
            best, least = length, cost
    length, window, trimmed = best, _window(begin, end, best), -out % best
    blocks = -(-out // length)
    starts = np.minimum(np.minimum.reduceat(begin, np.arange(0, out, length)), source - window)
    places = starts[:, None] + np.arange(window)
    padded = np.pad(matrix, ((0, trimmed), (0, 0))).reshape(blocks, length, source)
    weights = np.take_along_axis(padded, places[:, None, :], axis=2)
    return Windowed(np.ascontiguousarray(weights), places.ravel(), trimmed)


def _band(matrix: Weights) -> tuple[Indices, Indices]:
    """Return the first and the last value that each row reads."""
    used = matrix != 0
    begin = used.argmax(axis=1)
    end = matrix.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    # A row of zeros may lie anywhere: beside the one before, so that no block gets all of them.
    places = np.where(used.any(axis=1), np.arange(len(matrix)), 0)
    near = np.maximum.accumulate(places)
    return begin[near], np.where(used.any(axis=1), end, begin[near])


def _two_blocks(begin: Indices, end: Indices, length: int) -> bool:
    return bool((end // length - begin // length <= 1).all())


def _slots(begin: Indices, end: Indices, length: int, blocks: int) -> tuple[int, int]:
    """Return how many rows begin in a block, and how many end in it that began before."""
    own, last = begin // length, end // length
    ends = np.bincount(last[last != own], minlength=blocks)
    return int(np.bincount(own, minlength=blocks).max()), int(ends.max())


def _cut(
    rows: Weights, begin: Indices, end: Indices, length: int, of_row: Indices, padding: int
) -> Reduced:
    padded = np.pad(rows, ((0, 0), (0, padding)))
    blocks = padded.shape[1] // length
    owned, ended = _slots(begin, end, length, blocks)
    slots = owned + ended
    weights = np.zeros((blocks, slots, length), np.float32)
    first, second = np.zeros(len(rows), np.intp), np.full(len(rows), owned)
    used = np.zeros((blocks, 2), np.intp)
    for row, (one, other) in enumerate(zip(begin // length, end // length, strict=True)):
        first[row] = one * slots + used[one, 0]
        weights[one, used[one, 0]] = padded[row, one * length : (one + 1) * length]
        used[one, 0] += 1
        if other != one:
            slot = owned + used[other, 1]
            second[row] = other * slots + slot
            weights[other, slot] = padded[row, other * length : (other + 1) * length]
            used[other, 1] += 1
    # No row ends in the first block that began before: its slot for one is 0, and adds nothing.
    return Reduced(weights, first[of_row], second[of_row] if ended else None, padding)


def _window(begin: Indices, end: Indices, length: int) -> int:
    """Return the most values that a block of rows reads."""
    starts = np.arange(0, len(begin), length)
    spans = np.maximum.reduceat(end, starts) - np.minimum.reduceat(begin, starts)
    return int(spans.max()) + 1
