"""A number and a time drawn into a picture, for the eye and for the machine.

At the lower left stand 3 rows of 32 cells, white for 1 and black for 0, the highest bit first:

    row 0       the frame's number, 32 bits
    row 1, 2    microseconds of `time.perf_counter_ns` (the clock of `Frame.arrival`; on Linux
                CLOCK_MONOTONIC, the same in every process), 48 bits; then a checksum, 16 bits

A cell is 8 pixels wide, a block of JPEG and MPEG, and so outlives their compression; pictures
narrower than 256 pixels have cells of 4, 2 or 1, which may not.
"""

import binascii
from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.data.images import Image

ROWS, COLUMNS = 3, 32
CELLS = (8, 4, 2, 1)  # pixels
MIDDLE = 128
HEIGHT_SHARE = 4  # the code takes at most this part of the picture's height


@dataclass(frozen=True)
class Stamp:
    """What stands in a picture."""

    count: int
    """Of the frame, from 0."""
    microseconds: int
    """Of the clock of `Frame.arrival`, when the frame was made."""

    def delay(self, arrival: int) -> float:
        """Return the seconds from the making of the frame to its arrival, given in nanoseconds."""
        return arrival / 1e9 - self.microseconds / 1e6


def draw_stamp(image: Image, stamp: Stamp) -> None:
    """Draw a stamp into a uint8 picture [H, W, C]; one too small for the code stays as it is."""
    height = image.shape[0]
    text = f"{stamp.count}  {stamp.microseconds / 1e6:.6f} s"
    place, scale = (4, max(height // 10, 10)), max(height / 480, 0.3)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1)
    cell = _cell(image)
    if cell:
        bits = np.unpackbits(np.frombuffer(_pack(stamp), np.uint8)).reshape(ROWS, COLUMNS)
        code = np.repeat(np.repeat(bits * np.uint8(255), cell, axis=0), cell, axis=1)
        image[-ROWS * cell :, : COLUMNS * cell] = code[:, :, None]


def read_stamp(image: Image) -> Stamp | None:
    """Read a stamp from a picture of the size that it was drawn in; None without a sound one."""
    cell = _cell(image)
    if not cell:
        return None
    code = image[-ROWS * cell :, : COLUMNS * cell].reshape(ROWS, cell, COLUMNS, cell, -1)
    bits = code.mean(axis=(1, 3, 4)) >= MIDDLE
    data = np.packbits(bits).tobytes()
    stamp = Stamp(int.from_bytes(data[:4], "big"), int.from_bytes(data[4:10], "big"))
    return stamp if _pack(stamp) == data else None


def _pack(stamp: Stamp) -> bytes:
    numbers = (stamp.count % 2**32).to_bytes(4, "big")
    numbers += (stamp.microseconds % 2**48).to_bytes(6, "big")
    # From 0xFFFF: neither a black nor a white picture passes for a stamp.
    return numbers + binascii.crc_hqx(numbers, 0xFFFF).to_bytes(2, "big")


def _cell(image: Image) -> int:
    """Return the side of a cell in pixels; 0 when there is no room."""
    height, width = image.shape[:2]
    fits = (c for c in CELLS if c * COLUMNS <= width and c * ROWS * HEIGHT_SHARE <= height)
    return next(fits, 0)
